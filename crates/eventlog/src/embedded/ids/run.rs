//! A file of ids, sorted by hash and never changed. In memory stay a filter and the first hash of
//! each block; a block is believed only when its checksum is right.
//!
//! ```text
//! block 0: magic 8 | version u32 | count u64 | oldest i64 | newest i64 | CRC-32C u32 | zeros
//! block n: up to 127 x (hash u128, place u64, time i64) | zeros | count u32 | CRC-32C u32
//! ```
//! Blocks have 4 KiB, numbers are little endian; a checksum covers the block before it and, first,
//! the run's number and the block's, so that a block of another file or place is not believed.

use super::entry::{ENTRY_BYTES, Entry, IdHash, Place};
use super::filter::Filter;
use bytes::{Buf, BufMut};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::Disk;
use stdx::disk::{File, Open};
use types::TimestampMs;

const MAGIC: &[u8; 8] = b"MSLOGID\0";
const VERSION: u32 = 1;
pub const BLOCK_BYTES: usize = 4096;
const BLOCK_TAIL_BYTES: usize = 8;
const BLOCK_IDS: usize = (BLOCK_BYTES - BLOCK_TAIL_BYTES) / ENTRY_BYTES;
const HEAD_BYTES: usize = 8 + 4 + 8 + 8 + 8;
/// Blocks read or written at once.
const STEP_BLOCKS: usize = 64;
/// Ids of one run.
pub const RUN_IDS_MAX: usize = 1 << 20;

pub struct Run {
    pub number: u64,
    pub count: usize,
    pub oldest: TimestampMs,
    pub newest: TimestampMs,
    file: Arc<dyn File>,
    filter: Filter,
    /// The first hash of each block.
    fences: Box<[IdHash]>,
}

pub fn file_name(number: u64) -> String {
    format!("ids-{number:016x}.run")
}

/// The number in the name, if it is one of ours.
pub fn number_of(name: &Path) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix("ids-")?.strip_suffix(".run")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

fn damaged(number: u64) -> io::Error {
    let text = format!("the file of ids {} is damaged", file_name(number));
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn checksum(number: u64, block: u64, bytes: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&number.to_le_bytes());
    digest.update(&block.to_le_bytes());
    digest.update(bytes);
    digest.finalize() as u32
}

fn head(number: u64, count: usize, times: (TimestampMs, TimestampMs)) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK_BYTES);
    out.put_slice(MAGIC);
    out.put_u32_le(VERSION);
    out.put_u64_le(count as u64);
    out.put_i64_le(times.0);
    out.put_i64_le(times.1);
    let checksum = checksum(number, 0, &out);
    out.put_u32_le(checksum);
    out.resize(BLOCK_BYTES, 0);
    out
}

fn encode_block(number: u64, block: u64, entries: &[Entry], out: &mut Vec<u8>) {
    let start = out.len();
    entries.iter().for_each(|entry| entry.put(out));
    out.resize(start + BLOCK_BYTES - BLOCK_TAIL_BYTES, 0);
    // At most 127.
    out.put_u32_le(entries.len() as u32);
    let checksum = checksum(number, block, &out[start..]);
    out.put_u32_le(checksum);
}

/// The block's entries; `None` unless it is whole and sorted.
pub fn decode_block(number: u64, block: u64, bytes: &[u8]) -> Option<Vec<Entry>> {
    let (body, mut crc) = bytes.split_at_checked(BLOCK_BYTES - 4)?;
    if bytes.len() != BLOCK_BYTES || crc.get_u32_le() != checksum(number, block, body) {
        return None;
    }
    let (mut rest, mut count) = body.split_at_checked(BLOCK_BYTES - BLOCK_TAIL_BYTES)?;
    let count = count.get_u32_le() as usize;
    if !(1..=BLOCK_IDS).contains(&count) {
        return None;
    }
    let entries = (0..count).map(|_| Entry::take(&mut rest)).collect::<Option<Vec<Entry>>>()?;
    entries.is_sorted_by(|one, next| one.hash < next.hash).then_some(entries)
}

/// Count and times of the run; `None` unless the block is whole.
pub fn decode_head(number: u64, bytes: &[u8]) -> Option<(usize, TimestampMs, TimestampMs)> {
    let (body, mut crc) = bytes.get(..HEAD_BYTES + 4)?.split_at_checked(HEAD_BYTES)?;
    if crc.get_u32_le() != checksum(number, 0, body) {
        return None;
    }
    let mut at = body.strip_prefix(MAGIC)?;
    if at.try_get_u32_le().ok()? != VERSION {
        return None;
    }
    let count = usize::try_from(at.try_get_u64_le().ok()?).ok()?;
    (1..=RUN_IDS_MAX).contains(&count).then_some(())?;
    Some((count, at.try_get_i64_le().ok()?, at.try_get_i64_le().ok()?))
}

