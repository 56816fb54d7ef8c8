//! Operator tokens: what opens the admin API of an installation. They belong to no tenant and are
//! compared in constant time, all of them each time, so that timing tells nothing.

use crate::refusal;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use port::Refusal;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Bytes of an operator token at least: shorter ones could be guessed.
pub const TOKEN_BYTES_MIN: usize = 24;
/// Bytes of a presented token that are looked at.
const TOKEN_BYTES_MAX: usize = 1_024;

/// Holds digests only, so that a memory dump does not show the tokens.
pub struct OperatorTokens {
    digests: Vec<Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an operator token has 24 to 1024 bytes")]
pub struct BadOperatorToken;

impl OperatorTokens {
    /// Without tokens nobody is an operator.
    pub fn new(tokens: &[SecretString]) -> Result<OperatorTokens, BadOperatorToken> {
        let digests = tokens
            .iter()
            .map(|token| {
                let token = token.expose_secret();
                let fits = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len());
                fits.then(|| digest(&SHA256, token.as_bytes())).ok_or(BadOperatorToken)
            })
            .collect::<Result<Vec<Digest>, BadOperatorToken>>()?;
        Ok(OperatorTokens { digests })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.digests.len() as u64
    }

    /// Refuses with `CREDENTIAL_MISSING` unless the presented token is one of them.
    pub fn check(&self, presented: &str) -> Result<(), Refusal> {
        if presented.len() > TOKEN_BYTES_MAX {
            return Err(refusal::not_operator());
        }
        let presented = digest(&SHA256, presented.as_bytes());
        let matching = self
            .digests
            .iter()
            .filter(|known| verify_slices_are_equal(known.as_ref(), presented.as_ref()).is_ok())
            .count();
        if matching > 0 { Ok(()) } else { Err(refusal::not_operator()) }
    }
}

impl fmt::Debug for OperatorTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorTokens({} hidden)", self.digests.len())
    }
}
