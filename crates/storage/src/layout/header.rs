//! The first block of an extent: which generation it holds, or that it is free. Two copies in
//! sectors of their own, so that a torn rewrite leaves the old one or the new one whole, and so
//! does a flipped bit.

use super::fields::{Fields, Slots};
use super::{BLOCK_BYTES, Seal, VERSION, checksum};
use types::TimestampMs;

const MAGIC: u32 = u32::from_le_bytes(*b"MSXH");
const BYTES: usize = 56;
const COPIES: [usize; 2] = [0, BLOCK_BYTES / 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Waits in the pool; what it holds is of no use to anybody.
    Free,
    /// Open or sealed: its frames count.
    Taken,
    /// Written by the collector in place of others, which its lineage names.
    Rewritten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub id: u32,
    pub use_now: Use,
    pub seal: Seal,
    /// Up to here the file had been written at least once when this header was.
    pub prepared_bytes: u64,
    pub created: TimestampMs,
}

impl Header {
    pub fn encode(&self, block: &mut [u8; BLOCK_BYTES]) {
        block.fill(0);
        let mut copy = [0; BYTES];
        let mut slots = Slots(&mut copy[4..]);
        slots.u32(MAGIC);
        slots.u16(VERSION);
        slots.u16(match self.use_now {
            Use::Free => 1,
            Use::Taken => 2,
            Use::Rewritten => 3,
        });
        slots.u32(self.id);
        slots.u64(self.seal.generation);
        slots.u64(self.seal.salt);
        slots.u64(self.prepared_bytes);
        slots.i64(self.created);
        let crc = checksum(0, &[&copy[4..]]);
        copy[..4].copy_from_slice(&crc.to_le_bytes());
        for at in COPIES {
            block[at..at + BYTES].copy_from_slice(&copy);
        }
    }

    /// The newest whole copy; `None` when neither is.
    pub fn decode(block: &[u8]) -> Option<Header> {
        let copies = COPIES.iter().filter_map(|&at| decode_copy(block.get(at..at + BYTES)?));
        // Of one generation the free copy is the later one: an extent is freed after its use.
        copies.max_by_key(|header| (header.seal.generation, header.use_now == Use::Free))
    }
}

fn decode_copy(bytes: &[u8]) -> Option<Header> {
    let mut fields = Fields(bytes);
    let crc = fields.u32()?;
    if crc != checksum(0, &[fields.0]) || fields.u32()? != MAGIC || fields.u16()? != VERSION {
        return None;
    }
    let use_now = match fields.u16()? {
        1 => Use::Free,
        2 => Use::Taken,
        3 => Use::Rewritten,
        _ => return None,
    };
    Some(Header {
        id: fields.u32()?,
        use_now,
        seal: Seal { generation: fields.u64()?, salt: fields.u64()? },
        prepared_bytes: fields.u64()?,
        created: fields.i64()?,
    })
}
