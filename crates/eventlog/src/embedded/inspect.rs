//! What administrators ask of one partition: to give up its beginning, its newest time, what it
//! takes on the device, and who numbers batches there.

use super::core::Core;
use super::disk::{Reading, Trouble, between};
use super::held::shown;
use super::partition::Partition;
use crate::{Bounds, LogError, Pending, ProducerState};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{Batch, Offset, TimestampMs, TopicId};

impl Core {
    /// The partition begins at the offset from now on, also after a crash once this has answered.
    pub fn drop_before(
        self: &Arc<Self>,
        topic: TopicId,
        partition: types::Partition,
        before: Offset,
    ) -> Pending<Bounds> {
        let partition = match self.partition(topic, partition) {
            Ok(partition) => partition,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let bounds = partition.bounds();
        if before > bounds.end {
            return Box::pin(ready(Err(LogError::OffsetAhead { end: bounds.end })));
        }
        if before <= bounds.start {
            return Box::pin(ready(Ok(bounds)));
        }
        self.blocking(Reading::Scan, move |core| core.drop_before_now(&partition, before))
    }

    fn drop_before_now(&self, partition: &Partition, before: Offset) -> Result<Bounds, Trouble> {
        {
            let _pass = self.maintaining.lock();
            self.give_up_before(partition, before);
        }
        // What began to be written down before this must not be all that is.
        self.must_checkpoint.store(true, Ordering::Release);
        if !self.write_changed_checkpoint() {
            let text = "where a partition begins could not be written down".to_owned();
            return Err(Trouble::Log(LogError::Failed(text)));
        }
        Ok(partition.bounds())
    }

    /// The greatest timestamp of the records kept; `None` without records.
    pub fn newest_time(
        self: &Arc<Self>,
        topic: TopicId,
        partition: types::Partition,
    ) -> Pending<Option<TimestampMs>> {
        let partition = match self.partition(topic, partition) {
            Ok(partition) => partition,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        if !partition.is_stored() {
            return Box::pin(ready(Ok(None)));
        }
        self.blocking(Reading::Piece, move |core| core.newest_time_now(&partition))
    }

    fn newest_time_now(&self, partition: &Partition) -> Result<Option<TimestampMs>, Trouble> {
        let (spans, kept, mut newest) = {
            let state = partition.state.lock();
            let kept = state.start..state.visible;
            let tail = state.tail.iter().map(|tail| newest_of(&tail.batch, kept.start));
            let newest = tail.max().flatten();
            let spans: Vec<_> = state.spans.iter().copied().collect();
            (spans, kept, newest)
        };
        for span in &spans {
            if newest.is_some_and(|newest| span.max_timestamp <= newest) {
                continue;
            }
            let entries = self.entries(partition.stream, span)?;
            for entry in between(&entries, kept.start, kept.end) {
                if newest.is_some_and(|newest| entry.max_timestamp <= newest) {
                    continue;
                }
                let batches = self.batches(partition.stream, std::slice::from_ref(entry))?;
                let shown = shown(partition, batches);
                let found = shown.iter().filter_map(|batch| newest_of(batch, kept.start)).max();
                newest = newest.max(found);
            }
        }
        Ok(newest)
    }

    /// Bytes that the partition's records take on the device.
    pub fn partition_bytes(
        &self,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<u64, LogError> {
        let partition = self.known_partition(topic, partition)?;
        let state = partition.state.lock();
        Ok(state.stored_bytes())
    }

    /// Who numbers batches in the partition and is still known, by number.
    pub fn producers_of(
        &self,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<Vec<ProducerState>, LogError> {
        let partition = self.known_partition(topic, partition)?;
        let state = partition.state.lock();
        let all = state.producers.list(state.settled).into_iter().map(|known| {
            let open = state.held.iter().find(|held| {
                let stamp = held.tail.batch.stamp();
                held.transaction.is_some()
                    && stamp.is_some_and(|stamp| stamp.producer == known.producer)
            });
            ProducerState {
                producer: known.producer,
                last_sequence: known.sent.back().map(|sent| {
                    let last = i64::from(sent.sequence) + i64::from(sent.count) - 1;
                    // They go on at 0 behind the greatest (KIP-98).
                    (last % (i64::from(i32::MAX) + 1)) as i32
                }),
                seen_at: known.seen_at,
                open_since: open.map(|held| held.tail.batch.base_offset()),
            }
        });
        Ok(all.collect())
    }
}

/// The greatest timestamp from the offset on.
fn newest_of(batch: &Batch, start: Offset) -> Option<TimestampMs> {
    if batch.base_offset() >= start {
        return Some(batch.max_timestamp());
    }
    batch.views().filter(|view| view.offset >= start).map(|view| view.timestamp).max()
}
