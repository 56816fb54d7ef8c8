//! Writes JSON text into a buffer: strings, numbers, base64. No values are built and nothing is
//! allocated beside the buffer. It must not know what it writes about.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};

/// `,"name":` where `name` needs no escaping.
pub fn write_member(out: &mut BytesMut, name: &'static str) {
    out.put_slice(b",\"");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\":");
}

/// A JSON string with its quotes (RFC 8259 section 7).
pub fn write_string(out: &mut BytesMut, text: &str) {
    out.put_u8(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.put_slice(&bytes[written..index]);
        written = index + 1;
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.put_slice(b"\\u00");
                out.put_u8(HEX[usize::from(control >> 4)]);
                out.put_u8(HEX[usize::from(control & 0xf)]);
            }
        }
    }
    out.put_slice(&bytes[written..]);
    out.put_u8(b'"');
}

pub fn write_number(out: &mut BytesMut, number: u64) {
    write_display(out, number);
}

/// Anything whose text needs no escaping.
pub fn write_display(out: &mut BytesMut, value: impl std::fmt::Display) {
    use std::fmt::Write;
    // Writing into a growing buffer does not fail.
    let _ = write!(out, "{value}");
}

/// A JSON string of standard base64 with padding.
pub fn write_base64(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u8(b'"');
    // Chunks of a multiple of three encode without padding between them.
    let mut text = [0; 4096];
    for chunk in bytes.chunks(3072) {
        // 3072 bytes become exactly 4096 characters, so the slice is never too small.
        let length = STANDARD.encode_slice(chunk, &mut text).unwrap_or(0);
        out.put_slice(&text[..length]);
    }
    out.put_u8(b'"');
}
