//! Batches whose records are compressed, as clients send them: told apart, and rewritten with their
//! records in the open once somebody has decompressed them. It must not know the codecs.

use super::wire::{CHECKED_FROM, CODEC_MASK, MAGIC};
use super::{BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BadBatch};
use bytes::{BufMut, Bytes, BytesMut};

/// How the records of a batch are compressed, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

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
    let packing = match attributes & CODEC_MASK {
        0 => return Ok(None),
        1 => Packing::Gzip,
        2 => Packing::Snappy,
        3 => Packing::Lz4,
        4 => Packing::Zstd,
        _ => return Err(BadBatch::Compression("unknown")),
    };
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

/// The batch with these records in place of its compressed ones; `Batch::parse` judges the result.
///
/// # Errors
/// When it would be larger than a batch may be.
pub fn unpacked(batch: &[u8], records: &[u8]) -> Result<Bytes, BadBatch> {
    let head = batch.get(..BATCH_HEADER_BYTES).ok_or(BadBatch::Length)?;
    let length = BATCH_HEADER_BYTES + records.len();
    if length > BATCH_BYTES_MAX {
        return Err(BadBatch::Length);
    }
    let mut bytes = BytesMut::with_capacity(length);
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(records);
    // It is below `BATCH_BYTES_MAX`.
    (&mut bytes[8..12]).put_i32((length - 12) as i32);
    let attributes = i16::from_be_bytes(field(batch, CHECKED_FROM)?) & !CODEC_MASK;
    (&mut bytes[CHECKED_FROM..CHECKED_FROM + 2]).put_i16(attributes);
    let checksum = crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]);
    (&mut bytes[17..CHECKED_FROM]).put_u32(checksum);
    Ok(bytes.freeze())
}
