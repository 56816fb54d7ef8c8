//! What producers send as records: one batch of format 2, its records compressed or not.

use bytes::Bytes;
use types::batch::{BATCH_BYTES_MAX, BATCH_HEADER_BYTES, packing};
use types::{BadBatch, Batch};

pub use packing::{Broken, Packing, pack};

/// Records of one batch, decompressed.
const RECORDS_BYTES_MAX: usize = BATCH_BYTES_MAX - BATCH_HEADER_BYTES;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecords {
    #[error("a partition's part of a request holds exactly one batch of records")]
    Count,
    #[error(transparent)]
    Batch(#[from] BadBatch),
}

/// Whether checking these bytes may take so long that it should not be done between other work: a
/// few of them can grow to as many as a batch may have.
pub fn is_slow(bytes: &[u8]) -> bool {
    !matches!(packing(bytes), Ok(None))
}

/// The batch, verified, and as it came.
pub fn batch(bytes: Bytes) -> Result<Batch, BadRecords> {
    let rest = bytes.get(8..12).and_then(|it| it.first_chunk::<4>()).ok_or(BadRecords::Count)?;
    if usize::try_from(i32::from_be_bytes(*rest)).ok().map(|rest| rest + 12) != Some(bytes.len()) {
        return Err(BadRecords::Count);
    }
    let batch = Batch::parse(bytes)?;
    batch.check_for_all()?;
    Ok(batch)
}

/// The records of one batch, decompressed.
///
/// # Errors
/// When they do not decompress, or are larger than a batch may be.
pub fn unpack(packing: Packing, packed: &[u8]) -> Result<Vec<u8>, Broken> {
    packing::unpack(packing, packed, RECORDS_BYTES_MAX)
}
