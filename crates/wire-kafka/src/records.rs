//! What producers send as records: one batch of format 2, its records compressed or not. Here it is
//! stored in the open, so that every protocol, filter and compaction sees the same records. What a
//! batch becomes when it is decompressed is bounded before it is done.

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};
use types::batch::{BATCH_BYTES_MAX, BATCH_HEADER_BYTES, Packing, packing, unpacked};
use types::{BadBatch, Batch};

/// Records of one batch, decompressed.
const RECORDS_BYTES_MAX: usize = BATCH_BYTES_MAX - BATCH_HEADER_BYTES;
/// The largest window a zstd frame may ask for, as a power of two: 32 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;
/// What Kafka's own producers use.
const ZSTD_LEVEL: i32 = 3;
/// How snappy-java begins its stream; see `snappy`.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
/// Two version numbers follow.
const XERIAL_HEAD_BYTES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecords {
    #[error("a partition's part of a request holds exactly one batch of records")]
    Count,
    #[error(transparent)]
    Batch(#[from] BadBatch),
    #[error("the records do not decompress: {0}")]
    Unpack(String),
    #[error("the records take more than {RECORDS_BYTES_MAX} bytes when they are decompressed")]
    TooLarge,
}

/// Whether checking these bytes takes so long that it should not be done between other work.
pub fn is_slow(bytes: &[u8]) -> bool {
    const FAST_BYTES_MAX: usize = 64 * 1024;
    bytes.len() > FAST_BYTES_MAX && !matches!(packing(bytes), Ok(None))
}

/// The batch, verified, its records in the open.
pub fn batch(bytes: Bytes) -> Result<Batch, BadRecords> {
    let rest = bytes.get(8..12).and_then(|it| it.first_chunk::<4>()).ok_or(BadRecords::Count)?;
    if usize::try_from(i32::from_be_bytes(*rest)).ok().map(|rest| rest + 12) != Some(bytes.len()) {
        return Err(BadRecords::Count);
    }
    match packing(&bytes)? {
        None => Ok(Batch::parse(bytes)?),
        Some(packing) => {
            let records = unpack(packing, &bytes[BATCH_HEADER_BYTES..])?;
            Ok(Batch::parse(unpacked(&bytes, &records)?)?)
        }
    }
}

/// Compresses the records of one batch, all together, as a client does before it sends them.
///
/// # Errors
/// When the codec fails, which memory alone makes it.
pub fn pack(packing: Packing, records: &[u8]) -> std::io::Result<Vec<u8>> {
    match packing {
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(records)?;
            encoder.finish()
        }
        // One block without a head, which Java's readers take as well.
        Packing::Snappy => Ok(snap::raw::Encoder::new().compress_vec(records)?),
        Packing::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(records)?;
            Ok(encoder.finish()?)
        }
        Packing::Zstd => zstd::stream::encode_all(records, ZSTD_LEVEL),
    }
}

/// The records of one batch, decompressed.
///
/// # Errors
/// When they do not decompress, or are larger than a batch may be.
pub fn unpack(packing: Packing, packed: &[u8]) -> Result<Vec<u8>, BadRecords> {
    match packing {
        Packing::Gzip => all(GzDecoder::new(packed)),
        Packing::Lz4 => all(lz4_flex::frame::FrameDecoder::new(packed)),
        Packing::Snappy => snappy(packed),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            all(decoder)
        }
    }
}

fn broken(error: impl std::fmt::Display) -> BadRecords {
    BadRecords::Unpack(error.to_string())
}

fn all(from: impl Read) -> Result<Vec<u8>, BadRecords> {
    let mut records = Vec::new();
    let limit = RECORDS_BYTES_MAX as u64 + 1;
    from.take(limit).read_to_end(&mut records).map_err(broken)?;
    if records.len() > RECORDS_BYTES_MAX { Err(BadRecords::TooLarge) } else { Ok(records) }
}

/// Java clients send blocks, each with its length, behind a head of their own; others one block
/// without either.
fn snappy(packed: &[u8]) -> Result<Vec<u8>, BadRecords> {
    let mut records = Vec::new();
    if !packed.starts_with(XERIAL) {
        block(packed, &mut records)?;
        return Ok(records);
    }
    let mut rest = packed.get(XERIAL_HEAD_BYTES..).ok_or_else(|| broken("it ends early"))?;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (one, behind) =
            behind.split_at_checked(length).ok_or_else(|| broken("a block ends early"))?;
        block(one, &mut records)?;
        rest = behind;
    }
    if rest.is_empty() { Ok(records) } else { Err(broken("a block ends early")) }
}

fn block(packed: &[u8], records: &mut Vec<u8>) -> Result<(), BadRecords> {
    let bytes = snap::raw::decompress_len(packed).map_err(broken)?;
    let before = records.len();
    if bytes > RECORDS_BYTES_MAX - before {
        return Err(BadRecords::TooLarge);
    }
    records.resize(before + bytes, 0);
    let written = snap::raw::Decoder::new().decompress(packed, &mut records[before..]);
    records.truncate(before + written.map_err(broken)?);
    Ok(())
}
