//! Reading by key: the newest records of one key in one partition. Newest batches first, and only
//! those whose key hashes promise something; a hash that another key has too costs time, never a
//! wrong answer, since keys themselves are compared.

use super::core::Core;
use super::disk::{Reading, Trouble, touching};
use super::held::shown;
use super::partition::{Partition, Span};
use crate::{Found, LogError, Pending};
use std::future::ready;
use std::sync::Arc;
use storage::Entry;
use types::batch::RecordView;
use types::limits::READ_RECORDS_MAX;
use types::{Batch, Key, Offset, Record, TopicId};

/// Batches of the tail whose key hashes are looked at under one hold of the partition's state.
const TAIL_LOOKS_MAX: usize = 1_024;
/// Batches of the tail taken for a closer look under one hold.
const TAIL_BATCHES_MAX: usize = 64;
/// Bytes of one answer at most; a larger record comes alone.
pub const FOUND_BYTES_MAX: usize = 8 << 20;
/// Stored bytes read at once while walking back in one extent.
const WALK_BYTES_MAX: u64 = 1 << 20;

/// A search under way.
struct Search {
    key: Key,
    /// Those the key may have.
    hashes: [u64; 2],
    /// Newest first.
    found: Vec<Found>,
    found_bytes: usize,
    count: usize,
    /// Everything from here on has been searched.
    below: Offset,
    /// Retention removed what is before.
    start: Offset,
}

impl Core {
    /// The newest `count` records of the key, oldest first.
    pub fn last_of_key(
        self: &Arc<Self>,
        topic: TopicId,
        partition: types::Partition,
        key: Key,
        count: usize,
    ) -> Pending<Vec<Found>> {
        let partition = match self.partition(topic, partition) {
            Ok(partition) => partition,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let hashes = match self.unlock(&partition.shared) {
            Ok(hasher) => hasher.hashes(key.bytes()),
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let bounds = partition.bounds();
        let count = count.min(READ_RECORDS_MAX);
        let mut search = Search {
            key,
            hashes,
            found: Vec::new(),
            found_bytes: 0,
            count,
            below: bounds.end,
            start: bounds.start,
        };
        let core = Arc::clone(self);
        Box::pin(async move {
            while search.walk_tail(&partition) == TailLeft::Some {
                // Commits need the partition's state, and others this thread.
                tokio::task::yield_now().await;
            }
            if search.is_done() {
                return Ok(search.answer());
            }
            // The work may be done anew when retention gets ahead of it.
            let walk = move |core: &Core| {
                let mut search = search.resume();
                core.walk_disk(&partition, &mut search)?;
                Ok(search.answer())
            };
            core.blocking(Reading::Scan, walk).await
        })
    }

    fn walk_disk(&self, partition: &Partition, search: &mut Search) -> Result<(), Trouble> {
        let (spans, damaged) = {
            let state = partition.state.lock();
            search.start = search.start.max(state.first_kept(partition.is_stored()));
            let last = state.spans.partition_point(|span| span.first_offset < search.below);
            let spans = state.spans.range(..last).copied().collect::<Vec<_>>();
            (spans, state.damaged.clone())
        };
        for span in spans.iter().rev() {
            if search.is_done() {
                break;
            }
            self.walk_span(partition, span, search)?;
        }
        let from = if search.is_answered() { search.below } else { 0 };
        match damaged.iter().rev().find(|range| range.end > from) {
            // A newer record of the key may be among those that cannot be read.
            Some(range) => {
                Err(Trouble::Log(LogError::Damaged { from: range.start, to: range.end }))
            }
            None => Ok(()),
        }
    }

    fn walk_span(
        &self,
        partition: &Partition,
        span: &Span,
        search: &mut Search,
    ) -> Result<(), Trouble> {
        let newest = self.newest_of_key(partition, span, search.hashes, search.below)?;
        let Some(newest) = newest else { return Ok(()) };
        if newest < search.below {
            // Most often it holds all that is wanted.
            let near = self.entries_from(partition, span, newest)?;
            let near = touching(&near, search.start, search.below);
            let found = near.iter().find(|entry| entry.base_offset == newest);
            self.walk_entries(partition, found.map_or(&[], std::slice::from_ref), search)?;
        }
        if search.is_done() {
            return Ok(());
        }
        let entries = self.entries(partition.stream, span)?;
        let entries = touching(&entries, search.start, search.below);
        // Batches after the newest that has the hash need no look.
        let last = entries.partition_point(|entry| entry.base_offset <= newest);
        self.walk_entries(partition, entries.get(..last).unwrap_or_default(), search)
    }

    /// Looks into the batches, newest first.
    fn walk_entries(
        &self,
        partition: &Partition,
        entries: &[Entry],
        search: &mut Search,
    ) -> Result<(), Trouble> {
        let mut rest = entries;
        while !rest.is_empty() && !search.is_done() {
            let (mut before, mut chunk) = rest.split_at(rest.len() - chunk_len(rest));
            let mut batches = self.batches(partition.stream, chunk)?;
            if batches.len() < chunk.len() {
                // Too much at once, or damage somewhere: the newest alone says which.
                (before, chunk) = rest.split_at(rest.len() - 1);
                batches = self.batches(partition.stream, chunk)?;
            }
            for batch in shown(partition, batches).iter().rev() {
                // Copied, since a slice would keep the whole read in memory.
                search.look_into(batch, |view| batch.record(&view).detached());
            }
            rest = before;
        }
        Ok(())
    }
}

/// How many of the newest entries are read at once: the very newest alone, as it promises most,
/// when it is large; else as many as fit.
fn chunk_len(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fitting = entries.iter().rev().take_while(|entry| {
        bytes += u64::from(entry.location.len);
        bytes <= WALK_BYTES_MAX
    });
    fitting.count().max(1)
}

/// Whether the tail holds batches that were not looked at yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TailLeft {
    None,
    Some,
}

impl Search {
    fn is_done(&self) -> bool {
        self.is_answered() || self.below <= self.start
    }

