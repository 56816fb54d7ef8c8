//! Removing the oldest records: by age, bytes and count per topic, project and tenant, and what a
//! topic that stores nothing stored before. Records go batch by batch, an extent goes back to the
//! store when no partition needs it, and never before a checkpoint remembers what it showed.

use super::core::Core;
use super::disk::{Trouble, between};
use super::partition::{Partition, Span};
use super::recovery::is_full;
use super::topic::{Account, Shared, Topic};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::{Entry, ExtentRef, StoreError};
use types::{Offset, Retention, TimestampMs};

/// How long an extent stays of which nothing can be read: a week.
const EVIDENCE_MS: i64 = 7 * 86_400_000;

/// Why batches go. They go from the oldest on, while it says so.
#[derive(Clone, Copy, Debug)]
enum Bound {
    All,
    /// Batches whose newest record is older.
    Before(TimestampMs),
    /// Batches whose records all lie before it.
    Below(Offset),
    /// Too much, and how far another partition has nothing older to give.
    Excess {
        amount: u64,
        measure: Measure,
        until: TimestampMs,
    },
}

/// In what too much is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Bytes,
    /// Offsets: of a compacted topic there are fewer records.
    Records,
}

/// What a trim removed.
#[derive(Clone, Copy, Debug, Default)]
struct Freed {
    bytes: u64,
    records: u64,
}

impl Freed {
    fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Bytes => self.bytes,
            Measure::Records => self.records,
        }
    }
}

impl Bound {
    /// Whether a whole span goes, which spares a look into it.
    fn takes_span(&mut self, span: &Span, start: Offset) -> bool {
        match self {
            Bound::All => true,
            Bound::Before(time) => span.max_timestamp < *time,
            Bound::Below(offset) => span.next_offset <= *offset,
            Bound::Excess { amount, measure, until } => {
                let held = match measure {
                    Measure::Bytes => span.bytes,
                    Measure::Records => span.next_offset.saturating_sub(start),
                };
                let takes = held <= *amount && span.max_timestamp <= *until;
                *amount -= if takes { held } else { 0 };
                takes
            }
        }
    }

    fn takes_entry(&mut self, entry: &Entry, start: Offset) -> bool {
        match self {
            Bound::All => true,
            Bound::Before(time) => entry.max_timestamp < *time,
            Bound::Below(offset) => entry.next_offset() <= *offset,
            Bound::Excess { amount, measure, until } => {
                let takes = *amount > 0 && entry.max_timestamp <= *until;
                let held = match measure {
                    Measure::Bytes => u64::from(entry.location.len),
                    Measure::Records => entry.next_offset().saturating_sub(start),
                };
                *amount = amount.saturating_sub(if takes { held } else { 0 });
                takes
            }
        }
    }
}

impl Core {
    /// One pass of everything that is done from time to time. Blocks; one pass at a time.
    pub fn maintain(&self) {
        let _pass = self.maintaining.lock();
        if self.is_closed() {
            return;
        }
        self.look_at_keys();
        // The partitions know this already, each its own part; the store keeps it until asked.
        drop(self.store.take_sealed());
        let topics = self.topics.all();
        for topic in &topics {
            if topic.shared.lock.is_shredded() {
                // Nobody can read it again: it is only in the way.
                for partition in &topic.partitions {
                    self.trim(partition, Bound::All);
                }
                continue;
            }
            self.enforce_age(topic);
            self.enforce_amounts(&topic.partitions, topic.shared.retention());
        }
        for account in self.topics.accounts() {
            self.enforce_account(&topics, &account);
        }
        self.abort_overdue();
        self.snapshot_if_due();
        self.release();
        // After what this pass gave back, so that it counts already.
        if self.intake.is_full() {
            self.intake.probe();
            self.store.wake();
        }
    }

    fn enforce_age(&self, topic: &Topic) {
        let age_ms_max = topic.shared.age_ms_max();
        let oldest = age_ms_max.map(|age_ms| {
            let age_ms = i64::try_from(age_ms).unwrap_or(i64::MAX);
            self.world.clock.now_ms().saturating_sub(age_ms)
        });
        for partition in &topic.partitions {
            // A copy for readers under way, not worth its memory for long.
            partition.state.lock().seen = None;
            self.drop_passed(partition);
            if !partition.is_stored() {
                self.trim(partition, Bound::All);
            } else if let Some(oldest) = oldest
                && self.oldest(partition).is_none_or(|time| time < oldest)
            {
                self.trim(partition, Bound::Before(oldest));
            }
        }
    }

    /// What all of them together may have.
    fn enforce_amounts(&self, partitions: &[Arc<Partition>], bounds: Retention) {
        if let Some(bytes_max) = bounds.bytes_max {
            let bytes = partitions.iter().map(|it| it.state.lock().stored_bytes()).sum::<u64>();
            self.trim_oldest(partitions, bytes.saturating_sub(bytes_max), Measure::Bytes);
        }
        if let Some(records_max) = bounds.records_max {
            let offsets = partitions.iter().map(|it| it.state.lock().stored_offsets());
            let records = offsets.fold(0, u64::saturating_add);
            self.trim_oldest(partitions, records.saturating_sub(records_max), Measure::Records);
        }
    }

