//! The footer of a sealed extent: a directory of its streams, then each stream's frames, key hashes
//! and fences. A fence says where a part of the frames or hashes begins and what its checksum is,
//! so that who wants one of them reads that part only. Everything in it can be rebuilt from the
//! frames; it is a hint, never truth.

use super::fields::{Fields, Slots};
use super::{BLOCK_BYTES, checksum, round_up};
use crate::StreamId;
use crate::index::{LiveIndex, Row, Sum};
use types::{Offset, TopicId};

pub const DIRECTORY_ROW_BYTES: usize = 64;
pub const ENTRY_BYTES: usize = 28;
pub const KEY_BYTES: usize = 16;
pub const FENCE_BYTES: usize = 12;
/// What lies between two fences: about a page.
pub const ENTRIES_PER_FENCE: usize = 128;
pub const KEYS_PER_FENCE: usize = 256;

/// One stream's line in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryRow {
    pub stream: StreamId,
    pub frames: u32,
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub max_timestamp: i64,
    pub bytes: u64,
    /// Bytes from the start of the footer to the stream's section: entries, then keys.
    pub section_at: u32,
    pub keys: u32,
    pub section_crc: u32,
    /// Of its fences; 0 when it has none, as those written before there were any.
    pub fences_crc: u32,
}

impl DirectoryRow {
    pub fn section_bytes(&self) -> usize {
        self.fences_at().saturating_add(self.fences() * FENCE_BYTES)
    }

    /// Bytes from the start of the section to its key hashes.
    pub fn keys_at(&self) -> usize {
        (self.frames as usize).saturating_mul(ENTRY_BYTES)
    }

    /// Bytes from the start of the section to its fences.
    pub fn fences_at(&self) -> usize {
        self.keys_at().saturating_add((self.keys as usize).saturating_mul(KEY_BYTES))
    }

    pub fn entry_fences(&self) -> usize {
        if self.fences_crc == 0 { 0 } else { (self.frames as usize).div_ceil(ENTRIES_PER_FENCE) }
    }

    /// Those of the entries and those of the hashes.
    pub fn fences(&self) -> usize {
        let keys = (self.keys as usize).div_ceil(KEYS_PER_FENCE);
        if self.fences_crc == 0 { 0 } else { self.entry_fences() + keys }
    }

    fn encode(&self, out: &mut [u8]) {
        let mut slots = Slots(out);
        slots.u64(self.stream.topic.0);
        slots.u32(self.stream.partition);
        slots.u32(self.frames);
        slots.u64(self.first_offset);
        slots.u64(self.next_offset);
        slots.i64(self.max_timestamp);
        slots.u64(self.bytes);
        slots.u32(self.section_at);
        slots.u32(self.keys);
        slots.u32(self.section_crc);
        slots.u32(self.fences_crc);
    }

    fn decode(bytes: &[u8]) -> Option<DirectoryRow> {
        let mut fields = Fields(bytes);
        let topic = TopicId(fields.u64()?);
        let partition = fields.u32()?;
        Some(DirectoryRow {
            stream: StreamId { topic, partition },
            frames: fields.u32()?,
            first_offset: fields.u64()?,
            next_offset: fields.u64()?,
            max_timestamp: fields.i64()?,
            bytes: fields.u64()?,
            section_at: fields.u32()?,
            keys: fields.u32()?,
            section_crc: fields.u32()?,
            fences_crc: fields.u32()?,
        })
    }
}

/// Where a part begins, by offset or hash, and the checksum of its bytes.
pub type Fence = (u64, u32);

fn encode_fences(parts: &[u8], part_bytes: usize, salt: u64, out: &mut Vec<u8>) {
    for part in parts.chunks(part_bytes) {
        // Each entry and each key begins with the number it is sorted by.
        out.extend_from_slice(part.first_chunk::<8>().unwrap_or(&[0; 8]));
        out.extend_from_slice(&checksum(salt, &[part]).to_le_bytes());
    }
}

/// The checksum of fences is never 0, which says that there are none.
fn fences_checksum(fences: &[u8], salt: u64) -> u32 {
    checksum(salt, &[fences]).max(1)
}

/// Those of the entries, then those of the key hashes; `None` when they are not whole.
pub fn decode_fences(
    bytes: &[u8],
    salt: u64,
    row: &DirectoryRow,
) -> Option<(Vec<Fence>, Vec<Fence>)> {
    if bytes.len() != row.fences() * FENCE_BYTES || fences_checksum(bytes, salt) != row.fences_crc {
        return None;
    }
    let fences = bytes.as_chunks::<FENCE_BYTES>().0.iter().map(|fence| {
        let mut fields = Fields(fence);
        Some((fields.u64()?, fields.u32()?))
    });
    let mut entries = fences.collect::<Option<Vec<Fence>>>()?;
    let keys = entries.split_off(row.entry_fences().min(entries.len()));
    Some((entries, keys))
}

/// A part of the entries, or `None` when its fence says otherwise.
pub fn decode_entries(bytes: &[u8], salt: u64, crc: u32) -> Option<Vec<Row>> {
    if checksum(salt, &[bytes]) != crc {
        return None;
    }
    bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(decode_row).collect()
}

/// A part of the key hashes, or `None` when its fence says otherwise.
pub fn decode_keys(bytes: &[u8], salt: u64, crc: u32) -> Option<Vec<(u64, Offset)>> {
    if checksum(salt, &[bytes]) != crc {
        return None;
    }
    bytes.as_chunks::<KEY_BYTES>().0.iter().map(decode_key).collect()
}

