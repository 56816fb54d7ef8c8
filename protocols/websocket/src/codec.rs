//! Bytes to frames and back, pure: one message in, one frame out. A message that cannot be read is
//! a frame too (`Frame::Bad`), because its number is worth answering; only what breaks the
//! connection itself (too large) is a refusal. Nothing here knows a session or a hub.

mod binary;
mod binary_presence;
mod binary_say;
mod bytes_reader;
mod json;
mod json_presence;
mod json_say;

pub use binary::{BinaryCodec, call_kind};
pub use binary_say::say_kind;
pub use bytes_reader::{BytesReader, write_bytes, write_signed, write_varint};
pub use json::JsonCodec;

use bytes::{Bytes, BytesMut};
use port::{Code, Credential, Refusal};
use types::filter::Filter;
use wire_http::credential::SECRET_BYTES_MAX;

/// Cursors in one subscribe.
const CURSORS_MAX: usize = wire_http::param::CURSORS_MAX;

/// The whole message, or a refusal that ends the connection.
fn take_message(input: &mut BytesMut, bytes_max: usize) -> Result<Bytes, Refusal> {
    if input.len() > bytes_max {
        let message = format!("the frame has {} bytes, {bytes_max} are allowed", input.len());
        input.clear();
        return Err(Refusal::new(Code::PayloadTooLarge, message).hint("publish in several frames"));
    }
    Ok(input.split().freeze())
}

fn parse_filter(text: &str) -> Result<Filter, Refusal> {
    Filter::parse(text).map_err(|bad| {
        Refusal::new(Code::InvalidFilter, bad.to_string())
            .field("filter")
            .hint("`topic`, `topic/key`, with `+` for one level and `#` for the rest")
    })
}

fn traceparent(value: &[u8]) -> Option<Bytes> {
    // A malformed one is ignored, as W3C Trace Context section 3.2.2 asks.
    wire_http::trace::is_traceparent(value).then(|| Bytes::copy_from_slice(value))
}

/// The longest secret looked at is the same on every face.
fn sized_secret(secret: String) -> Result<Credential, Refusal> {
    if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
        return Err(Refusal::new(Code::InvalidRequest, "the credential is empty or too long")
            .field("token")
            .hint(format!("1 to {SECRET_BYTES_MAX} bytes")));
    }
    Ok(Credential::from_bearer(secret))
}