    /// What the topics of a tenant or project may have. Those that are only compacted keep what
    /// they have.
    fn enforce_account(&self, topics: &[Arc<Topic>], account: &Arc<Account>) {
        let bounds = account.bounds();
        if bounds.bytes_max.is_none() && bounds.records_max.is_none() {
            return;
        }
        let of_account = topics.iter().filter(|topic| {
            let Shared { tenant, project, .. } = &*topic.shared;
            Arc::ptr_eq(tenant, account) || Arc::ptr_eq(project, account)
        });
        let (giving, keeping): (Vec<_>, Vec<_>) =
            of_account.partition(|topic| topic.shared.cleanup().deletes());
        let partitions =
            giving.iter().flat_map(|topic| topic.partitions.iter().cloned()).collect::<Vec<_>>();
        let kept = keeping.iter().flat_map(|topic| &topic.partitions);
        let (bytes, records) = kept.fold((0, 0), |(bytes, records), partition| {
            let state = partition.state.lock();
            (bytes + state.stored_bytes(), state.stored_offsets().saturating_add(records))
        });
        let left = Retention {
            age_ms_max: None,
            bytes_max: bounds.bytes_max.map(|bytes_max| bytes_max.saturating_sub(bytes)),
            records_max: bounds.records_max.map(|records_max| records_max.saturating_sub(records)),
        };
        self.enforce_amounts(&partitions, left);
    }

    /// Removes the oldest batches of all these partitions until the excess is gone.
    fn trim_oldest(&self, partitions: &[Arc<Partition>], mut excess: u64, measure: Measure) {
        if excess == 0 {
            return;
        }
        let mut by_age = BinaryHeap::new();
        for (index, partition) in partitions.iter().enumerate() {
            by_age.extend(self.oldest(partition).map(|time| Reverse((time, index))));
        }
        // Each turn removes at least one batch or gives a partition up, so this ends.
        while let Some(Reverse((_, index))) = by_age.pop() {
            let next_oldest = by_age.peek().map(|Reverse((time, _))| *time);
            let until = next_oldest.unwrap_or(TimestampMs::MAX);
            let Some(partition) = partitions.get(index) else { break };
            let freed = self.trim(partition, Bound::Excess { amount: excess, measure, until });
            let freed = freed.of(measure);
            excess = excess.saturating_sub(freed);
            if excess == 0 {
                break;
            }
            if freed > 0 {
                by_age.extend(self.oldest(partition).map(|time| Reverse((time, index))));
            }
        }
    }

    /// The greatest timestamp of the partition's oldest batch.
    fn oldest(&self, partition: &Partition) -> Option<TimestampMs> {
        let (span, start) = {
            let state = partition.state.lock();
            if state.oldest_timestamp.is_some() {
                return state.oldest_timestamp;
            }
            (*state.spans.front()?, state.start)
        };
        let entries = self.entries(partition.stream, &span).ok()?;
        let first = between(&entries, start, span.next_offset).first()?;
        partition.state.lock().oldest_timestamp = Some(first.max_timestamp);
        Some(first.max_timestamp)
    }

    /// Removes batches from the partition's start while the bound says so.
    fn trim(&self, partition: &Partition, mut bound: Bound) -> Freed {
        let mut freed = Freed::default();
        let before = partition.state.lock().start;
        loop {
            let (span, start, visible) = {
                let state = partition.state.lock();
                let Some(span) = state.spans.front().copied() else { break };
                (span, state.start, state.visible)
            };
            // What waits for a transaction is younger than anything a reader has seen: the start
            // never passes the end.
            if span.next_offset <= visible && bound.takes_span(&span, start) {
                freed.bytes += self.drop_span(partition, &span);
                continue;
            }
            let entries = match self.entries(partition.stream, &span) {
                Ok(entries) => entries,
                Err(trouble) => {
                    self.report(partition, &trouble);
                    break;
                }
            };
            let kept = between(&entries, start, span.next_offset);
            let mut from = start;
            let takes = |entry: &&Entry| {
                let takes = entry.next_offset() <= visible && bound.takes_entry(entry, from);
                from = entry.next_offset();
                takes
            };
            let count = kept.iter().take_while(takes).count();
            let (gone, stays) = kept.split_at(count);
            freed.bytes += self.drop_entries(partition, &span, gone, stays.first());
            if !stays.is_empty() || gone.is_empty() {
                break;
            }
        }
        freed.records = partition.state.lock().start.saturating_sub(before);
        freed
    }

    /// Removes what lies before the offset, which may be in the middle of a batch. One pass at a
    /// time.
    pub fn give_up_before(&self, partition: &Partition, before: Offset) {
        self.trim(partition, Bound::Below(before));
        let mut state = partition.state.lock();
        // Nothing is given up that no reader could see yet.
        let before = before.min(state.visible);
        if before > state.start {
            state.start = before;
            let oldest = state.oldest_timestamp;
            self.after_trim(partition, &mut state, 0, oldest);
        }
        drop(state);
        self.drop_passed(partition);
    }

