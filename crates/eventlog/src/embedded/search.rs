//! Reading by key: the newest records of one key in one partition. Newest batches first, and only
//! those whose key hashes promise something; a hash that another key has too costs time, never a
//! wrong answer, since keys themselves are compared.

use super::core::Core;
use super::disk::{Trouble, between};
use super::draft::key_hash;
use super::partition::{Partition, Span};
use crate::{Found, LogError, Pending};
use std::future::ready;
use std::sync::Arc;
use storage::Entry;
use types::limits::READ_RECORDS_MAX;
use types::{Batch, Key, Offset, TopicId};

/// Batches of the tail looked at under one hold of the partition's state.
const TAIL_BATCHES_MAX: usize = 64;
/// Stored bytes read at once while walking back in one extent.
const WALK_BYTES_MAX: u64 = 1 << 20;

/// A search under way.
struct Search {
    key: Key,
    hash: u64,
    /// Newest first.
    found: Vec<Found>,
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
        let hash = key_hash(key.bytes());
        let bounds = partition.bounds();
        let count = count.min(READ_RECORDS_MAX);
        let found = Vec::new();
        let mut search = Search { key, hash, found, count, below: bounds.end, start: bounds.start };
        search.walk_tail(&partition);
        if search.is_done() {
            return Box::pin(ready(Ok(search.answer())));
        }
        // The work may be done anew when retention gets ahead of it.
        let search = Arc::new(search);
        self.blocking(move |core| {
            let mut search = search.resume();
            core.walk_disk(&partition, &mut search)?;
            Ok(search.answer())
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
        let from = if search.found.len() < search.count { 0 } else { search.below };
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
        let entries = self.entries_from(partition, span, search.below.saturating_sub(1))?;
        let keys = self.keys_below(partition, span, search.below)?;
        let at = keys.binary_search_by_key(&search.hash, |(hash, _)| *hash);
        let Some((_, newest)) = at.ok().and_then(|at| keys.get(at)) else { return Ok(()) };
        let entries = between(&entries, search.start, search.below);
        // Batches after the newest that has the hash need no look.
        let last = entries.partition_point(|entry| entry.base_offset <= *newest);
        let mut rest = entries.get(..last).unwrap_or_default();
        while !rest.is_empty() && !search.is_done() {
            let (before, chunk) = rest.split_at(rest.len() - chunk_len(rest));
            let batches = self.batches(partition.stream, chunk)?;
            if let Some(entry) = chunk.get(batches.len()) {
                let (from, to) = (entry.base_offset, entry.next_offset());
                return Err(Trouble::Log(LogError::Damaged { from, to }));
            }
            for batch in batches.iter().rev() {
                search.look_into(batch);
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

impl Search {
    fn is_done(&self) -> bool {
        self.found.len() >= self.count || self.below <= self.start
    }

    fn resume(&self) -> Search {
        Search { key: self.key.clone(), found: self.found.clone(), ..*self }
    }

    fn answer(mut self) -> Vec<Found> {
        self.found.reverse();
        self.found
    }

    fn walk_tail(&mut self, partition: &Partition) {
        while !self.is_done() {
            let (batches, reached) = {
                let state = partition.state.lock();
                let tail_start = state.tail_start();
                let last = state.tail.partition_point(|t| t.batch.base_offset() < self.below);
                let matching = state.tail.range(..last).rev().filter(|t| t.may_hold(self.hash));
                let batches: Vec<Arc<Batch>> =
                    matching.take(TAIL_BATCHES_MAX).map(|t| Arc::clone(&t.batch)).collect();
                (batches, tail_start)
            };
            for batch in &batches {
                self.look_into(batch);
            }
            if batches.len() < TAIL_BATCHES_MAX {
                self.below = self.below.min(reached);
                return;
            }
        }
    }

    /// Takes what is wanted of one batch; all newer ones have been searched.
    fn look_into(&mut self, batch: &Batch) {
        if self.is_done() {
            return;
        }
        let key = self.key.bytes();
        let matching = batch
            .views()
            .filter(|view| view.key == Some(key) && view.offset >= self.start)
            .collect::<Vec<_>>();
        let missing = self.count - self.found.len();
        self.found.extend(matching.iter().rev().take(missing).map(|view| Found {
            offset: view.offset,
            timestamp: view.timestamp,
            record: batch.record(view),
        }));
        self.below = self.below.min(batch.base_offset());
    }
}
