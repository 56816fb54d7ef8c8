//! API keys proven without being shown: the platform's side of challenge and response as SCRAM
//! (RFC 5802, RFC 7677) computes them. What the messages look like is the adapter's.

use crate::hub::Answer;
use crate::{Credential, Identity, Peer};
use types::{ProjectId, TimestampMs};

/// The hash function that both sides use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    Sha256,
    Sha512,
}

/// What a client needs to make its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub salt: Vec<u8>,
    /// How often the key's text is hashed with the salt (PBKDF2, RFC 8018).
    pub iterations: u32,
    /// The platform's part of the nonce: printable, without a comma.
    pub nonce: String,
}

/// A client's proof. Debug output shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub digest: Digest,
    /// Who the client says it is: the id of a key.
    pub name: String,
    /// All that was said so far, as RFC 5802 joins it (`AuthMessage`).
    pub message: Vec<u8>,
    /// `ClientProof`
    pub proof: Vec<u8>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Response(hidden)")
    }
}

/// What whoever holds a token proves that it does with. Debug output shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(pub [u8; TokenSecret::BYTES]);

impl TokenSecret {
    /// Of HMAC-SHA-512.
    pub const BYTES: usize = 64;
}

impl std::fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSecret(hidden)")
    }
}

/// Who has proven itself, and our own proof for it.
#[derive(Debug, Clone)]
pub struct Confirmed {
    pub who: Identity,
    /// `ServerSignature`: only who has what the key is checked with can make it.
    pub signature: Vec<u8>,
}

/// Somebody whom an adapter vouches for, because its operator has told it to: a certificate was
/// shown that stands for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The id of a key.
    pub name: String,
    /// The only projects that it may be a key of.
    pub projects: Vec<ProjectId>,
    /// When the certificate stops to count.
    pub ends_at: TimestampMs,
}

/// Everything that can be done without seeing a key. `Hub::challenges` answers it.
pub trait Challenges: Send + Sync {
    /// What a client of this name is asked. Names that nobody has are asked as well, and always
    /// the same: it does not tell who exists.
    fn challenge<'a>(&'a self, name: &'a str) -> Answer<'a, Challenge>;

    /// Checks a proof, as `Hub::authenticate` checks a credential, and with the same refusals.
    fn respond<'a>(&'a self, peer: &'a Peer, response: &'a Response) -> Answer<'a, Confirmed>;

    /// The secret of a token that an adapter has given out under this name, as a key's other way
    /// in: the same whenever it is asked for, and nobody else's. `None` where there are none.
    fn token_secret(&self, name: &str) -> Option<TokenSecret>;

    /// Checks a proof that was made with the secret of the token `response.name`, written in base64
    /// (RFC 4648), and answers ours for it. It says nothing of whether the token still counts, and
    /// lets nobody in.
    fn respond_by_token<'a>(
        &'a self,
        peer: &'a Peer,
        response: &'a Response,
    ) -> Answer<'a, Vec<u8>>;

    /// Lets somebody in as a key, which must count, until the key or what vouches for it ends. The
    /// same refusals as `Hub::authenticate`.
    fn vouched<'a>(&'a self, peer: &'a Peer, vouched: &'a Vouched) -> Answer<'a, Identity>;

    /// Lets a key that was just proven by showing it be proven without from now on, if it could not
    /// be yet: keys made before there were challenges. What fails is logged, and tried again when
    /// the key is shown the next time.
    fn learn<'a>(&'a self, who: &'a Identity, shown: &'a Credential) -> Answer<'a, ()>;
}