    fn report(&self, partition: &Partition, trouble: &Trouble) {
        let stream = partition.stream;
        tracing::warn!(?stream, ?trouble, "retention cannot look into an extent; it tries again");
    }

    /// Removes a span as it was seen; if it has grown since, nothing happens now.
    fn drop_span(&self, partition: &Partition, seen: &Span) -> u64 {
        let mut state = partition.state.lock();
        if state.spans.front() != Some(seen) {
            // Batches were added: the loop looks at it again.
            return 0;
        }
        state.spans.pop_front();
        state.start = state.start.max(seen.next_offset);
        self.after_trim(partition, &mut state, seen.bytes, None);
        self.extents.give_back(seen.extent, seen.generation);
        seen.bytes
    }

    fn drop_entries(
        &self,
        partition: &Partition,
        seen: &Span,
        gone: &[Entry],
        next: Option<&Entry>,
    ) -> u64 {
        let Some(last) = gone.last() else { return 0 };
        let mut state = partition.state.lock();
        let Some(front) = state.spans.front_mut() else { return 0 };
        if (front.extent, front.generation) != (seen.extent, seen.generation) {
            return 0;
        }
        let bytes = gone.iter().map(|entry| u64::from(entry.location.len)).sum::<u64>();
        let bytes = bytes.min(front.bytes);
        front.bytes -= bytes;
        let next_offset = front.next_offset;
        state.start = state.start.max(last.next_offset());
        self.after_trim(partition, &mut state, bytes, next.map(|entry| entry.max_timestamp));
        if state.start >= next_offset {
            state.spans.pop_front();
            self.extents.give_back(seen.extent, seen.generation);
        }
        bytes
    }

    fn after_trim(
        &self,
        partition: &Partition,
        state: &mut super::partition::State,
        bytes: u64,
        oldest_timestamp: Option<TimestampMs>,
    ) {
        let start = state.start;
        state.oldest_timestamp = oldest_timestamp;
        state.damaged.retain(|range| range.end > start);
        partition.shared.remove_bytes(bytes);
        self.must_checkpoint.store(true, Ordering::Release);
    }

    /// Removes spans that the start has passed for another reason than a trim.
    fn drop_passed(&self, partition: &Partition) {
        loop {
            let seen = {
                let state = partition.state.lock();
                let passed = state.spans.front().filter(|span| span.next_offset <= state.start);
                let Some(seen) = passed.copied() else { return };
                seen
            };
            self.drop_span(partition, &seen);
        }
    }

    /// Writes down what only a checkpoint remembers, if it changed; false when that failed.
    pub fn write_changed_checkpoint(&self) -> bool {
        let _writing = self.checkpointing.lock();
        if self.must_checkpoint.swap(false, Ordering::AcqRel) {
            let noted = self.note_before_it_goes();
            if let Err(error) = noted.and_then(|()| self.write_checkpoint(false)) {
                self.must_checkpoint.store(true, Ordering::Release);
                tracing::error!(%error, "the checkpoint cannot be written: no extent goes back");
                return false;
            }
            self.is_unmarked.store(false, Ordering::Release);
        }
        true
    }

    /// Damaged extents of which nothing could be read, while they are young: until then somebody
    /// may still repair what partitions miss.
    fn evidence(&self) -> Vec<ExtentRef> {
        let unreadable = self.unreadable.lock().clone();
        if unreadable.is_empty() {
            return unreadable;
        }
        let since = self.world.clock.now_ms().saturating_sub(EVIDENCE_MS);
        let young = self.store.sealed().into_iter().filter(|it| it.created >= since);
        let young = young.map(|it| it.extent).filter(|extent| unreadable.contains(extent));
        young.collect()
    }

    /// What is stored says which ids were seen and what is hidden: that is written down before any
    /// of it goes. Without space for that the rest is done all the same, since it makes space.
    fn note_before_it_goes(&self) -> std::io::Result<()> {
        if self.is_unmarked() {
            // Nothing is appended before it is known that the log was opened once more.
            return self.take_snapshot();
        }
        if self.stored_since.load(Ordering::Relaxed) > 0
            && let Err(error) = self.take_snapshot()
        {
            if !is_full(&error) {
                return Err(error);
            }
            tracing::warn!(%error, "ids of records that go may be forgotten by a crash");
        }
        Ok(())
    }

    /// Gives back the extents nobody needs, after what they showed is written down.
    fn release(&self) {
        let unused = self.extents.unused();
        if !self.write_changed_checkpoint() {
            return;
        }
        let evidence = self.evidence();
        for (extent, generation) in unused {
            if evidence.contains(&ExtentRef { id: extent, generation }) {
                continue;
            }
            match self.store.release(extent, generation) {
                Ok(()) | Err(StoreError::Recycled(_) | StoreError::NotFound(_)) => {
                    self.extents.forget(extent, generation);
                }
                // Still written to: it is sealed some day.
                Err(StoreError::InUse(_)) => {}
                Err(error) => tracing::warn!(%error, %extent, "an extent cannot be given back"),
            }
        }
    }
}
