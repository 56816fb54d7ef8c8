//! Reading what is stored: which extents hold it, and whole batches out of them. Everything here
//! blocks, so it runs on the threads for blocking work, a bounded number at a time.

use super::core::{Blocking, Core};
use super::partition::{KeyHashes, Partition, Span};
use crate::{LogError, Pending};
use std::sync::Arc;
use storage::{Entry, ExtentRef, StoreError, StreamId};
use types::{Batch, Offset};

/// How often a read begins anew because retention took an extent away under it.
const ATTEMPTS_MAX: usize = 8;

/// Memory of one read's batches, but for the last of them: beyond what is read of those that are
/// not compressed.
const MEMORY_BYTES_MAX: usize = 32 << 20;
/// What a reader takes for batches that he gets, as a multiple of the bytes he asks for: they may
/// be compressed, and mostly are not more than so.
const GROWTH_MAX: usize = 8;

/// Memory for the batches of a read of so many bytes, but for the last of them.
pub fn memory_max(bytes_max: usize) -> usize {
    bytes_max.saturating_mul(GROWTH_MAX).min(MEMORY_BYTES_MAX)
}

/// What a read is for: each has places of its own, so that a few who search for long never keep
/// everybody else from reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// One piece, by offset or by time.
    Piece,
    /// Perhaps all of a topic: by key, or its keys.
    Scan,
}

/// Why a read of stored batches did not succeed.
#[derive(Debug)]
pub enum Trouble {
    /// The extent was released meanwhile: look again at what the partition holds.
    Moved,
    Log(LogError),
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Trouble {
        Trouble::Log(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        match error {
            StoreError::NotFound(_) | StoreError::Recycled(_) => Trouble::Moved,
            StoreError::Full(_) => Trouble::Log(LogError::Full),
            StoreError::NoKey { error, .. } => Trouble::Log(error.into()),
            other => Trouble::Log(LogError::Failed(other.to_string())),
        }
    }
}

impl Core {
    /// Runs blocking work as soon as one of the places for it is free.
    pub fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        reading: Reading,
        work: impl FnMut(&Core) -> Result<T, Trouble> + Send + 'static,
    ) -> Pending<T> {
        let core = Arc::clone(self);
        Box::pin(async move {
            let places = Arc::clone(match reading {
                Reading::Piece => &core.disk_reads,
                Reading::Scan => &core.disk_scans,
            });
            let place = places.acquire_owned().await.map_err(|_| LogError::Closed)?;
            if core.blocking == Blocking::Caller {
                return core.insist(work);
            }
            let run = tokio::task::spawn_blocking(move || {
                let _place = place;
                core.insist(work)
            });
            run.await.map_err(|stopped| LogError::Failed(stopped.to_string()))?
        })
    }

