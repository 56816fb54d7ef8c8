//! What is derived from stored batches and would take reading all of them to derive again: which
//! batches are hidden, which transactions were undecided, which producers were where, and which
//! files hold record ids. With it goes how far it reaches in each partition: the next start reads
//! only what lies behind. Replaced as a whole.
//!
//! ```text
//! magic 8 | version u32 | opens u64 | taken at i64 | hash key 16 | decisions u64
//! | count u32 x (producer, seen i64) | count u32 x stream | count u32 x run u64
//! | CRC-32C of all before u32                                             little endian
//! stream: topic u64, partition u32, covered u64, ids covered u64, count u32 x hidden (u64, u64),
//!   count u32 x undecided (producer, u64, u64), count u32 x (producer, seen i64,
//!   count u32 x batch (sequence i32, count u32, offset u64))      producer: i64, epoch i16
//! ```

use super::checkpoint::set_aside;
use super::producers::{Known, Sent};
use bytes::{Buf, BufMut};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use stdx::Disk;
use stdx::disk::Open;
use storage::StreamId;
use types::{Offset, Producer, TimestampMs, TopicId};

const MAGIC: &[u8; 8] = b"MSLOGST\0";
const VERSION: u32 = 1;
const FILE: &str = "state";
const FILE_NEW: &str = "state.new";
/// A larger file is not ours.
const FILE_BYTES_MAX: u64 = 1 << 30;
pub const HASH_KEY_BYTES: usize = 16;

/// One partition's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Batches before it are accounted for, but for the ids in them.
    pub covered: Offset,
    /// Ids of records before it are accounted for.
    pub ids_covered: Offset,
    pub hidden: Vec<Range<Offset>>,
    /// Batches before `covered` whose transaction was undecided then.
    pub undecided: Vec<(Producer, Range<Offset>)>,
    pub producers: Vec<Known>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How often the log was opened. Producers' numbers begin with it, so none comes twice.
    pub opens: u64,
    pub taken_at: TimestampMs,
    /// Ids are kept as hashes under this key.
    pub hash_key: [u8; HASH_KEY_BYTES],
    /// Those who begin transactions: the least epoch that is taken, and when they were heard of.
    pub producers: Vec<(Producer, TimestampMs)>,
    /// Decisions before this offset of their stream are accounted for.
    pub decisions: Offset,
    /// In order, so that the same state is the same bytes.
    pub streams: BTreeMap<StreamId, Stream>,
    /// The files of ids, oldest first.
    pub runs: Vec<u64>,
}

impl Snapshot {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u64_le(self.opens);
        out.put_i64_le(self.taken_at);
        out.put_slice(&self.hash_key);
        out.put_u64_le(self.decisions);
        put_count(&mut out, self.producers.len());
        for (producer, seen_at) in &self.producers {
            put_producer(&mut out, *producer);
            out.put_i64_le(*seen_at);
        }
        put_count(&mut out, self.streams.len());
        for (id, stream) in &self.streams {
            out.put_u64_le(id.topic.0);
            out.put_u32_le(id.partition);
            stream.encode(&mut out);
        }
        put_count(&mut out, self.runs.len());
        self.runs.iter().for_each(|&run| out.put_u64_le(run));
        let checksum = crc_fast::crc32_iscsi(&out);
        out.put_u32_le(checksum);
        out
    }

    /// `None` when the bytes are not a whole snapshot of a version we know.
    pub fn decode(bytes: &[u8]) -> Option<Snapshot> {
        let (body, mut checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if checksum.get_u32_le() != crc_fast::crc32_iscsi(body) {
            return None;
        }
        let mut at = body.strip_prefix(MAGIC)?;
        if at.try_get_u32_le().ok()? != VERSION {
            return None;
        }
        let mut snapshot = Snapshot {
            opens: at.try_get_u64_le().ok()?,
            taken_at: at.try_get_i64_le().ok()?,
            ..Snapshot::default()
        };
        at.try_copy_to_slice(&mut snapshot.hash_key).ok()?;
        snapshot.decisions = at.try_get_u64_le().ok()?;
        for _ in 0..at.try_get_u32_le().ok()? {
            snapshot.producers.push((take_producer(&mut at)?, at.try_get_i64_le().ok()?));
        }
        for _ in 0..at.try_get_u32_le().ok()? {
            let topic = TopicId(at.try_get_u64_le().ok()?);
            let id = StreamId { topic, partition: at.try_get_u32_le().ok()? };
            snapshot.streams.insert(id, Stream::decode(&mut at)?);
        }
        for _ in 0..at.try_get_u32_le().ok()? {
            snapshot.runs.push(at.try_get_u64_le().ok()?);
        }
        at.is_empty().then_some(snapshot)
    }

    /// Replaces the file; durable when this returns.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let bytes = self.encode();
        let path = dir.join(FILE_NEW);
        let file = disk.open(&path, Open::Write)?;
        file.set_len(bytes.len() as u64)?;
        file.write_at(&bytes, 0)?;
        file.flush()?;
        drop(file);
        disk.rename(&path, &dir.join(FILE))?;
        disk.flush_dir(dir)?;
        if let Err(error) = set_aside(disk, &path, bytes.len() as u64) {
            tracing::debug!(%error, "no space is set aside for the next snapshot");
        }
        Ok(())
    }

    /// The last one written, if any.
    ///
    /// # Errors
    /// `InvalidData` when it is damaged: which stored batches are hidden is then known to nobody.
    pub fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Snapshot>> {
        if !disk.list(dir)?.contains(&PathBuf::from(FILE)) {
            return Ok(None);
        }
        let file = disk.open(&dir.join(FILE), Open::Read)?;
        let len = file.len()?;
        let damaged = || {
            let text = "the log's file `state` is damaged; without it records of transactions that \
                        were given up would be seen. Restore it, or remove it to accept that";
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        if len > FILE_BYTES_MAX {
            return Err(damaged());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| damaged())?];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.get(..count).and_then(Snapshot::decode).map(Some).ok_or_else(damaged)
    }
}

