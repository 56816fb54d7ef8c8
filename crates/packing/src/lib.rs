//! How Kafka's producers compress the records of a batch, all together: gzip, snappy, lz4, zstd.
//! What is decompressed is bounded before it is done. It must not know what records are.
#![forbid(unsafe_code)]

use flate2::Compression;
use flate2::Crc;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

/// The largest window a zstd frame may ask for, as a power of two: 32 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;
/// What Kafka's own producers use.
const ZSTD_LEVEL: i32 = 3;
/// How snappy-java begins its stream; see `snappy`.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
/// Two version numbers follow.
const XERIAL_HEAD_BYTES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the records do not decompress: {0}")]
    Unpack(String),
    #[error("the records take too many bytes when they are decompressed")]
    TooLarge,
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
/// When they do not decompress, or to more than so many bytes.
pub fn unpack(packing: Packing, packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Broken> {
    match packing {
        Packing::Gzip => all(GzDecoder::new(packed), bytes_max),
        Packing::Lz4 => all(lz4_flex::frame::FrameDecoder::new(packed), bytes_max),
        Packing::Snappy => snappy(packed, bytes_max),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            all(decoder, bytes_max)
        }
    }
}

fn broken(error: impl std::fmt::Display) -> Broken {
    Broken::Unpack(error.to_string())
}

fn all(from: impl Read, bytes_max: usize) -> Result<Vec<u8>, Broken> {
    let mut records = Vec::new();
    let limit = bytes_max as u64 + 1;
    from.take(limit).read_to_end(&mut records).map_err(broken)?;
    // Without its spare capacity, since it may be kept for long.
    records.shrink_to_fit();
    if records.len() > bytes_max { Err(Broken::TooLarge) } else { Ok(records) }
}

/// Refuses what `unpack` reads and other clients of Kafka's do not. For what comes: what is stored
/// is read however it is.
///
/// # Errors
/// Why some clients would not read it.
pub fn check_for_all(packing: Packing, packed: &[u8], records: &[u8]) -> Result<(), Broken> {
    match packing {
        Packing::Gzip => check_member(packed, records),
        Packing::Lz4 => check_frame(packed),
        Packing::Snappy | Packing::Zstd => Ok(()),
    }
}

/// One member, which ends with the checksum and the length of what is in it (RFC 1952, 2.3.1): some
/// readers go on with a second one, and some do not.
fn check_member(packed: &[u8], records: &[u8]) -> Result<(), Broken> {
    let mut crc = Crc::new();
    crc.update(records);
    let end = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    if packed.ends_with(&end) { Ok(()) } else { Err(broken("more follows")) }
}

/// A frame of blocks that need no other, with its end (LZ4 Frame Format 1.6, "General Structure of
/// LZ4 Frame Format").
fn check_frame(packed: &[u8]) -> Result<(), Broken> {
    const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
    const ARE_INDEPENDENT: u8 = 1 << 5;
    const HAS_CHECKSUM: u8 = 1 << 2;
    let flags =
        *packed.get(4).filter(|_| packed.starts_with(&MAGIC)).ok_or_else(|| broken("no frame"))?;
    if flags & ARE_INDEPENDENT == 0 {
        return Err(broken("a block needs the one before"));
    }
    let checksum_bytes = if flags & HAS_CHECKSUM == 0 { 0 } else { 4 };
    let blocks = &packed[..packed.len().saturating_sub(checksum_bytes)];
    if blocks.ends_with(&[0; 4]) { Ok(()) } else { Err(broken("the frame has no end")) }
}

/// Java clients send blocks, each with its length, behind a head of their own; others one block
/// without either.
fn snappy(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Broken> {
    let mut records = Vec::new();
    if !packed.starts_with(XERIAL) {
        block(packed, &mut records, bytes_max)?;
        return Ok(records);
    }
    let mut rest = packed.get(XERIAL_HEAD_BYTES..).ok_or_else(|| broken("it ends early"))?;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (one, behind) =
            behind.split_at_checked(length).ok_or_else(|| broken("a block ends early"))?;
        block(one, &mut records, bytes_max)?;
        rest = behind;
    }
    if rest.is_empty() { Ok(records) } else { Err(broken("a block ends early")) }
}

fn block(packed: &[u8], records: &mut Vec<u8>, bytes_max: usize) -> Result<(), Broken> {
    let bytes = snap::raw::decompress_len(packed).map_err(broken)?;
    let before = records.len();
    if bytes > bytes_max - before {
        return Err(Broken::TooLarge);
    }
    records.resize(before + bytes, 0);
    let written = snap::raw::Decoder::new().decompress(packed, &mut records[before..]);
    records.truncate(before + written.map_err(broken)?);
    Ok(())
}

#[cfg(test)]
mod tests;