    /// Nothing older is wanted.
    fn is_answered(&self) -> bool {
        self.found.len() >= self.count || self.found_bytes >= FOUND_BYTES_MAX
    }

    fn resume(&self) -> Search {
        Search { key: self.key.clone(), found: self.found.clone(), ..*self }
    }

    fn answer(mut self) -> Vec<Found> {
        self.found.reverse();
        self.found
    }

    /// Goes on in the tail, from the newest batch not looked at on, under one hold of the state.
    fn walk_tail(&mut self, partition: &Partition) -> TailLeft {
        if self.is_done() {
            return TailLeft::None;
        }
        let mut matching: Vec<Arc<Batch>> = Vec::new();
        let (below, left) = {
            let state = partition.state.lock();
            let mut below = self.below;
            let mut left = state.tail.partition_point(|t| t.batch.base_offset() < below);
            for tail in state.tail.range(..left).rev().take(TAIL_LOOKS_MAX) {
                below = tail.batch.base_offset();
                left -= 1;
                if self.hashes.iter().any(|&hash| tail.may_hold(hash)) {
                    matching.push(Arc::clone(&tail.batch));
                }
                if matching.len() >= TAIL_BATCHES_MAX {
                    break;
                }
            }
            (below, if left > 0 { TailLeft::Some } else { TailLeft::None })
        };
        for batch in &matching {
            self.look_into(batch, |view| batch.record(&view));
        }
        self.below = self.below.min(below);
        left
    }

    /// Takes what is wanted of one batch; all newer ones have been searched.
    fn look_into<'a>(&mut self, batch: &'a Batch, take: impl Fn(RecordView<'a>) -> Record) {
        if self.is_done() {
            return;
        }
        let key = self.key.bytes();
        // The collector joins batches, so one may reach into what has been searched.
        let wanted = self.start..self.below;
        let matching = batch
            .views()
            .filter(|view| view.key == Some(key) && wanted.contains(&view.offset))
            .collect::<Vec<_>>();
        for view in matching.into_iter().rev() {
            if self.is_answered() {
                break;
            }
            let record = take(view);
            self.found_bytes = self.found_bytes.saturating_add(record.size());
            self.found.push(Found { offset: view.offset, timestamp: view.timestamp, record });
        }
        self.below = self.below.min(batch.base_offset());
    }
}