fn decode_key(pair: &[u8; KEY_BYTES]) -> Option<(u64, Offset)> {
    let mut fields = Fields(pair);
    Some((fields.u64()?, fields.u64()?))
}

/// How much room a footer needs; the writer keeps it free while it fills the extent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FooterSize {
    pub streams: u64,
    pub entries: u64,
    /// Counted with duplicates, so the footer is never larger than this.
    pub keys: u64,
}

impl FooterSize {
    fn fences_max(&self) -> u64 {
        let whole = self.entries / ENTRIES_PER_FENCE as u64 + self.keys / KEYS_PER_FENCE as u64;
        whole + 2 * self.streams
    }

    /// With the trailer, in whole blocks.
    pub fn bytes(&self) -> u64 {
        let body = self.streams * DIRECTORY_ROW_BYTES as u64
            + self.entries * ENTRY_BYTES as u64
            + self.keys * KEY_BYTES as u64
            + self.fences_max() * FENCE_BYTES as u64;
        round_up(body) + BLOCK_BYTES as u64
    }
}

pub struct EncodedFooter {
    pub bytes: Vec<u8>,
    pub directory: Vec<DirectoryRow>,
    pub directory_crc: u32,
}

/// Sorts and writes everything the index holds.
pub fn encode(index: &LiveIndex, salt: u64) -> EncodedFooter {
    let streams = index.sorted_streams();
    let mut bytes = vec![0; streams.len() * DIRECTORY_ROW_BYTES];
    let mut directory = Vec::with_capacity(streams.len());
    for (stream, held) in streams {
        let (rows, keys) = (held.rows_sorted(), held.keys_sorted());
        let section_at = bytes.len();
        for row in &rows {
            let mut entry = [0; ENTRY_BYTES];
            encode_row(row, &mut entry);
            bytes.extend_from_slice(&entry);
        }
        for (key, offset) in &keys {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        let sum = Sum::of(&rows);
        let keys_at = section_at + rows.len() * ENTRY_BYTES;
        let mut fences = Vec::new();
        let (entry_part, key_part) = (ENTRIES_PER_FENCE * ENTRY_BYTES, KEYS_PER_FENCE * KEY_BYTES);
        encode_fences(&bytes[section_at..keys_at], entry_part, salt, &mut fences);
        encode_fences(&bytes[keys_at..], key_part, salt, &mut fences);
        let fences_crc = fences_checksum(&fences, salt);
        bytes.extend_from_slice(&fences);
        directory.push(DirectoryRow {
            stream,
            frames: sum.frames,
            first_offset: sum.first_offset,
            next_offset: sum.next_offset,
            max_timestamp: sum.max_timestamp,
            bytes: sum.bytes,
            // An extent has at most 1 GiB and the footer is inside it.
            section_at: section_at as u32,
            keys: keys.len() as u32,
            section_crc: checksum(salt, &[&bytes[section_at..]]),
            fences_crc,
        });
    }
    let rows = directory.len() * DIRECTORY_ROW_BYTES;
    for (row, out) in directory.iter().zip(bytes.chunks_mut(DIRECTORY_ROW_BYTES)) {
        row.encode(out);
    }
    let directory_crc = checksum(salt, &[&bytes[..rows]]);
    EncodedFooter { bytes, directory, directory_crc }
}

fn encode_row(row: &Row, out: &mut [u8; ENTRY_BYTES]) {
    let mut slots = Slots(out);
    slots.u64(row.base_offset);
    slots.i64(row.max_timestamp);
    slots.u32(row.position);
    slots.u32(row.len);
    slots.u32(row.count);
}

fn decode_row(bytes: &[u8; ENTRY_BYTES]) -> Option<Row> {
    let mut fields = Fields(bytes);
    Some(Row {
        base_offset: fields.u64()?,
        max_timestamp: fields.i64()?,
        position: fields.u32()?,
        len: fields.u32()?,
        count: fields.u32()?,
    })
}

/// The directory, or `None` when the bytes are not what the trailer promised.
pub fn decode_directory(bytes: &[u8], salt: u64, crc: u32) -> Option<Vec<DirectoryRow>> {
    if checksum(salt, &[bytes]) != crc {
        return None;
    }
    let (rows, rest) = bytes.as_chunks::<DIRECTORY_ROW_BYTES>();
    let directory: Option<Vec<_>> = rows.iter().map(|row| DirectoryRow::decode(row)).collect();
    directory.filter(|rows| {
        rest.is_empty() && rows.is_sorted_by(|left, right| left.stream < right.stream)
    })
}

/// One stream's frames and key hashes, or `None` when the section is not whole.
#[allow(clippy::type_complexity)]
pub fn decode_section(
    bytes: &[u8],
    salt: u64,
    row: &DirectoryRow,
) -> Option<(Vec<Row>, Vec<(u64, Offset)>)> {
    if bytes.len() != row.section_bytes() || checksum(salt, &[bytes]) != row.section_crc {
        return None;
    }
    let (bytes, _fences) = bytes.split_at_checked(row.fences_at())?;
    let (entries, keys) = bytes.split_at_checked(row.keys_at())?;
    let entries = entries.as_chunks::<ENTRY_BYTES>().0.iter().map(decode_row);
    let keys = keys.as_chunks::<KEY_BYTES>().0.iter().map(decode_key);
    Some((entries.collect::<Option<_>>()?, keys.collect::<Option<_>>()?))
}
