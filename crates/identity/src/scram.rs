//! What an API key is checked with when it is not shown: the numbers of SCRAM (RFC 5802, RFC 7677),
//! made from the key's text and kept sealed. Pure, but for the random source. It must not know the
//! messages, nor which keys there are.
//!
//! ```text
//! salted = PBKDF2(text, salt, 4096)         stored = H(HMAC(salted, "Client Key"))
//!                                           server =   HMAC(salted, "Server Key")
//! ```
//! A key's text has 256 random bits, so the iterations protect nothing: they are what clients ask
//! for at least. Salts are made from the key's lookup id under the root secret; whoever has a name
//! that nobody has is asked with a salt made from the name, and cannot tell the difference.

use crate::secrets::{NotSealedHere, Sealer, Secrets};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use port::challenges::{Digest, Response, TokenSecret};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use std::num::NonZeroU32;
use std::sync::Arc;
use stdx::Rng;
use zeroize::Zeroizing;

/// What Kafka's clients ask for at least.
pub const ITERATIONS: u32 = 4_096;
pub const SALT_BYTES: usize = 16;
/// Of the nonce, before it is written in hexadecimal digits.
const NONCE_BYTES: usize = 24;
/// First byte of what is sealed: the form.
const FORM: u8 = 1;

/// Makes and checks all of it under the installation's secrets.
pub(crate) struct Scram {
    sealer: Sealer,
    salts: hmac::Key,
    /// Makes the secrets of tokens from their names.
    tokens: hmac::Key,
    rng: Arc<dyn Rng>,
}

/// What one key is checked with, opened: of each digest the stored key and the server's.
pub(crate) struct Verifier(SecretBox<Vec<u8>>);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(hidden)")
    }
}

const ALL: [Digest; 2] = [Digest::Sha256, Digest::Sha512];

fn hmac_of(digest: Digest) -> hmac::Algorithm {
    match digest {
        Digest::Sha256 => hmac::HMAC_SHA256,
        Digest::Sha512 => hmac::HMAC_SHA512,
    }
}

fn hash_of(digest: Digest) -> &'static digest::Algorithm {
    match digest {
        Digest::Sha256 => &digest::SHA256,
        Digest::Sha512 => &digest::SHA512,
    }
}

fn stretching_of(digest: Digest) -> pbkdf2::Algorithm {
    match digest {
        Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
    }
}

fn size_of(digest: Digest) -> usize {
    hash_of(digest).output_len()
}

fn sign(digest: Digest, key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac_of(digest), key), message)
}

impl Verifier {
    /// Of any secret and salt: for tests that have theirs from the standard.
    #[cfg(test)]
    pub fn of(salt: &[u8], text: &[u8]) -> Verifier {
        Verifier(SecretBox::new(Box::new(stretch(salt, text).to_vec())))
    }

    /// The stored key and the server's.
    fn keys(&self, digest: Digest) -> Option<(&[u8], &[u8])> {
        let skipped: usize =
            ALL.into_iter().take_while(|&other| other != digest).map(|of| 2 * size_of(of)).sum();
        let rest = self.0.expose_secret().get(1 + skipped..)?;
        let (stored, rest) = rest.split_at_checked(size_of(digest))?;
        Some((stored, rest.get(..size_of(digest))?))
    }
}

impl Scram {
    pub fn new(secrets: &Secrets, rng: Arc<dyn Rng>) -> Scram {
        let salts = secrets.derive("scram salts");
        let tokens = secrets.derive("delegation tokens");
        Scram {
            sealer: secrets.sealer(Arc::clone(&rng)),
            salts: hmac::Key::new(hmac::HMAC_SHA256, salts.expose_secret()),
            tokens: hmac::Key::new(hmac::HMAC_SHA512, tokens.expose_secret()),
            rng,
        }
    }