impl Stream {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.covered);
        out.put_u64_le(self.ids_covered);
        put_count(out, self.hidden.len());
        self.hidden.iter().for_each(|range| put_range(out, range));
        put_count(out, self.undecided.len());
        for (producer, range) in &self.undecided {
            put_producer(out, *producer);
            put_range(out, range);
        }
        put_count(out, self.producers.len());
        for known in &self.producers {
            put_producer(out, known.producer);
            out.put_i64_le(known.seen_at);
            put_count(out, known.sent.len());
            for sent in &known.sent {
                out.put_i32_le(sent.sequence);
                out.put_u32_le(sent.count);
                out.put_u64_le(sent.base_offset);
            }
        }
    }

    fn decode(at: &mut &[u8]) -> Option<Stream> {
        let mut stream = Stream {
            covered: at.try_get_u64_le().ok()?,
            ids_covered: at.try_get_u64_le().ok()?,
            ..Stream::default()
        };
        for _ in 0..at.try_get_u32_le().ok()? {
            stream.hidden.push(take_range(at)?);
        }
        for _ in 0..at.try_get_u32_le().ok()? {
            stream.undecided.push((take_producer(at)?, take_range(at)?));
        }
        for _ in 0..at.try_get_u32_le().ok()? {
            let producer = take_producer(at)?;
            let mut known = Known::new(producer, at.try_get_i64_le().ok()?);
            for _ in 0..at.try_get_u32_le().ok()? {
                known.sent.push_back(Sent {
                    sequence: at.try_get_i32_le().ok()?,
                    count: at.try_get_u32_le().ok()?,
                    base_offset: at.try_get_u64_le().ok()?,
                });
            }
            stream.producers.push(known);
        }
        Some(stream)
    }
}

/// Lists in memory have fewer than 2^32 members.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32_le(count as u32);
}

fn put_range(out: &mut Vec<u8>, range: &Range<Offset>) {
    out.put_u64_le(range.start);
    out.put_u64_le(range.end);
}

fn take_range(at: &mut &[u8]) -> Option<Range<Offset>> {
    Some(at.try_get_u64_le().ok()?..at.try_get_u64_le().ok()?)
}

fn put_producer(out: &mut Vec<u8>, producer: Producer) {
    out.put_i64_le(producer.id);
    out.put_i16_le(producer.epoch);
}

fn take_producer(at: &mut &[u8]) -> Option<Producer> {
    Some(Producer { id: at.try_get_i64_le().ok()?, epoch: at.try_get_i16_le().ok()? })
}