    /// Repeats the work when retention got ahead of it.
    fn insist<T>(&self, mut work: impl FnMut(&Core) -> Result<T, Trouble>) -> Result<T, LogError> {
        for _ in 0..ATTEMPTS_MAX {
            match work(self) {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Log(error)) => return Err(error),
                Err(Trouble::Moved) => {}
            }
        }
        Err(LogError::Failed("the records move faster than they can be read".to_owned()))
    }

    /// The stored batches of a span, by offset.
    pub fn entries(&self, stream: StreamId, span: &Span) -> Result<Arc<[Entry]>, Trouble> {
        let entries = match self.store.entries(span.extent, stream) {
            Err(StoreError::Damaged { .. }) => {
                let (from, to) = (span.first_offset, span.next_offset);
                return Err(Trouble::Log(LogError::Damaged { from, to }));
            }
            other => other?,
        };
        match entries.first() {
            Some(first) if first.location.generation == span.generation => Ok(entries),
            _ => Err(Trouble::Moved),
        }
    }

    /// As `entries`, for a reader at `from`: perhaps without the newest, but with those from there
    /// on if there are any.
    pub fn entries_from(
        &self,
        partition: &Partition,
        span: &Span,
        from: Offset,
    ) -> Result<Arc<[Entry]>, Trouble> {
        let seen = partition.state.lock().seen(span).and_then(|seen| seen.entries.clone());
        let reaches =
            |entries: &Arc<[Entry]>| entries.last().is_some_and(|last| last.next_offset() > from);
        if let Some(entries) = seen.filter(reaches) {
            return Ok(entries);
        }
        let is_newest = partition.state.lock().spans.back() == Some(span);
        if !is_newest {
            // Sealed: of its index only the part that is asked for.
            let extent = ExtentRef { id: span.extent, generation: span.generation };
            return match self.store.entries_from(extent, partition.stream, from) {
                Err(StoreError::Damaged { .. }) => {
                    let (from, to) = (span.first_offset, span.next_offset);
                    Err(Trouble::Log(LogError::Damaged { from, to }))
                }
                other => Ok(other?),
            };
        }
        let entries = self.entries(partition.stream, span)?;
        let copy = Arc::clone(&entries);
        partition.state.lock().remember(span, |seen| seen.entries = Some(copy));
        Ok(entries)
    }

    /// The newest of the span's batches before `below` that may have the key, by its hash. A batch
    /// from `below` on is answered too when it is newer.
    pub fn newest_of_key(
        &self,
        partition: &Partition,
        span: &Span,
        [hash, plain]: [u64; 2],
        below: Offset,
    ) -> Result<Option<Offset>, Trouble> {
        if partition.state.lock().spans.back() != Some(span) {
            let extent = ExtentRef { id: span.extent, generation: span.generation };
            let newest = self.store.find_key(extent, partition.stream, hash)?;
            // Sealed extents hold no plain hash.
            if newest.is_some() || plain == hash || self.store.is_sealed(extent) {
                return Ok(newest);
            }
            return Ok(self.store.find_key(extent, partition.stream, plain)?);
        }
        let keys = self.keys_below(partition, span, below)?;
        let newest_of = |wanted: u64| {
            let at = keys.binary_search_by_key(&wanted, |(hash, _)| *hash).ok()?;
            keys.get(at).map(|(_, newest)| *newest)
        };
        Ok(newest_of(hash).max(newest_of(plain)))
    }

    /// Sorted key hashes of the span's batches, each with the newest batch that has it; complete
    /// for what is stored before `below`.
    pub fn keys_below(
        &self,
        partition: &Partition,
        span: &Span,
        below: Offset,
    ) -> Result<KeyHashes, Trouble> {
        let (seen, stored) = {
            let state = partition.state.lock();
            (state.seen(span).and_then(|seen| seen.keys.clone()), state.stored)
        };
        if let Some((keys, _)) = seen.filter(|(_, until)| *until >= below.min(stored)) {
            return Ok(keys);
        }
        let keys = self.store.keys(span.extent, partition.stream)?;
        let copy = Arc::clone(&keys);
        partition.state.lock().remember(span, |seen| seen.keys = Some((copy, stored)));
        Ok(keys)
    }

    /// The batches of neighbouring entries. Ends early at one that is damaged, and where they take
    /// too much memory, decompressed: what is left is for another call. An error when the first is
    /// damaged.
    pub fn batches(&self, stream: StreamId, entries: &[Entry]) -> Result<Vec<Arc<Batch>>, Trouble> {
        self.batches_within(stream, entries, MEMORY_BYTES_MAX)
    }

    /// In so much memory, but for the last of them.
    pub fn batches_within(
        &self,
        stream: StreamId,
        entries: &[Entry],
        memory_max: usize,
    ) -> Result<Vec<Arc<Batch>>, Trouble> {
        let Some(first) = entries.first() else { return Ok(Vec::new()) };
        let damaged = |entry: &Entry| {
            Trouble::Log(LogError::Damaged { from: entry.base_offset, to: entry.next_offset() })
        };
        let bodies = match self.store.read_range(entries, stream) {
            Err(StoreError::Damaged { .. }) => return Err(damaged(first)),
            other => other?,
        };
        let mut batches = Vec::with_capacity(bodies.len());
        let mut bytes = 0;
        for (entry, body) in entries.iter().zip(bodies) {
            match Batch::parse(body) {
                Ok(batch) if batch.base_offset() == entry.base_offset => {
                    bytes += batch.memory_bytes();
                    batches.push(Arc::new(batch));
                }
                _ => break,
            }
            if bytes >= memory_max {
                break;
            }
        }
        if batches.is_empty() { Err(damaged(first)) } else { Ok(batches) }
    }
}

/// The entries with offsets in `from..until`, without those that reach beyond.
pub fn between(entries: &[Entry], from: Offset, until: Offset) -> &[Entry] {
    let first = entries.partition_point(|entry| entry.next_offset() <= from);
    let last = entries.partition_point(|entry| entry.next_offset() <= until);
    entries.get(first..last).unwrap_or_default()
}

/// The entries that have any of the offsets.
pub fn touching(entries: &[Entry], from: Offset, until: Offset) -> &[Entry] {
    let first = entries.partition_point(|entry| entry.next_offset() <= from);
    let last = entries.partition_point(|entry| entry.base_offset < until);
    entries.get(first..last).unwrap_or_default()
}

/// As many of the entries as together have at most `bytes_max`, but at least one.
pub fn take_bytes(entries: &[Entry], bytes_max: usize) -> &[Entry] {
    let mut bytes = 0usize;
    let count = entries
        .iter()
        .take_while(|entry| {
            bytes = bytes.saturating_add(entry.location.len as usize);
            bytes <= bytes_max
        })
        .count();
    entries.get(..count.max(1)).unwrap_or_default()
}
