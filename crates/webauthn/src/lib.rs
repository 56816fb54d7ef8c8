//! Passkeys as the relying party sees them (W3C Web Authentication Level 3): what a browser brings
//! back from an authenticator is taken apart and checked. Pure: no clock, no store, no randomness.
//! It must not know who the user is, whether a challenge still counts, or where keys are kept.
//!
//! The subset: ES256, EdDSA (Ed25519) and RS256; attestation `none` and self attestation, which
//! both say nothing of the make of the authenticator; user presence and verification always asked.
#![forbid(unsafe_code)]

mod authenticator_data;
mod cbor;
mod client_data;
mod key;
mod party;
#[cfg(test)]
mod tests;

pub use client_data::challenge_of;
pub use key::{ALGORITHMS, PublicKey};
pub use party::{Asserted, AssertionAnswer, NoParty, Registered, RegistrationAnswer, RelyingParty};

/// Bytes of what the browser says of a ceremony; a real one has some three hundred.
pub const CLIENT_DATA_BYTES_MAX: usize = 4_096;
/// Bytes of an attestation object; one without certificates has less than two thousand.
pub const ATTESTATION_BYTES_MAX: usize = 16_384;
/// Bytes of what the authenticator says of an assertion, with extensions.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 4_096;
/// Bytes of a signature; RSA with 4096 bits has 512.
pub const SIGNATURE_BYTES_MAX: usize = 1_024;
/// Section 5.8.3: a credential's identifier has at most so many bytes.
pub const CREDENTIAL_ID_BYTES_MAX: usize = 1_023;

/// Why an answer was not accepted. The words are for logs and the trail; who signs in is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("a part of the answer is longer than allowed")]
    TooLarge,
    #[error("the client data is not what browsers send")]
    ClientData,
    #[error("the answer belongs to another kind of ceremony")]
    WrongKind,
    #[error("the challenge is another one")]
    WrongChallenge,
    #[error("the answer was given to another origin")]
    WrongOrigin,
    #[error("the answer was given inside a page of another origin")]
    CrossOrigin,
    #[error("the credential belongs to another site")]
    WrongParty,
    #[error("nobody was present")]
    NotPresent,
    #[error("the authenticator did not verify its user")]
    NotVerified,
    #[error("the authenticator's flags contradict each other")]
    Flags,
    #[error("the authenticator's data is malformed")]
    Malformed,
    #[error("there is no credential in the answer")]
    NoCredential,
    #[error("the kind of key is not supported")]
    Algorithm,
    #[error("the public key is not one")]
    Key,
    #[error("the kind of attestation is not supported")]
    Attestation,
    #[error("the signature is not of this key")]
    Signature,
}

impl Rejected {
    /// One word for the trail.
    pub fn word(self) -> &'static str {
        match self {
            Rejected::TooLarge => "too_large",
            Rejected::ClientData => "client_data",
            Rejected::WrongKind => "wrong_kind",
            Rejected::WrongChallenge => "wrong_challenge",
            Rejected::WrongOrigin => "wrong_origin",
            Rejected::CrossOrigin => "cross_origin",
            Rejected::WrongParty => "wrong_party",
            Rejected::NotPresent => "not_present",
            Rejected::NotVerified => "not_verified",
            Rejected::Flags => "flags",
            Rejected::Malformed => "malformed",
            Rejected::NoCredential => "no_credential",
            Rejected::Algorithm => "algorithm",
            Rejected::Key => "key",
            Rejected::Attestation => "attestation",
            Rejected::Signature => "signature",
        }
    }
}
