//! SCRAM (RFC 5802, RFC 7677) as a client speaks it: the password never leaves, and the server
//! has to show that it knows it, too.

use super::Proof;
use crate::{Error, Result};
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::num::NonZeroU32;

/// Rounds that a broker may make us count.
const ROUNDS_MAX: u32 = 1_000_000;
/// RFC 7677 asks for as many at least.
const ROUNDS_MIN: u32 = 4_096;
const NONCE_BYTES: usize = 18;

#[derive(Clone, Copy, Debug)]
pub enum Digest {
    Sha256,
    Sha512,
}

pub struct Scram {
    digest: Digest,
    password: SecretString,
    nonce: String,
    first_bare: String,
    /// What the server must answer, once the proof was sent.
    expected: Option<Vec<u8>>,
    is_done: bool,
}

fn bad(why: &str) -> Error {
    Error::SignIn(format!("SCRAM: {why}"))
}

impl Scram {
    pub fn begin(
        digest: Digest,
        user: &str,
        password: SecretString,
        rng: &dyn stdx::Rng,
    ) -> (Scram, String) {
        let mut bytes = [0; NONCE_BYTES];
        rng.fill(&mut bytes);
        Scram::with_nonce(digest, user, password, STANDARD.encode(bytes))
    }

    /// With a nonce of the caller's: it must never come twice.
    pub fn with_nonce(
        digest: Digest,
        user: &str,
        password: SecretString,
        nonce: String,
    ) -> (Scram, String) {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={user},r={nonce}");
        let first = format!("n,,{first_bare}");
        (Scram { digest, password, nonce, first_bare, expected: None, is_done: false }, first)
    }

    pub fn answered(&mut self, answer: &[u8]) -> Result<Proof> {
        let text = std::str::from_utf8(answer).map_err(|_| bad("not UTF-8"))?;
        if let Some(why) = text.strip_prefix("e=") {
            return Err(bad(why));
        }
        match self.expected.take() {
            None if !self.is_done => self.prove(text),
            Some(expected) => {
                let shown = text.split(',').find_map(|part| part.strip_prefix("v="));
                let shown = shown.and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
                constant_time::verify_slices_are_equal(&shown, &expected)
                    .map_err(|_| bad("the server does not know the password"))?;
                self.is_done = true;
                Ok(Proof::Done)
            }
            None => Err(bad("nothing more was asked")),
        }
    }

    fn prove(&mut self, question: &str) -> Result<Proof> {
        let part = |name: &str| question.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = part("r=").ok_or_else(|| bad("no nonce"))?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(bad("a nonce that is not ours"));
        }
        let salt = part("s=").and_then(|text| STANDARD.decode(text).ok());
        let salt = salt.ok_or_else(|| bad("no salt"))?;
        let rounds: u32 = part("i=").and_then(|text| text.parse().ok()).unwrap_or(0);
        if !(ROUNDS_MIN..=ROUNDS_MAX).contains(&rounds) {
            return Err(bad("a count of rounds that is out of bounds"));
        }
        let rounds = NonZeroU32::new(rounds).ok_or_else(|| bad("no rounds"))?;
        let (stretching, hashing, signing) = match self.digest {
            Digest::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, &digest::SHA256, hmac::HMAC_SHA256),
            Digest::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, &digest::SHA512, hmac::HMAC_SHA512),
        };
        let mut salted = vec![0; hashing.output_len()];
        let password = self.password.expose_secret().as_bytes();
        pbkdf2::derive(stretching, rounds, &salt, password, &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(signing, key), text);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(hashing, client_key.as_ref());
        let unproven = format!("c=biws,r={nonce}");
        let said = format!("{},{question},{unproven}", self.first_bare);
        let signature = sign(stored_key.as_ref(), said.as_bytes());
        let proof = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b);
        let proof = STANDARD.encode(proof.collect::<Vec<u8>>());
        let server_key = sign(&salted, b"Server Key");
        self.expected = Some(sign(server_key.as_ref(), said.as_bytes()).as_ref().to_vec());
        Ok(Proof::Say(format!("{unproven},p={proof}").into()))
    }
}
