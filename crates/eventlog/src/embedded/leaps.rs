//! Offsets that nobody has and somebody may have seen: what stood there went with a crash, or is
//! not in the backup that the log was restored from, and new records began behind it. Offsets are
//! never given twice, so a reader who stands among them has seen what is no more, and can be told.
//! A hint for readers, not truth: without the file nothing is lost but the telling.
//!
//! ```text
//! magic 8 | count u32 | count x (topic u64, partition u32, from u64, to u64) | CRC-32C u32
//! ```

use super::core::Core;
use bytes::{Buf, BufMut};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use stdx::Disk;
use stdx::disk::Open;
use storage::StreamId;
use types::{Offset, TopicId};

const MAGIC: &[u8; 8] = b"MSLOGLP\0";
const FILE: &str = "leaps";
const FILE_NEW: &str = "leaps.new";
const ROW_BYTES: usize = 28;
const CRC_BYTES: usize = 4;
/// Of one partition; the oldest are forgotten first.
const LEAPS_PER_PARTITION_MAX: usize = 8;
/// A longer file is not ours.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaps(BTreeMap<StreamId, Vec<Range<Offset>>>);

impl Leaps {
    /// The offsets left out may have grown since they were noted.
    fn note(&mut self, stream: StreamId, leap: Range<Offset>) {
        let known = self.0.entry(stream).or_default();
        known.retain(|range| range.start != leap.start);
        known.push(leap);
        let excess = known.len().saturating_sub(LEAPS_PER_PARTITION_MAX);
        known.drain(..excess);
    }

    /// Where the leap begins that the offset lies inside of.
    pub fn around(&self, stream: StreamId, next: Offset) -> Option<Offset> {
        let known = self.0.get(&stream)?;
        known.iter().find(|leap| leap.start < next && next < leap.end).map(|leap| leap.start)
    }

    pub fn encode(&self) -> Vec<u8> {
        let rows =
            self.0.iter().flat_map(|(stream, leaps)| leaps.iter().map(move |it| (stream, it)));
        let mut out = MAGIC.to_vec();
        let count = rows.clone().count();
        // Fewer than partitions times eight.
        out.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
        for (stream, leap) in rows {
            out.put_u64_le(stream.topic.0);
            out.put_u32_le(stream.partition);
            out.put_u64_le(leap.start);
            out.put_u64_le(leap.end);
        }
        let crc = crc_fast::crc32_iscsi(&out);
        out.put_u32_le(crc);
        out
    }

    /// `None` when the bytes are not what `encode` writes.
    pub fn decode(bytes: &[u8]) -> Option<Leaps> {
        let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(CRC_BYTES)?)?;
        if u32::from_le_bytes(crc.try_into().ok()?) != crc_fast::crc32_iscsi(body) {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let count = rest.try_get_u32_le().ok()? as usize;
        if rest.len() != count.checked_mul(ROW_BYTES)? {
            return None;
        }
        let mut leaps = Leaps::default();
        for mut row in rest.chunks_exact(ROW_BYTES) {
            let topic = TopicId(row.try_get_u64_le().ok()?);
            let partition = row.try_get_u32_le().ok()?;
            let (from, to) = (row.try_get_u64_le().ok()?, row.try_get_u64_le().ok()?);
            leaps.note(StreamId { topic, partition }, from..to);
        }
        Some(leaps)
    }

    fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Leaps> {
        if !disk.list(dir)?.contains(&PathBuf::from(FILE)) {
            return Ok(Leaps::default());
        }
        let file = disk.open(&dir.join(FILE), Open::Read)?;
        let len = file.len()?.min(FILE_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(Leaps::decode(&bytes).unwrap_or_else(|| {
            tracing::warn!("the file `leaps` of the log is damaged and is begun anew");
            Leaps::default()
        }))
    }

    fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let path = dir.join(FILE_NEW);
        let bytes = self.encode();
        let file = disk.open(&path, Open::Write)?;
        file.set_len(bytes.len() as u64)?;
        file.write_at(&bytes, 0)?;
        file.flush()?;
        disk.rename(&path, &dir.join(FILE))?;
        disk.flush_dir(dir)
    }
}

impl Core {
    /// Once, when the partitions are known and before anything is appended.
    pub fn note_leaps(&self) {
        let (disk, dir) = (&*self.world.disk, &*self.options.dir);
        let before = Leaps::read(disk, dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "the file `leaps` of the log cannot be read");
            Leaps::default()
        });
        let mut leaps = Leaps::default();
        for topic in self.topics.all() {
            for partition in topic.partitions.iter().filter(|partition| partition.is_stored()) {
                let state = partition.state.lock();
                let known = before.0.get(&partition.stream).into_iter().flatten();
                // Who stands before the start learns that from the start.
                for leap in known.filter(|leap| leap.end > state.start) {
                    leaps.note(partition.stream, leap.clone());
                }
                if state.visible < state.next {
                    leaps.note(partition.stream, state.visible..state.next);
                }
            }
        }
        if leaps != before
            && let Err(error) = leaps.write(disk, dir)
        {
            tracing::warn!(%error, "the file `leaps` of the log cannot be written");
        }
        *self.leaps.lock() = leaps;
    }
}
