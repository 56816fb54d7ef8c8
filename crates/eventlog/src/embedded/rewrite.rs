//! Carries what counts of some extents into one new extent: partition by partition, so that each
//! lies together, compacted where the topic wants it, small batches joined.

use super::compact::{Around, Compaction};
use super::core::Core;
use super::disk::between;
use super::pace::{Pace, Stop};
use super::partition::{Partition, Span};
use crate::LogError;
use std::collections::HashMap;
use std::sync::Arc;
use storage::{Entry, Expiring, Frame, Rewrite, Rewritten, StreamId};
use types::{Batch, BatchJoiner, Offset};

/// Small batches are joined up to this many bytes: a reader of one key reads that much.
pub const JOINED_BYTES_MAX: usize = 32 << 10;
/// Batches whose records are further apart in time are not joined, since retention by age takes
/// whole batches.
const JOINED_MS_MAX: i64 = 600_000;
/// Bytes of frames given to the store at once.
const WRITE_BYTES_MAX: usize = 256 << 10;

/// One partition's part of what is rewritten.
pub struct Part {
    pub partition: Arc<Partition>,
    pub around: Around,
    /// Tombstones that went without a newer record of their key end before this offset.
    pub tombstones_gone: Offset,
}

/// Takes the parts one after the other and gives the store frames. Parts share commits, since
/// most may be small.
pub struct Carrier<'a> {
    core: &'a Core,
    pace: &'a Pace<'a>,
    rewrite: Rewrite,
    frames: Vec<Frame>,
    frames_bytes: usize,
    joining: Option<Joining>,
    /// Where the batches of each partition lie in the new extent.
    placed: HashMap<StreamId, Vec<Entry>>,
    expiring: Expiring,
}

/// A batch that may grow, or stays what it is.
struct Joining {
    first: Arc<Batch>,
    joiner: Option<BatchJoiner>,
}

