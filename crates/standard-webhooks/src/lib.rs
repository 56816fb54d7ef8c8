//! Signatures of the Standard Webhooks specification: made by the sender, checked by the receiver.
//! Pure functions of their arguments; it must not know a clock, a network or anything of ours.
#![forbid(unsafe_code)]

mod secret;
mod verify;

#[cfg(test)]
mod tests;

pub use secret::{
    BadSecret, PUBLIC_PREFIX, SEED_BYTES, SHARED_BYTES, SHARED_PREFIX, SigningKey, VerifyingKey,
};
pub use verify::{BadSignature, Received, SIGNATURES_MAX, TOLERANCE_S, verify};

/// Names one message for ever: the same in every attempt, so that receivers know it again.
pub const ID_HEADER: &str = "webhook-id";
/// Seconds since 1970 at which this attempt was signed.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Signatures, separated by spaces: one per secret that counts.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What is signed: `id.timestamp.body`. An id holds no dot, so no two messages read alike.
fn signed(id: &str, timestamp_s: i64, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{timestamp_s}.").into_bytes();
    content.extend_from_slice(body);
    content
}

/// The value of `webhook-signature`: a signature per key, in their order.
pub fn sign<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    id: &str,
    timestamp_s: i64,
    body: &[u8],
) -> String {
    let content = signed(id, timestamp_s, body);
    let signatures: Vec<String> = keys.into_iter().map(|key| key.sign(&content)).collect();
    signatures.join(" ")
}
