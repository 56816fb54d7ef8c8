//! The last block of an extent: where the footer is, or, in an extent that was still open when the
//! process ended in good order, where its data ends.

use super::fields::{Fields, Slots};
use super::{BLOCK_BYTES, Seal, VERSION, checksum};

const MAGIC: u32 = u32::from_le_bytes(*b"MSXT");
const BYTES: usize = 72;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A footer follows the data.
    Sealed,
    /// No footer yet, but `data_end` is known.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    pub kind: Kind,
    pub seal: Seal,
    /// The byte after the last acknowledged one.
    pub data_end: u64,
    pub footer_at: u64,
    pub footer_bytes: u64,
    pub streams: u32,
    /// Checksum of the footer's directory.
    pub directory_crc: u32,
    /// Up to here the file was written at least once.
    pub prepared_bytes: u64,
}

impl Trailer {
    pub fn encode(&self, block: &mut [u8]) {
        block.fill(0);
        let mut slots = Slots(&mut block[4..BYTES]);
        slots.u32(MAGIC);
        slots.u16(VERSION);
        slots.u16(match self.kind {
            Kind::Sealed => 1,
            Kind::Closed => 2,
        });
        slots.u32(self.streams);
        slots.u64(self.seal.generation);
        slots.u64(self.seal.salt);
        slots.u64(self.data_end);
        slots.u64(self.footer_at);
        slots.u64(self.footer_bytes);
        slots.u64(self.prepared_bytes);
        slots.u32(self.directory_crc);
        let crc = checksum(self.seal.salt, &[&block[4..BYTES]]);
        block[..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// `None` unless the block is a whole trailer of this very extent.
    pub fn decode(block: &[u8], seal: Seal) -> Option<Trailer> {
        let bytes = block.get(..BYTES.min(BLOCK_BYTES))?;
        let mut fields = Fields(bytes);
        let crc = fields.u32()?;
        if fields.u32()? != MAGIC || fields.u16()? != VERSION {
            return None;
        }
        let kind = match fields.u16()? {
            1 => Kind::Sealed,
            2 => Kind::Closed,
            _ => return None,
        };
        let streams = fields.u32()?;
        let held = Seal { generation: fields.u64()?, salt: fields.u64()? };
        if held != seal || crc != checksum(seal.salt, &[&bytes[4..]]) {
            return None;
        }
        Some(Trailer {
            kind,
            seal: held,
            streams,
            data_end: fields.u64()?,
            footer_at: fields.u64()?,
            footer_bytes: fields.u64()?,
            prepared_bytes: fields.u64()?,
            directory_crc: fields.u32()?,
        })
    }
}
