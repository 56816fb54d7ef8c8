//! The W3C trace context of a request, which travels with the records it publishes. It must not
//! start or record spans.

use bytes::Bytes;
use http::HeaderMap;

/// The request's `traceparent` if it is well formed; a malformed one is ignored, as the W3C
/// recommendation (Trace Context, section 3.2.2) asks.
pub fn traceparent(headers: &HeaderMap) -> Option<Bytes> {
    let value = headers.get(types::record::header::TRACEPARENT)?.as_bytes();
    is_traceparent(value).then(|| Bytes::copy_from_slice(value))
}

/// `version-trace_id-parent_id-flags` in lower-case hexadecimal, with ids that are not all zero.
pub fn is_traceparent(value: &[u8]) -> bool {
    const LENGTHS: [usize; 4] = [2, 32, 16, 2];
    let mut fields = value.split(|&byte| byte == b'-');
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let mut is_good = true;
    for (index, length) in LENGTHS.into_iter().enumerate() {
        let Some(field) = fields.next() else { return false };
        let is_id = index == 1 || index == 2;
        is_good &= field.len() == length && field.iter().all(is_hex);
        is_good &= !(is_id && field.iter().all(|&byte| byte == b'0'));
        is_good &= !(index == 0 && field == b"ff");
    }
    // Version 00 has exactly four fields; later ones may append more.
    is_good && (fields.next().is_none() || !value.starts_with(b"00"))
}
