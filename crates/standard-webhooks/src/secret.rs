//! Secrets and keys in the specification's text form. Debug output shows none of them.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use std::fmt;

/// Before a shared secret.
pub const SHARED_PREFIX: &str = "whsec_";
/// Before a private key.
const PRIVATE_PREFIX: &str = "whsk_";
/// Before a public key.
pub const PUBLIC_PREFIX: &str = "whpk_";
/// Bytes of a shared secret, by the specification.
pub const SHARED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes that an Ed25519 key is made of.
pub const SEED_BYTES: usize = 32;
const PUBLIC_BYTES: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    #[error("a secret begins with `whsec_`, `whsk_` or `whpk_`")]
    Prefix,
    #[error("what follows the prefix is not base64")]
    Base64,
    #[error("a shared secret has 24 to 64 bytes")]
    SharedLength,
    #[error("a private key has 32 or 64 bytes, a public key 32")]
    KeyLength,
    #[error("the public half of the private key does not belong to it")]
    Halves,
    #[error("a public key cannot sign")]
    PublicOnly,
}

/// What a sender signs with.
pub enum SigningKey {
    Shared { key: Box<hmac::Key>, text: SecretString },
    Pair(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// From `whsec_...` or `whsk_...`; a private key is its seed, alone or with its public half.
    pub fn parse(text: &str) -> Result<SigningKey, BadSecret> {
        if text.starts_with(PUBLIC_PREFIX) {
            return Err(BadSecret::PublicOnly);
        }
        if let Some(rest) = text.strip_prefix(PRIVATE_PREFIX) {
            return SigningKey::from_private(&decode(rest)?);
        }
        let rest = text.strip_prefix(SHARED_PREFIX).ok_or(BadSecret::Prefix)?;
        SigningKey::from_shared(&decode(rest)?)
    }

    /// From the bytes of a shared secret.
    pub fn from_shared(bytes: &[u8]) -> Result<SigningKey, BadSecret> {
        if !SHARED_BYTES.contains(&bytes.len()) {
            return Err(BadSecret::SharedLength);
        }
        Ok(SigningKey::Shared {
            key: Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)),
            text: format!("{SHARED_PREFIX}{}", STANDARD.encode(bytes)).into(),
        })
    }

    /// From a seed of `SEED_BYTES`, or from seed and public key together.
    pub fn from_private(bytes: &[u8]) -> Result<SigningKey, BadSecret> {
        let pair = match bytes.split_at_checked(SEED_BYTES) {
            Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
            Some((seed, public)) if public.len() == PUBLIC_BYTES => {
                Ed25519KeyPair::from_seed_and_public_key(seed, public)
            }
            _ => return Err(BadSecret::KeyLength),
        };
        pair.map(|pair| SigningKey::Pair(Box::new(pair))).map_err(|_| BadSecret::Halves)
    }

    /// What the receiver needs: the shared secret itself, or the public key.
    pub fn for_receiver(&self) -> SecretString {
        match self {
            SigningKey::Shared { text, .. } => text.clone(),
            SigningKey::Pair(pair) => public_text(pair).into(),
        }
    }

    /// `whpk_...` of a key pair; `None` for a shared secret.
    pub fn public_key(&self) -> Option<String> {
        match self {
            SigningKey::Shared { .. } => None,
            SigningKey::Pair(pair) => Some(public_text(pair)),
        }
    }

    pub(crate) fn sign(&self, content: &[u8]) -> String {
        match self {
            SigningKey::Shared { key, .. } => {
                format!("v1,{}", STANDARD.encode(hmac::sign(key, content)))
            }
            SigningKey::Pair(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(content))),
        }
    }
}

fn public_text(pair: &Ed25519KeyPair) -> String {
    format!("{PUBLIC_PREFIX}{}", STANDARD.encode(pair.public_key()))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SigningKey::Shared { .. } => "SigningKey(shared, hidden)",
            SigningKey::Pair(_) => "SigningKey(pair, hidden)",
        })
    }
}

/// What a receiver checks with.
pub enum VerifyingKey {
    Shared(Box<hmac::Key>),
    Public([u8; PUBLIC_BYTES]),
}

impl VerifyingKey {
    /// From what the receiver was given: `whsec_...` or `whpk_...`.
    pub fn parse(text: &str) -> Result<VerifyingKey, BadSecret> {
        if let Some(rest) = text.strip_prefix(PUBLIC_PREFIX) {
            let bytes = decode(rest)?.try_into();
            return bytes.map(VerifyingKey::Public).map_err(|_| BadSecret::KeyLength);
        }
        match SigningKey::parse(text)? {
            SigningKey::Shared { key, .. } => Ok(VerifyingKey::Shared(key)),
            SigningKey::Pair(pair) => {
                let public = pair.public_key().as_ref().try_into();
                public.map(VerifyingKey::Public).map_err(|_| BadSecret::KeyLength)
            }
        }
    }

    /// Whether this is the signature of `content`; a shared one is compared in constant time.
    pub(crate) fn check(&self, version: &str, signature: &[u8], content: &[u8]) -> bool {
        match self {
            VerifyingKey::Shared(key) if version == "v1" => {
                hmac::verify(key, content, signature).is_ok()
            }
            VerifyingKey::Public(key) if version == "v1a" => {
                UnparsedPublicKey::new(&ED25519, key).verify(content, signature).is_ok()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VerifyingKey::Shared(_) => "VerifyingKey(shared, hidden)",
            VerifyingKey::Public(_) => "VerifyingKey(public)",
        })
    }
}

fn decode(text: &str) -> Result<Vec<u8>, BadSecret> {
    // The longest secret has 64 bytes; nothing longer is worth decoding.
    const TEXT_BYTES_MAX: usize = 128;
    if text.len() > TEXT_BYTES_MAX {
        return Err(BadSecret::SharedLength);
    }
    STANDARD.decode(text).map_err(|_| BadSecret::Base64)
}
