//! What cannot be derived from the stored batches: where each partition starts and which offsets
//! were given, once retention has removed the batches that showed it; and which damage is known,
//! so that a gap that compaction leaves later is not taken for it. Written before an extent is
//! given back, by replacing the file as a whole.
//!
//! ```text
//! magic 8 | version u32 | is clean u32 | count u32 | count x (topic u64, partition u32, start u64,
//! stored u64, floor u64, is relaxed u32) | count u32 | count x damaged offsets (topic u64,
//! partition u32, from u64, to u64) | count u32 | count x damaged part of an extent (extent u32,
//! generation u64, from u64, to u64) | CRC-32C of all before u32          little endian
//! ```

use bytes::{Buf, BufMut};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use stdx::Disk;
use stdx::disk::Open;
use storage::{Damage, ExtentId, StreamId};
use types::{Offset, TopicId};

const MAGIC: &[u8; 8] = b"MSLOGCP\0";
const VERSION: u32 = 3;
/// Without damage.
const VERSION_WITHOUT_DAMAGE: u32 = 2;
/// Without `is relaxed` too, which is then taken to be true.
const VERSION_BEFORE: u32 = 1;
const HEAD_BYTES: usize = 20;
const ENTRY_BYTES: usize = 40;
const ENTRY_BYTES_BEFORE: usize = 36;
const RANGE_BYTES: usize = 28;
const KNOWN_BYTES: usize = 28;
/// What file systems give at least.
const BLOCK_BYTES: u64 = 4096;
const FILE: &str = "checkpoint";
const FILE_NEW: &str = "checkpoint.new";
/// A file larger than this is not ours: it would be 10 million partitions.
const FILE_BYTES_MAX: u64 = 10_000_000 * ENTRY_BYTES as u64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The oldest offset kept.
    pub start: Offset,
    /// The offset after the last one stored.
    pub stored: Offset,
    /// New records get no offset below this one.
    pub floor: Offset,
    /// Records may have been seen that were not stored yet, since the topic was relaxed.
    pub is_relaxed: bool,
}

/// A damaged part of an extent whose consequences are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDamage {
    pub extent: ExtentId,
    pub generation: u64,
    pub from_position: u64,
    pub to_position: u64,
}

