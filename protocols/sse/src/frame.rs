//! The event stream format (WHATWG HTML, section 9.2.5 and 9.2.6), written. Pure: no connection, no
//! record, no hub.

use bytes::{BufMut, BytesMut};
use std::time::Duration;

/// An empty comment: something to read for whoever wonders whether the stream lives.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// One event. Without `name` clients know it as `message`; with `id` they resume from it. `data`
/// is what remains after its line breaks have become `\n`, for the format has no other.
pub fn write_event(out: &mut BytesMut, id: Option<&str>, name: Option<&str>, data: &[&[u8]]) {
    out.reserve(64 + data.iter().map(|part| part.len()).sum::<usize>());
    if let Some(id) = id {
        write_line(out, b"id: ", id);
    }
    if let Some(name) = name {
        write_line(out, b"event: ", name);
    }
    out.put_slice(b"data: ");
    // `\r\n` is one break, also when its halves lie in different parts.
    let mut after_return = false;
    for part in data {
        let mut rest = *part;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
            let is_second_half = rest[at] == b'\n' && at == 0 && after_return;
            if !is_second_half {
                out.put_slice(&rest[..at]);
                out.put_slice(b"\ndata: ");
            }
            after_return = rest[at] == b'\r';
            rest = &rest[at + 1..];
        }
        out.put_slice(rest);
        after_return &= rest.is_empty();
    }
    out.put_slice(b"\n\n");
}

/// An id without an event: the client remembers it and tells nobody.
pub fn write_id(out: &mut BytesMut, id: &str) {
    write_line(out, b"id: ", id);
    out.put_u8(b'\n');
}

/// How long the client waits before it connects again.
pub fn write_retry(out: &mut BytesMut, wait: Duration) {
    write_line(out, b"retry: ", &wait.as_millis().to_string());
    out.put_u8(b'\n');
}

/// One field. What would break the line, or make clients ignore an id, is left out: ids and names
/// are ours and hold none of it.
fn write_line(out: &mut BytesMut, field: &[u8], text: &str) {
    out.put_slice(field);
    for part in text.as_bytes().split(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        out.put_slice(part);
    }
    out.put_u8(b'\n');
}
