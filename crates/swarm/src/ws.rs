//! The client's half of WebSocket (RFC 6455) around a protocol that speaks in messages. No
//! extension is offered and no accept key is checked: this is a load, not a browser.

use crate::dialect::{Dialect, Heard, Line};
use crate::http;

/// Stages of a line that this layer uses; a protocol's own begin at `TALKING`.
const UPGRADING: u8 = 0;
pub const TALKING: u8 = 1;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0x8A;
/// A server's frame beyond this is taken for a broken stream.
const FRAME_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Binary,
}

/// A protocol inside WebSocket messages.
pub trait Talk: Send + Sync {
    /// Path and query of the upgrade request.
    fn path(&self, line: &Line) -> String;
    /// Further header lines of it, each with its line end.
    fn headers(&self, _line: &Line) -> String {
        String::new()
    }
    fn host(&self) -> String;
    fn kind(&self) -> Kind;
    /// The upgrade is through; what is said now is one message, or none if empty.
    fn opened(&self, line: &mut Line, heard: &mut Heard, say: &mut Vec<u8>);
    /// A message came. `say` may answer with one.
    fn message(
        &self,
        line: &mut Line,
        message: &[u8],
        heard: &mut Heard,
        say: &mut Vec<u8>,
    ) -> Result<(), String>;
    /// One message that publishes `values`.
    fn publish(&self, line: &mut Line, stream: u32, values: &[Vec<u8>], say: &mut Vec<u8>);
    fn answers(&self) -> bool {
        true
    }
}

/// A `Talk` as a dialect.
pub struct WebSocket<T>(pub T);

impl<T: Talk> WebSocket<T> {
    fn send(&self, say: &[u8], out: &mut Vec<u8>) {
        if !say.is_empty() {
            let first = if self.0.kind() == Kind::Text { TEXT } else { BINARY };
            frame(first, say, out);
        }
    }
}

impl<T: Talk> Dialect for WebSocket<T> {
    fn begin(&self, line: &mut Line, out: &mut Vec<u8>) {
        line.stage = UPGRADING;
        let (path, host) = (self.0.path(line), self.0.host());
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            self.0.headers(line)
        );
        out.extend_from_slice(head.as_bytes());
    }

    fn hear(
        &self,
        line: &mut Line,
        input: &[u8],
        heard: &mut Heard,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut taken = 0;
        let mut say = Vec::new();
        if line.stage == UPGRADING {
            let Some(head) = http::head(input)? else { return Ok(0) };
            if head.status != 101 {
                let whole = String::from_utf8_lossy(input);
                return Err(format!("the upgrade was answered {}: {whole}", head.status));
            }
            taken = head.bytes;
            line.stage = TALKING;
            self.0.opened(line, heard, &mut say);
            self.send(&say, out);
        }
        while let Some(one) = parse(input.get(taken..).unwrap_or_default())? {
            let payload = input.get(taken + one.head..taken + one.head + one.payload);
            let payload = payload.unwrap_or_default();
            taken += one.head + one.payload;
            match one.opcode {
                PING => frame(PONG, payload, out),
                CLOSE => return Err(closed(payload)),
                0..=2 => {
                    say.clear();
                    self.0.message(line, payload, heard, &mut say)?;
                    self.send(&say, out);
                }
                _ => {}
            }
        }
        Ok(taken)
    }

    fn publish(&self, line: &mut Line, stream: u32, values: &[Vec<u8>], out: &mut Vec<u8>) {
        let mut say = Vec::new();
        self.0.publish(line, stream, values, &mut say);
        self.send(&say, out);
    }

    fn answers(&self) -> bool {
        self.0.answers()
    }
}

/// A client's masked frame; the mask is zero, which hides nothing and is as good for a load.
pub fn frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// A server's frame, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub head: usize,
    pub payload: usize,
}

/// The frame at the beginning of `input`; `None` when it is not all there.
pub fn parse(input: &[u8]) -> Result<Option<Frame>, String> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    let (head, payload) = match (second & 0x7F, rest) {
        (short @ 0..126, _) => (2, u64::from(short)),
        (126, [high, low, ..]) => (4, u64::from(u16::from_be_bytes([*high, *low]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
        }
        _ => return Ok(None),
    };
    if second & 0x80 != 0 || payload > FRAME_BYTES_MAX {
        return Err("the server's stream is not WebSocket".to_owned());
    }
    let payload = payload as usize;
    let opcode = first & 0x0F;
    Ok((input.len() >= head + payload).then_some(Frame { opcode, head, payload }))
}

fn closed(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("closed by the server: {code} {}", String::from_utf8_lossy(reason))
        }
        _ => "closed by the server".to_owned(),
    }
}