impl<'a> Carrier<'a> {
    pub fn new(core: &'a Core, rewrite: Rewrite, pace: &'a Pace<'a>) -> Carrier<'a> {
        Carrier {
            core,
            pace,
            rewrite,
            frames: Vec::new(),
            frames_bytes: 0,
            joining: None,
            placed: HashMap::new(),
            expiring: Expiring::default(),
        }
    }

    /// Brings one partition's part into the new extent.
    pub fn carry(&mut self, part: &mut Part) -> Result<(), Stop> {
        let core = self.core;
        let partition = Arc::clone(&part.partition);
        match core.unlock(&partition.shared) {
            // Nobody can read it ever again: it goes.
            Err(LogError::Shredded) => return Ok(()),
            other => drop(other?),
        }
        let mut compaction = match partition.shared.cleanup().compacts() {
            true => Some(Compaction::learn(core, &partition, &part.around, self.pace)?),
            false => None,
        };
        for span in &part.around.part {
            let entries = core.entries(partition.stream, span)?;
            let wanted = between(&entries, part.around.start, span.next_offset);
            core.each_batch(&partition, wanted, self.pace, &mut |entry, batch| {
                if core.is_given_up(&partition, &batch) {
                    return Ok(());
                }
                let batch = match &mut compaction {
                    Some(compaction) => compaction.thin(core, &partition, entry, batch),
                    None => Some(batch),
                };
                batch.map_or(Ok(()), |batch| self.put(&partition, batch))
            })?;
        }
        self.finish_joined(&partition)?;
        if let Some(compaction) = compaction {
            let left = compaction.left;
            part.tombstones_gone = left.tombstones_gone;
            let age_ms = i64::try_from(partition.shared.tombstone_ms()).unwrap_or(i64::MAX);
            self.expiring.at = self.expiring.at.max(left.tombstone_at.saturating_add(age_ms));
            self.expiring.bytes += left.tombstone_bytes;
        }
        Ok(())
    }

    /// From its return on the new extent stands for the old ones.
    pub fn commit(mut self) -> Result<(Rewritten, HashMap<StreamId, Vec<Entry>>), Stop> {
        self.write()?;
        self.pace.check()?;
        let expiring = match self.expiring.bytes {
            0 => Expiring::default(),
            _ => self.expiring,
        };
        Ok((self.rewrite.commit(expiring)?, self.placed))
    }

    fn put(&mut self, partition: &Partition, batch: Arc<Batch>) -> Result<(), Stop> {
        if self.joining.as_mut().is_some_and(|joining| joining.take(&batch)) {
            return Ok(());
        }
        self.finish_joined(partition)?;
        self.joining = Some(Joining { first: batch, joiner: None });
        Ok(())
    }

    fn finish_joined(&mut self, partition: &Partition) -> Result<(), Stop> {
        let Some(joining) = self.joining.take() else { return Ok(()) };
        let batch = match joining.joiner {
            Some(joiner) => Arc::new(joiner.finish()),
            None => joining.first,
        };
        self.frames_bytes += batch.bytes().len();
        self.frames.push(self.core.frame_of(partition, &batch));
        if self.frames_bytes >= WRITE_BYTES_MAX { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Stop> {
        let before = self.rewrite.bytes();
        let entries = self.rewrite.append(&self.frames)?;
        for (frame, entry) in self.frames.iter().zip(entries) {
            self.placed.entry(frame.stream).or_default().push(*entry);
        }
        self.frames.clear();
        self.frames_bytes = 0;
        self.pace.spend(self.rewrite.bytes() - before)
    }
}

impl Joining {
    /// Takes the batch in if both are small, plain and of about one time.
    fn take(&mut self, batch: &Batch) -> bool {
        let bytes = self.joiner.as_ref().map_or(self.first.bytes().len(), BatchJoiner::len);
        let is_small = bytes + batch.bytes().len() <= JOINED_BYTES_MAX;
        let apart_ms = batch.max_timestamp().saturating_sub(self.first.max_timestamp());
        let is_near = apart_ms.abs() <= JOINED_MS_MAX;
        if !is_small || !is_near || !self.first.is_plain() || !batch.is_plain() {
            return false;
        }
        self.joiner.get_or_insert_with(|| BatchJoiner::new(&self.first)).push(batch).is_ok()
    }
}

impl Core {
    /// Part of a transaction that never came about: no reader ever sees it. The partition's newest
    /// batch stays all the same, since it shows which offsets were given, and so does the one that
    /// brings readers to the end of what they see.
    fn is_given_up(&self, partition: &Partition, batch: &Batch) -> bool {
        let state = partition.state.lock();
        let is_newest = batch.next_offset() >= state.visible.min(state.stored);
        state.hidden.holds(batch.base_offset()) && !is_newest
    }

    fn frame_of(&self, partition: &Partition, batch: &Batch) -> Frame {
        let keys = batch.views().filter_map(|view| view.key);
        let mut keys = keys.map(|key| self.key_hash(partition, key)).collect::<Vec<_>>();
        keys.sort_unstable();
        keys.dedup();
        Frame {
            tenant: partition.shared.tenant_id,
            stream: partition.stream,
            base_offset: batch.base_offset(),
            count: batch.span(),
            max_timestamp: batch.max_timestamp(),
            keys: keys.into(),
            body: batch.bytes().clone(),
        }
    }
}

/// What a span of these entries is, as far as it is kept.
pub fn span_of(entries: &[Entry], start: Offset) -> Option<Span> {
    let kept = entries.iter().filter(|entry| entry.next_offset() > start);
    let (first, last) = (entries.first()?, entries.last()?);
    if last.next_offset() <= start {
        return None;
    }
    Some(Span {
        extent: first.location.extent,
        generation: first.location.generation,
        first_offset: first.base_offset,
        next_offset: last.next_offset(),
        max_timestamp: entries.iter().map(|entry| entry.max_timestamp).max()?,
        bytes: kept.map(|entry| u64::from(entry.location.len)).sum(),
    })
}
