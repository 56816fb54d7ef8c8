//! Signing in (SASL): what is said first, and what is answered to a broker's question. No socket.

use super::scram::{Digest, Scram};
use crate::settings::Sasl;
use crate::{Error, Result};
use bytes::Bytes;
use secrecy::ExposeSecret;

/// What follows an answer.
pub enum Proof {
    Say(Bytes),
    Done,
}

/// A sign-in under way.
pub enum SignIn {
    /// All was said at once; whatever is answered ends it.
    Said,
    Scram(Box<Scram>),
}

/// The mechanism's name, the first message, and what is left to do.
pub fn begin(sasl: &Sasl, rng: &dyn stdx::Rng) -> (&'static str, Bytes, SignIn) {
    match sasl {
        Sasl::Plain { user, password } => {
            let text = format!("\0{user}\0{}", password.expose_secret());
            ("PLAIN", text.into(), SignIn::Said)
        }
        Sasl::OauthBearer { token } => {
            let text = format!("n,,\x01auth=Bearer {}\x01\x01", token.expose_secret());
            ("OAUTHBEARER", text.into(), SignIn::Said)
        }
        Sasl::ScramSha256 { user, password } => {
            let (scram, first) = Scram::begin(Digest::Sha256, user, password.clone(), rng);
            ("SCRAM-SHA-256", first.into(), SignIn::Scram(Box::new(scram)))
        }
        Sasl::ScramSha512 { user, password } => {
            let (scram, first) = Scram::begin(Digest::Sha512, user, password.clone(), rng);
            ("SCRAM-SHA-512", first.into(), SignIn::Scram(Box::new(scram)))
        }
    }
}

impl SignIn {
    /// # Errors
    /// When the answer is not what the mechanism has in this place.
    pub fn answered(&mut self, answer: &[u8]) -> Result<Proof> {
        match self {
            SignIn::Said if answer.is_empty() => Ok(Proof::Done),
            // RFC 7628: the broker says why not, and waits for a byte before it fails.
            SignIn::Said => Err(Error::SignIn(String::from_utf8_lossy(answer).into_owned())),
            SignIn::Scram(scram) => scram.answered(answer),
        }
    }
}
