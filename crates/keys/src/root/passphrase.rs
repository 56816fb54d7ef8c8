//! The root key out of something people or orchestrators give: a passphrase, stretched by argon2id
//! (RFC 9106), or 32 bytes in text form. It must not keep what it was given.

use super::{Root, RootKind};
use crate::error::KeysError;
use crate::secret::{SECRET_BYTES, Secret};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use stdx::Rng;
use zeroize::Zeroizing;

/// Shorter ones are guessed, however slow a guess is.
pub(crate) const PASSPHRASE_BYTES_MIN: usize = 12;
const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// How a root key comes from a passphrase; kept in the ring, and not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Derivation {
    pub(crate) salt: [u8; 16],
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Derivation {
    /// The second of the parameter sets recommended by RFC 9106 section 4: 64 MiB, three passes,
    /// four lanes.
    pub(crate) fn fresh(rng: &dyn Rng) -> Derivation {
        let mut salt = [0; 16];
        rng.fill(&mut salt);
        Derivation { salt, memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }

    /// What is read from a file must not take all memory or a day.
    pub(crate) fn is_bearable(&self) -> bool {
        const MEMORY_KIB_MAX: u32 = 1 << 20;
        const PASSES_MAX: u32 = 64;
        const LANES_MAX: u32 = 16;
        (8 * self.lanes.min(LANES_MAX)..=MEMORY_KIB_MAX).contains(&self.memory_kib)
            && (1..=PASSES_MAX).contains(&self.passes)
            && (1..=LANES_MAX).contains(&self.lanes)
    }
}

/// Takes about a tenth of a second and 64 MiB.
pub(crate) fn root(text: &SecretString, derivation: Derivation) -> Result<Root, KeysError> {
    let wrong = |message: String| KeysError::setting("root", message);
    let text = text.expose_secret().trim().as_bytes();
    if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&text.len()) {
        let text = "a passphrase has 12 to 1024 bytes; `openssl rand -base64 24` makes one";
        return Err(wrong(text.to_owned()));
    }
    let cost =
        Params::new(derivation.memory_kib, derivation.passes, derivation.lanes, Some(SECRET_BYTES));
    let cost = cost.map_err(|error| wrong(error.to_string()))?;
    let stretch = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    let key = Secret::filled(|out| stretch.hash_password_into(text, &derivation.salt, out));
    let key = key.map_err(|error| wrong(error.to_string()))?;
    Ok(Root::Key { kind: RootKind::Passphrase, key, derivation: Some(derivation) })
}

/// 64 hexadecimal digits, or base64 of 32 bytes.
pub(crate) fn secret_of_text(text: &str) -> Result<Secret, KeysError> {
    let text = text.trim();
    let bytes = match hexadecimal(text) {
        Some(bytes) => Some(bytes),
        None => STANDARD.decode(text).ok().map(Zeroizing::new),
    };
    bytes.and_then(|bytes| Secret::from_slice(&bytes)).ok_or_else(|| {
        let message = "the environment's secret must be 32 random bytes, as 64 hexadecimal \
                       digits or base64; `openssl rand -hex 32` makes one";
        KeysError::setting("root.secret_env", message)
    })
}

fn hexadecimal(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.as_bytes();
    if digits.len() != 2 * SECRET_BYTES {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES));
    for pair in digits.chunks_exact(2) {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let (high, low) = (digit(pair.first()?)?, digit(pair.last()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}
