//! What an extent that the collector wrote says about itself, behind the extent's header: which
//! extents it stands for, and its place among the others. Two copies, in the same halves of the
//! block as those of the header.

use super::fields::{Fields, Slots};
use super::{BLOCK_BYTES, checksum};
use crate::{ExtentId, ExtentRef};
use types::TimestampMs;

const MAGIC: u32 = u32::from_le_bytes(*b"MSXL");
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 56;
const EXTENT_BYTES: usize = 12;
const COPIES: [usize; 2] = [512, BLOCK_BYTES / 2 + 512];
const COPY_BYTES: usize = BLOCK_BYTES / 2 - 512;

/// As many as a copy has room for.
pub const REPLACED_MAX: usize = (COPY_BYTES - HEAD_BYTES) / EXTENT_BYTES;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub generation: u64,
    /// Its place in the order of age: that of the newest extent it stands for.
    pub order: u64,
    /// The byte after the last one of its data: all of it was written before the extent counted.
    pub data_end: u64,
    /// From when on `expiring_bytes` of it are of no use any more.
    pub expires_at: TimestampMs,
    pub expiring_bytes: u64,
    /// Where both are there, these do not count.
    pub replaced: Vec<ExtentRef>,
}

impl Lineage {
    /// Adds the lineage to a header's block. There are at most `REPLACED_MAX` extents in it.
    pub fn encode(&self, block: &mut [u8; BLOCK_BYTES]) {
        let mut copy = [0; COPY_BYTES];
        let mut slots = Slots(&mut copy[4..]);
        slots.u32(MAGIC);
        slots.u16(VERSION);
        slots.u16(self.replaced.len() as u16);
        slots.u64(self.generation);
        slots.u64(self.order);
        slots.u64(self.data_end);
        slots.i64(self.expires_at);
        slots.u64(self.expiring_bytes);
        slots.u32(0);
        for extent in self.replaced.iter().take(REPLACED_MAX) {
            slots.u32(extent.id.0);
            slots.u64(extent.generation);
        }
        let crc = checksum(self.generation, &[&copy[4..]]);
        copy[..4].copy_from_slice(&crc.to_le_bytes());
        for at in COPIES {
            block[at..at + COPY_BYTES].copy_from_slice(&copy);
        }
    }

    /// The first whole copy of that generation.
    pub fn decode(block: &[u8], generation: u64) -> Option<Lineage> {
        let copies = COPIES.iter().filter_map(|&at| block.get(at..at + COPY_BYTES));
        copies.filter_map(decode_copy).find(|lineage| lineage.generation == generation)
    }
}

fn decode_copy(bytes: &[u8]) -> Option<Lineage> {
    let mut fields = Fields(bytes);
    let crc = fields.u32()?;
    let checked = fields.0;
    if fields.u32()? != MAGIC || fields.u16()? != VERSION {
        return None;
    }
    let count = usize::from(fields.u16()?);
    let generation = fields.u64()?;
    if crc != checksum(generation, &[checked]) || count > REPLACED_MAX {
        return None;
    }
    let (order, data_end) = (fields.u64()?, fields.u64()?);
    let (expires_at, expiring_bytes) = (fields.i64()?, fields.u64()?);
    fields.u32()?;
    let replaced = (0..count)
        .map(|_| Some(ExtentRef { id: ExtentId(fields.u32()?), generation: fields.u64()? }))
        .collect::<Option<Vec<_>>>()?;
    Some(Lineage { generation, order, data_end, expires_at, expiring_bytes, replaced })
}