impl KnownDamage {
    pub fn of(damage: &Damage) -> KnownDamage {
        let Damage { extent, generation, from_position, to_position, .. } = *damage;
        KnownDamage { extent, generation, from_position, to_position }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Everything acknowledged was stored when the log was closed.
    pub is_clean: bool,
    /// In order, so that the same state is the same bytes.
    pub marks: BTreeMap<StreamId, Mark>,
    /// Offsets that cannot be read any more.
    pub damaged: Vec<(StreamId, Range<Offset>)>,
    pub known_damage: Vec<KnownDamage>,
}

impl Checkpoint {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + ENTRY_BYTES * self.marks.len() + 4);
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(u32::from(self.is_clean));
        // There are at most 2^32 partitions in memory.
        out.put_u32_le(self.marks.len() as u32);
        for (stream, mark) in &self.marks {
            out.put_u64_le(stream.topic.0);
            out.put_u32_le(stream.partition);
            out.put_u64_le(mark.start);
            out.put_u64_le(mark.stored);
            out.put_u64_le(mark.floor);
            out.put_u32_le(u32::from(mark.is_relaxed));
        }
        out.put_u32_le(self.damaged.len() as u32);
        for (stream, range) in &self.damaged {
            out.put_u64_le(stream.topic.0);
            out.put_u32_le(stream.partition);
            out.put_u64_le(range.start);
            out.put_u64_le(range.end);
        }
        out.put_u32_le(self.known_damage.len() as u32);
        for known in &self.known_damage {
            out.put_u32_le(known.extent.0);
            out.put_u64_le(known.generation);
            out.put_u64_le(known.from_position);
            out.put_u64_le(known.to_position);
        }
        let checksum = crc_fast::crc32_iscsi(&out);
        out.put_u32_le(checksum);
        out
    }

    /// `None` when the bytes are not a whole checkpoint of a version we know.
    pub fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let (body, mut checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if checksum.get_u32_le() != crc_fast::crc32_iscsi(body) {
            return None;
        }
        let (mut head, rest) = body.split_at_checked(HEAD_BYTES)?;
        if !head.starts_with(MAGIC) {
            return None;
        }
        head.advance(MAGIC.len());
        let version = head.get_u32_le();
        let (entry_bytes, has_flag) = match version {
            VERSION | VERSION_WITHOUT_DAMAGE => (ENTRY_BYTES, true),
            VERSION_BEFORE => (ENTRY_BYTES_BEFORE, false),
            _ => return None,
        };
        let is_clean = head.get_u32_le() != 0;
        let count = head.get_u32_le() as usize;
        let (mut rest, mut damage) = rest.split_at_checked(count.checked_mul(entry_bytes)?)?;
        let marks = (0..count).map(|_| {
            let topic = TopicId(rest.get_u64_le());
            let stream = StreamId { topic, partition: rest.get_u32_le() };
            let (start, stored) = (rest.get_u64_le(), rest.get_u64_le());
            let floor = rest.get_u64_le();
            let is_relaxed = !has_flag || rest.get_u32_le() != 0;
            (stream, Mark { start, stored, floor, is_relaxed })
        });
        let marks = marks.collect();
        let (damaged, known_damage) = match version {
            VERSION => (decode_ranges(&mut damage)?, decode_known(&mut damage)?),
            _ => (Vec::new(), Vec::new()),
        };
        damage.is_empty().then_some(Checkpoint { is_clean, marks, damaged, known_damage })
    }

    /// Replaces the file; durable when this returns.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let bytes = self.encode();
        let path = dir.join(FILE_NEW);
        // What was set aside for it stays its own when this makes the file shorter.
        let file = disk.open(&path, Open::Write)?;
        file.set_len(bytes.len() as u64)?;
        file.write_at(&bytes, 0)?;
        file.flush()?;
        disk.rename(&path, &dir.join(FILE))?;
        disk.flush_dir(dir)?;
        if let Err(error) = set_aside(disk, &path, bytes.len() as u64) {
            tracing::debug!(%error, "no space is set aside for the next checkpoint");
        }
        Ok(())
    }

    /// The last one written, if any.
    pub fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Checkpoint>> {
        if !disk.list(dir)?.contains(&PathBuf::from(FILE)) {
            return Ok(None);
        }
        let file = disk.open(&dir.join(FILE), Open::Read)?;
        let len = file.len()?;
        let damaged = || {
            let text = "the checkpoint is damaged; without it offsets could be given twice. \
                        Restore it, or remove it to accept that";
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        if len > FILE_BYTES_MAX {
            return Err(damaged());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| damaged())?];
        let count = file.read_at(&mut bytes, 0)?;
        let whole = bytes.get(..count).and_then(Checkpoint::decode);
        whole.map(Some).ok_or_else(damaged)
    }
}

/// A count and so many rows of that many bytes.
fn rows<'a>(bytes: &mut &'a [u8], row_bytes: usize) -> Option<&'a [u8]> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let (rows, rest) = rest.split_at_checked(count.checked_mul(row_bytes)?)?;
    *bytes = rest;
    Some(rows)
}

fn decode_ranges(bytes: &mut &[u8]) -> Option<Vec<(StreamId, Range<Offset>)>> {
    let rows = rows(bytes, RANGE_BYTES)?.chunks_exact(RANGE_BYTES);
    let ranges = rows.map(|mut row| {
        let topic = TopicId(row.get_u64_le());
        let stream = StreamId { topic, partition: row.get_u32_le() };
        (stream, row.get_u64_le()..row.get_u64_le())
    });
    Some(ranges.collect())
}

fn decode_known(bytes: &mut &[u8]) -> Option<Vec<KnownDamage>> {
    let rows = rows(bytes, KNOWN_BYTES)?.chunks_exact(KNOWN_BYTES);
    let known = rows.map(|mut row| KnownDamage {
        extent: ExtentId(row.get_u32_le()),
        generation: row.get_u64_le(),
        from_position: row.get_u64_le(),
        to_position: row.get_u64_le(),
    });
    Some(known.collect())
}

/// Takes space for the next checkpoint now: retention needs one before it gives anything back, and
/// that must succeed above all when somebody has filled the file system.
pub fn set_aside(disk: &dyn Disk, path: &Path, bytes: u64) -> io::Result<()> {
    // Partitions may become more until then.
    let bytes = bytes.saturating_mul(2).next_multiple_of(BLOCK_BYTES);
    disk.open(path, Open::Write)?.allocate(bytes)
}
