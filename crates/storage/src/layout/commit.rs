//! The header in front of what was written and flushed together. A whole one proves that
//! everything before it had been acknowledged, because commits are strictly serial.

use super::fields::{Fields, Slots};
use super::{Seal, VERSION, checksum};
use types::TimestampMs;

const MAGIC: u32 = u32::from_le_bytes(*b"MSCM");
pub const HEADER_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitHeader {
    pub seal: Seal,
    /// Counts the commits of the extent from 0.
    pub sequence: u64,
    /// The sequence of the first frame inside; the others follow.
    pub frame_first: u64,
    pub frames: u32,
    /// Bytes with this header and without padding.
    pub total_bytes: u32,
    /// When it was written, as far as the clock is right; 0 when that is not known. Never falls
    /// within an extent, so that a moment in time is a place in it.
    pub written_at: TimestampMs,
}

impl CommitHeader {
    pub fn encode(&self, out: &mut [u8; HEADER_BYTES]) {
        out.fill(0);
        let mut slots = Slots(&mut out[4..]);
        slots.u32(MAGIC);
        slots.u16(VERSION);
        slots.u16(HEADER_BYTES as u16);
        slots.u64(self.seal.generation);
        slots.u64(self.seal.salt);
        slots.u64(self.sequence);
        slots.u64(self.frame_first);
        slots.u32(self.frames);
        slots.u32(self.total_bytes);
        slots.i64(self.written_at);
        let crc = checksum(self.seal.salt, &[&out[4..]]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// `None` unless the bytes begin with a whole commit header of this very extent.
    pub fn decode(bytes: &[u8], seal: Seal) -> Option<CommitHeader> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let mut fields = Fields(bytes);
        let crc = fields.u32()?;
        if fields.u32()? != MAGIC || fields.u16()? != VERSION {
            return None;
        }
        if usize::from(fields.u16()?) != HEADER_BYTES {
            return None;
        }
        let held = Seal { generation: fields.u64()?, salt: fields.u64()? };
        if held != seal || crc != checksum(seal.salt, &[&bytes[4..]]) {
            return None;
        }
        let header = CommitHeader {
            seal: held,
            sequence: fields.u64()?,
            frame_first: fields.u64()?,
            frames: fields.u32()?,
            total_bytes: fields.u32()?,
            written_at: fields.i64()?,
        };
        (header.total_bytes as usize >= HEADER_BYTES).then_some(header)
    }
}
