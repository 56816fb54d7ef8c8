//! The receiver's side: the three headers, the age of the message, and the first signature that
//! fits. Everything here was sent by a stranger.

use crate::secret::VerifyingKey;
use crate::signed;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Seconds that a message may be older or newer than the receiver's clock, by the specification.
pub const TOLERANCE_S: i64 = 300;
/// Signatures of one header that are looked at; a sender has one per secret that counts.
pub const SIGNATURES_MAX: usize = 16;
/// Bytes of an id.
const ID_BYTES_MAX: usize = 256;
/// Bytes of a signature in base64: Ed25519 has 64 bytes.
const SIGNATURE_BYTES_MAX: usize = 128;

/// The headers as they came.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub signatures: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("`webhook-id` is empty or longer than 256 bytes")]
    Id,
    #[error("`webhook-timestamp` is not a number of seconds since 1970")]
    Timestamp,
    #[error("the message is older than the tolerance: it may be a replay")]
    TooOld,
    #[error("the message is from the future: one of the two clocks is wrong")]
    TooNew,
    #[error("`webhook-signature` holds no signature of a known version")]
    NoSignature,
    #[error("no signature fits: another secret, or the body was changed on its way")]
    Mismatch,
}

/// Whether one of the signatures was made with one of the keys over exactly this body, and the
/// message is at most `tolerance_s` away from `now_s`. Replays within the tolerance are told
/// apart by the id, which the receiver remembers.
pub fn verify(
    keys: &[VerifyingKey],
    received: Received<'_>,
    body: &[u8],
    now_s: i64,
    tolerance_s: i64,
) -> Result<(), BadSignature> {
    if received.id.is_empty() || received.id.len() > ID_BYTES_MAX {
        return Err(BadSignature::Id);
    }
    let timestamp: i64 = received.timestamp.parse().map_err(|_| BadSignature::Timestamp)?;
    if timestamp < now_s.saturating_sub(tolerance_s) {
        return Err(BadSignature::TooOld);
    }
    if timestamp > now_s.saturating_add(tolerance_s) {
        return Err(BadSignature::TooNew);
    }
    let content = signed(received.id, timestamp, body);
    let mut is_known = false;
    for signature in received.signatures.split(' ').take(SIGNATURES_MAX) {
        let Some((version, signature)) = read(signature) else {
            continue;
        };
        is_known = true;
        if keys.iter().any(|key| key.check(version, &signature, &content)) {
            return Ok(());
        }
    }
    Err(if is_known { BadSignature::Mismatch } else { BadSignature::NoSignature })
}

/// `version,base64` of a version that is known; others are passed over, as the specification says.
fn read(text: &str) -> Option<(&str, Vec<u8>)> {
    let (version, signature) = text.split_once(',')?;
    if !matches!(version, "v1" | "v1a") || signature.len() > SIGNATURE_BYTES_MAX {
        return None;
    }
    Some((version, STANDARD.decode(signature).ok()?))
}