    /// The same for the same name, and nobody else's.
    pub fn salt(&self, of: &str) -> Vec<u8> {
        let tag = hmac::sign(&self.salts, of.as_bytes());
        tag.as_ref().iter().copied().take(SALT_BYTES).collect()
    }

    /// Printable, and never twice.
    pub fn nonce(&self) -> String {
        let mut bytes = [0; NONCE_BYTES];
        self.rng.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What is stored of a key. Takes some milliseconds, so it is nothing for async threads.
    pub fn make(&self, lookup: &str, text: &SecretString) -> Vec<u8> {
        let plain = stretch(&self.salt(lookup), text.expose_secret().as_bytes());
        self.sealer.seal(&place(lookup), &plain)
    }

    /// # Errors
    /// When it was sealed with another root secret or for another key, or in a form of the future.
    pub fn open(&self, lookup: &str, sealed: &[u8]) -> Result<Verifier, NotSealedHere> {
        let verifier = Verifier(self.sealer.open(&place(lookup), sealed)?);
        let is_whole = ALL.into_iter().all(|digest| verifier.keys(digest).is_some());
        let form = verifier.0.expose_secret().first();
        (form == Some(&FORM) && is_whole).then_some(verifier).ok_or(NotSealedHere)
    }

    /// HMAC-SHA-512 of its name under a key that serves for nothing else.
    pub fn token_secret(&self, name: &str) -> Option<TokenSecret> {
        let tag = hmac::sign(&self.tokens, name.as_bytes());
        tag.as_ref().try_into().ok().map(TokenSecret)
    }

    /// Checks a proof made with the secret of the token, whose text is what a key's is elsewhere.
    /// Nothing is looked up, so the time tells nothing. It takes some milliseconds.
    pub fn confirm_token(&self, response: &Response) -> Option<Vec<u8>> {
        let Response { digest, name, message, proof } = response;
        let text = Zeroizing::new(STANDARD.encode(self.token_secret(name)?.0));
        let plain = stretch(&self.salt(name), text.as_bytes());
        let verifier = Verifier(SecretBox::new(Box::new(plain.to_vec())));
        self.confirm(Some(&verifier), *digest, message, proof)
    }

    /// Checks a client's proof and answers ours. Without a verifier it does the same work in vain,
    /// so that the time does not tell which names exist.
    pub fn confirm(
        &self,
        verifier: Option<&Verifier>,
        digest: Digest,
        message: &[u8],
        proof: &[u8],
    ) -> Option<Vec<u8>> {
        let nobody = vec![0; size_of(digest)];
        let keys = verifier.and_then(|verifier| verifier.keys(digest));
        let (stored, server) = keys.unwrap_or((&nobody, &nobody));
        let mut client = Zeroizing::new(sign(digest, stored, message).as_ref().to_vec());
        let fits = proof.len() == client.len();
        for (byte, shown) in client.iter_mut().zip(proof) {
            *byte ^= shown;
        }
        let hash = digest::digest(hash_of(digest), &client);
        let is_right = verify_slices_are_equal(hash.as_ref(), stored).is_ok();
        let signature = sign(digest, server, message).as_ref().to_vec();
        (fits && is_right && keys.is_some()).then_some(signature)
    }
}

/// What a secret is checked with, in the form that is sealed.
fn stretch(salt: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(vec![FORM]);
    let rounds = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
    for digest in ALL {
        let mut salted = Zeroizing::new(vec![0; size_of(digest)]);
        pbkdf2::derive(stretching_of(digest), rounds, salt, text, &mut salted);
        let client = sign(digest, &salted, b"Client Key");
        plain.extend_from_slice(digest::digest(hash_of(digest), client.as_ref()).as_ref());
        plain.extend_from_slice(sign(digest, &salted, b"Server Key").as_ref());
    }
    plain
}

/// Where it is stored: sealed for one key, it opens for no other.
fn place(lookup: &str) -> String {
    format!("api_keys.verifier/{lookup}")
}
