//! The primitives of `mainstem.v1.bin`: LEB128 numbers, zigzag for signed ones, and bytes behind
//! their length. It must not know any frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use port::{Code, Refusal};

/// Reads a message from its front; every method refuses rather than read past the end.
#[derive(Debug)]
pub struct BytesReader {
    rest: Bytes,
}

impl BytesReader {
    pub fn new(message: Bytes) -> BytesReader {
        BytesReader { rest: message }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not yet read: what bounds the count of anything that still follows.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn byte(&mut self, field: &str) -> Result<u8, Refusal> {
        if self.rest.is_empty() {
            return Err(cut_off(field));
        }
        Ok(self.rest.get_u8())
    }

    /// LEB128, at most ten bytes.
    pub fn varint(&mut self, field: &str) -> Result<u64, Refusal> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Refusal::new(Code::InvalidRequest, "the number has more than 64 bits").field(field))
    }

    pub fn number<N: TryFrom<u64>>(&mut self, field: &str) -> Result<N, Refusal> {
        N::try_from(self.varint(field)?).map_err(|_| {
            Refusal::new(Code::InvalidRequest, "the number is out of range").field(field)
        })
    }

    /// Zigzag over LEB128.
    pub fn signed(&mut self, field: &str) -> Result<i64, Refusal> {
        let value = self.varint(field)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A slice of the message.
    pub fn bytes(&mut self, field: &str) -> Result<Bytes, Refusal> {
        let length: usize = self.number(field)?;
        if length > self.rest.len() {
            return Err(cut_off(field));
        }
        Ok(self.rest.split_to(length))
    }

    pub fn text(&mut self, field: &str) -> Result<String, Refusal> {
        let bytes = self.bytes(field)?;
        String::from_utf8(bytes.into())
            .map_err(|_| Refusal::new(Code::InvalidRequest, "the text is not UTF-8").field(field))
    }
}

fn cut_off(field: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, "the frame ends too early").field(field)
}

pub fn write_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub fn write_signed(out: &mut BytesMut, value: i64) {
    write_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub fn write_bytes(out: &mut BytesMut, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}
