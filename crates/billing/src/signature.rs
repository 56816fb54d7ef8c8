//! Signatures of Stripe's webhooks: `t=` a moment, and `v1=` HMAC-SHA256 of `t.body` in hexadecimal
//! digits, of which there may be several while a secret is being changed
//! (docs.stripe.com/webhooks, "Verify webhook signatures manually").

use aws_lc_rs::hmac;

/// Signatures that one header may hold.
const SIGNATURES_MAX: usize = 8;

/// Why a body is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// No header, or none that says what it must.
    Malformed,
    /// None of its signatures is by this secret over this body.
    Wrong,
    /// Signed too long ago, or too far in the future.
    Stale,
}

fn decode(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.get(1)?).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(out)
}

/// Proves a body. The comparison takes the same time wherever the first difference is.
pub(crate) fn verify(
    secret: &str,
    header: &str,
    body: &[u8],
    now_s: i64,
    tolerance_s: u32,
) -> Result<(), Unproven> {
    let mut at: Option<&str> = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) if at.is_none() => at = Some(text),
            Some(("t", _)) => return Err(Unproven::Malformed),
            Some(("v1", hex)) if signatures.len() < SIGNATURES_MAX => {
                signatures.extend(decode(hex))
            }
            _ => {}
        }
    }
    let at = at.ok_or(Unproven::Malformed)?;
    let signed_at: i64 = at.parse().map_err(|_| Unproven::Malformed)?;
    if signatures.is_empty() {
        return Err(Unproven::Malformed);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut signed = Vec::with_capacity(at.len() + 1 + body.len());
    signed.extend_from_slice(at.as_bytes());
    signed.push(b'.');
    signed.extend_from_slice(body);
    let is_proven = signatures
        .iter()
        .fold(false, |found, one| found | hmac::verify(&key, &signed, one).is_ok());
    if !is_proven {
        return Err(Unproven::Wrong);
    }
    // Only a proven moment is looked at.
    if now_s.abs_diff(signed_at) > u64::from(tolerance_s) {
        return Err(Unproven::Stale);
    }
    Ok(())
}
