//! WebSocket frames (RFC 6455 section 5): heads read and written, payloads unmasked. Pure; it must
//! not know connections, and no byte of input makes it panic.

use super::Violation;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        match bits {
            0x0 => Some(Opcode::Continuation),
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xA => Some(Opcode::Pong),
            _ => None,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// What the first reserved bit of a frame means (RFC 7692 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coding {
    /// Nothing was agreed on: nobody may set it.
    #[default]
    Plain,
    /// The message is compressed where it is set.
    Deflate,
}

/// The head of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub is_final: bool,
    /// The message that begins here is compressed.
    pub is_deflated: bool,
    pub opcode: Opcode,
    pub mask: [u8; 4],
    /// Bytes of the head itself; the payload begins there.
    pub head_bytes: usize,
    pub payload_bytes: usize,
}

/// Payload of a control frame (RFC 6455 section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
/// The three reserved bits, and the one of them that RFC 7692 uses.
const RESERVED: u8 = 0x70;
const DEFLATED: u8 = 0x40;
/// Two bytes, the longest length, no mask.
pub const SERVER_HEAD_BYTES_MAX: usize = 10;

impl Head {
    /// Reads a client's frame head, or `None` when it is not complete yet. `payload_bytes_max`
    /// bounds what the frame may announce, before a byte of it is waited for.
    pub fn parse(
        input: &[u8],
        coding: Coding,
        payload_bytes_max: usize,
    ) -> Result<Option<Head>, Violation> {
        let &[first, second, ..] = input else {
            return match input {
                [first] => check_first(*first, coding).map(|_| None),
                _ => Ok(None),
            };
        };
        let (is_final, opcode) = check_first(first, coding)?;
        let is_deflated = first & DEFLATED != 0;
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("a client's frame is not masked"));
        }
        let Some((length, length_bytes)) = length(second & 0x7F, &input[2..])? else {
            return Ok(None);
        };
        if opcode.is_control() && (!is_final || length > CONTROL_BYTES_MAX as u64) {
            return Err(Violation::Protocol("a control frame is fragmented or too long"));
        }
        let payload_bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if !opcode.is_control() && payload_bytes > payload_bytes_max {
            return Err(Violation::TooBig);
        }
        let Some(&[a, b, c, d]) = input.get(2 + length_bytes..2 + length_bytes + 4) else {
            return Ok(None);
        };
        let head_bytes = 2 + length_bytes + 4;
        let mask = [a, b, c, d];
        Ok(Some(Head { is_final, is_deflated, opcode, mask, head_bytes, payload_bytes }))
    }
}

fn check_first(first: u8, coding: Coding) -> Result<(bool, Opcode), Violation> {
    let Some(opcode) = Opcode::from_bits(first & 0x0F) else {
        return Err(Violation::Protocol("the opcode is reserved"));
    };
    // Only the first frame of a message says that it is compressed (RFC 7692 section 6.1).
    let may_deflate = coding == Coding::Deflate && matches!(opcode, Opcode::Text | Opcode::Binary);
    if first & RESERVED & !(if may_deflate { DEFLATED } else { 0 }) != 0 {
        return Err(Violation::Protocol("a reserved bit is set"));
    }
    Ok((first & 0x80 != 0, opcode))
}

/// The payload length and the bytes of its extended form. The shortest form is required.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, bytes, least) = match short {
        126 => match rest {
            [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 2, 126),
            _ => return Ok(None),
        },
        127 => match rest {
            [a, b, c, d, e, f, g, h, ..] => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8, 1 << 16)
            }
            _ => return Ok(None),
        },
        length => (u64::from(length), 0, 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(Violation::Protocol("the length is not in its shortest form"));
    }
    Ok(Some((length, bytes)))
}

/// Removes (or puts on) a client's mask; the payload begins at the mask's first byte.
pub fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// The head of a server's whole, unmasked frame, and how many of the bytes it takes.
pub fn server_head(opcode: Opcode, payload_bytes: usize) -> ([u8; SERVER_HEAD_BYTES_MAX], usize) {
    let mut head = [0; SERVER_HEAD_BYTES_MAX];
    head[0] = 0x80 | opcode.bits();
    if let Ok(short @ 0..126) = u8::try_from(payload_bytes) {
        head[1] = short;
        (head, 2)
    } else if let Ok(medium) = u16::try_from(payload_bytes) {
        head[1] = 126;
        head[2..4].copy_from_slice(&medium.to_be_bytes());
        (head, 4)
    } else {
        head[1] = 127;
        head[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
        (head, 10)
    }
}

/// The same for a frame whose payload is compressed.
pub fn deflated_head(opcode: Opcode, payload_bytes: usize) -> ([u8; SERVER_HEAD_BYTES_MAX], usize) {
    let (mut head, head_bytes) = server_head(opcode, payload_bytes);
    head[0] |= DEFLATED;
    (head, head_bytes)
}

/// The length of the server frame at the start of `bytes`, head and payload. `bytes` was written
/// by `server_head`; anything shorter counts as ending where it ends.
pub fn server_frame_bytes(bytes: &[u8]) -> usize {
    let Some(&second) = bytes.get(1) else {
        return bytes.len();
    };
    match length(second & 0x7F, &bytes[2..]) {
        Ok(Some((length, extended))) => {
            let payload = usize::try_from(length).unwrap_or(usize::MAX);
            payload.saturating_add(2 + extended).min(bytes.len())
        }
        _ => bytes.len(),
    }
}
