//! Batches whose records are compressed, as clients send them: told apart, decompressed for whoever
//! looks into them, and made anew in the open for whoever cannot decompress them.

use super::wire::{CHECKED_FROM, CODEC_MASK, MAGIC};
use super::{BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BadBatch, Batch};
use bytes::{BufMut, Bytes, BytesMut};
use packing::{Broken, Packing};

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BadBatch> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(BadBatch::Length)
}

/// How the records are compressed; `None`: they are not, and nothing else was checked.
///
/// # Errors
/// When the bytes are not one whole batch of format 2 under its checksum.
pub fn packing(bytes: &[u8]) -> Result<Option<Packing>, BadBatch> {
    let [magic] = field::<1>(bytes, 16)?;
    if magic.cast_signed() != MAGIC {
        return Err(BadBatch::Magic(magic.cast_signed()));
    }
    let attributes = i16::from_be_bytes(field(bytes, CHECKED_FROM)?);
    let Some(packing) = of_attributes(attributes)? else { return Ok(None) };
    let rest = i32::from_be_bytes(field(bytes, 8)?);
    if bytes.len() < BATCH_HEADER_BYTES || usize::try_from(rest) != Ok(bytes.len() - 12) {
        return Err(BadBatch::Length);
    }
    let checksum = u32::from_be_bytes(field(bytes, 17)?);
    if checksum != crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]) {
        return Err(BadBatch::Checksum);
    }
    Ok(Some(packing))
}

/// By the attributes of a batch.
pub(super) fn of_attributes(attributes: i16) -> Result<Option<Packing>, BadBatch> {
    Ok(Some(match attributes & CODEC_MASK {
        0 => return Ok(None),
        1 => Packing::Gzip,
        2 => Packing::Snappy,
        3 => Packing::Lz4,
        4 => Packing::Zstd,
        codec => return Err(BadBatch::Compression(codec)),
    }))
}

/// The records of a packed batch.
pub(super) fn open(packing: Packing, bytes: &[u8]) -> Result<Bytes, BadBatch> {
    let packed = bytes.get(BATCH_HEADER_BYTES..).ok_or(BadBatch::Length)?;
    match packing::unpack(packing, packed, BATCH_BYTES_MAX - BATCH_HEADER_BYTES) {
        Ok(records) => Ok(records.into()),
        Err(Broken::TooLarge) => Err(BadBatch::TooLarge),
        Err(Broken::Unpack(_)) => Err(BadBatch::Unpack),
    }
}

impl Batch {
    /// How its records are compressed, if they are.
    pub fn packing(&self) -> Option<Packing> {
        let attributes = i16::from_be_bytes(field(&self.bytes, CHECKED_FROM).unwrap_or_default());
        of_attributes(attributes).ok().flatten()
    }

    /// Refuses what we read and other clients may not, for batches that come.
    ///
    /// # Errors
    /// `BadBatch::Unpack`.
    pub fn check_for_all(&self) -> Result<(), BadBatch> {
        let (Some(packing), Some(records)) = (self.packing(), &self.open) else { return Ok(()) };
        let packed = self.bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default();
        packing::check_for_all(packing, packed, records).map_err(|_| BadBatch::Unpack)
    }

    /// What it takes in memory: its bytes, and its records once more where those have them packed.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.open.as_ref().map_or(0, Bytes::len)
    }

    /// What it would take in the open.
    pub fn open_bytes(&self) -> usize {
        let records = self.open.as_ref().map(Bytes::len);
        records.map_or(self.bytes.len(), |records| BATCH_HEADER_BYTES + records)
    }

    /// The same records in the open.
    pub fn unpacked(&self) -> Batch {
        let Some(records) = &self.open else { return self.clone() };
        let mut bytes = BytesMut::with_capacity(self.open_bytes());
        bytes.extend_from_slice(&self.bytes[..BATCH_HEADER_BYTES]);
        bytes.extend_from_slice(records);
        // It is at most `BATCH_BYTES_MAX`.
        let rest = (bytes.len() - 12) as i32;
        (&mut bytes[8..12]).put_i32(rest);
        clear_codec(&mut bytes);
        let checksum = crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]);
        (&mut bytes[17..CHECKED_FROM]).put_u32(checksum);
        Batch { bytes: bytes.freeze(), open: None, ..self.clone() }
    }
}

/// `bytes` begins with a batch's header; its checksum fits no more.
pub(super) fn clear_codec(bytes: &mut [u8]) {
    let attributes = i16::from_be_bytes([bytes[CHECKED_FROM], bytes[CHECKED_FROM + 1]]);
    (&mut bytes[CHECKED_FROM..CHECKED_FROM + 2]).put_i16(attributes & !CODEC_MASK);
}