impl Run {
    /// Writes the entries, which are sorted by hash, distinct and at least one; durable when this
    /// returns. Nothing refers to the file yet.
    pub fn write(disk: &dyn Disk, dir: &Path, number: u64, entries: &[Entry]) -> io::Result<Run> {
        let file = disk.open(&dir.join(file_name(number)), Open::Write)?;
        file.set_len(0)?;
        let times = entries.iter().map(|entry| entry.place.time);
        let times = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
        file.write_at(&head(number, entries.len(), times), 0)?;
        let mut buffer = Vec::with_capacity(STEP_BLOCKS * BLOCK_BYTES);
        let mut at = BLOCK_BYTES as u64;
        for (block, chunk) in (1..).zip(entries.chunks(BLOCK_IDS)) {
            encode_block(number, block, chunk, &mut buffer);
            if buffer.len() >= STEP_BLOCKS * BLOCK_BYTES {
                file.write_at(&buffer, at)?;
                at += buffer.len() as u64;
                buffer.clear();
            }
        }
        if !buffer.is_empty() {
            file.write_at(&buffer, at)?;
        }
        file.flush()?;
        disk.flush_dir(dir)?;
        let mut run = Run::empty(number, file, entries.len(), times);
        let fences = entries.chunks(BLOCK_IDS).filter_map(|chunk| chunk.first());
        run.fences = fences.map(|entry| entry.hash).collect();
        entries.iter().for_each(|entry| run.filter.add(entry.hash));
        Ok(run)
    }

    fn empty(
        number: u64,
        file: Arc<dyn File>,
        count: usize,
        times: (TimestampMs, TimestampMs),
    ) -> Run {
        let (oldest, newest) = times;
        let (filter, fences) = (Filter::new(count), Box::default());
        Run { number, count, oldest, newest, file, filter, fences }
    }

    /// Reads and checks the whole file.
    ///
    /// # Errors
    /// `InvalidData` when any block is not what was written.
    pub fn open(disk: &dyn Disk, dir: &Path, number: u64) -> io::Result<Run> {
        let file = disk.open(&dir.join(file_name(number)), Open::Read)?;
        let mut block = vec![0; BLOCK_BYTES];
        let read = file.read_at(&mut block, 0)?;
        block.truncate(read);
        let (count, oldest, newest) = decode_head(number, &block).ok_or_else(|| damaged(number))?;
        let mut run = Run::empty(number, file, count, (oldest, newest));
        let mut fences = Vec::with_capacity(count.div_ceil(BLOCK_IDS));
        let mut last = None;
        for entries in run.blocks() {
            let entries = entries?;
            let first = entries.first().map(|entry| entry.hash);
            if last >= first {
                return Err(damaged(number));
            }
            last = entries.last().map(|entry| entry.hash);
            fences.extend(first);
            entries.iter().for_each(|entry| run.filter.add(entry.hash));
        }
        run.fences = fences.into();
        Ok(run)
    }

    /// The checked entries, block by block.
    fn blocks(&self) -> impl Iterator<Item = io::Result<Vec<Entry>>> + use<> {
        let (number, file, count) = (self.number, Arc::clone(&self.file), self.count);
        let blocks = count.div_ceil(BLOCK_IDS) as u64;
        let mut left = count;
        let mut buffer = Vec::new();
        (1..=blocks).map(move |block| {
            let step = (block - 1) as usize % STEP_BLOCKS;
            if step == 0 {
                let wanted = (blocks - block + 1).min(STEP_BLOCKS as u64) as usize;
                buffer.resize(wanted * BLOCK_BYTES, 0);
                let read = file.read_at(&mut buffer, block * BLOCK_BYTES as u64)?;
                buffer.truncate(read);
            }
            let bytes = buffer.get(step * BLOCK_BYTES..(step + 1) * BLOCK_BYTES);
            let entries = bytes.and_then(|bytes| decode_block(number, block, bytes));
            let entries = entries.ok_or_else(|| damaged(number))?;
            if entries.len() != left.min(BLOCK_IDS) {
                return Err(damaged(number));
            }
            left -= entries.len();
            Ok(entries)
        })
    }

    /// All entries, sorted by hash.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut all = Vec::with_capacity(self.count);
        for entries in self.blocks() {
            all.extend(entries?);
        }
        Ok(all)
    }

    /// `false` is certain.
    pub fn may_hold(&self, hash: IdHash) -> bool {
        self.filter.may_hold(hash)
    }

    /// As `Slots::touch`.
    pub fn touch(&self, hash: IdHash) -> u64 {
        self.filter.touch(hash)
    }

    /// Looks in the one block that can hold it. Blocks the caller.
    pub fn find(&self, hash: IdHash) -> io::Result<Option<Place>> {
        let after = self.fences.partition_point(|fence| *fence <= hash);
        let Some(fence) = after.checked_sub(1) else { return Ok(None) };
        // The first block is the head's.
        let block = fence as u64 + 1;
        let mut bytes = vec![0; BLOCK_BYTES];
        let read = self.file.read_at(&mut bytes, block * BLOCK_BYTES as u64)?;
        bytes.truncate(read);
        let entries =
            decode_block(self.number, block, &bytes).ok_or_else(|| damaged(self.number))?;
        let at = entries.binary_search_by_key(&hash, |entry| entry.hash).ok();
        Ok(at.and_then(|at| entries.get(at)).map(|entry| entry.place))
    }

    pub fn memory_bytes(&self) -> usize {
        self.filter.memory_bytes() + 16 * self.fences.len() + size_of::<Run>()
    }

    pub fn remove(disk: &dyn Disk, dir: &Path, number: u64) {
        let path: PathBuf = dir.join(file_name(number));
        if let Err(error) = disk.remove(&path) {
            // Nothing refers to it, and the next start tries again.
            tracing::debug!(%error, "a file of ids that is not needed could not be removed");
        }
    }
}
