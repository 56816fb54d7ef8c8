//! The way in. Durable appends join the partition's draft and wait for the flush; relaxed and
//! ephemeral ones are visible at once. Nothing here does IO or waits.

use super::core::Core;
use super::draft::{self, Acknowledge, Waiter};
use super::hasher::KeyHasher;
use super::ids::table::Claims;
use super::partition::{Partition, State, TailBatch};
use crate::{Appended, LogError, Pending};
use parking_lot::MutexGuard;
use std::future::ready;
use std::sync::Arc;
use tokio::sync::oneshot;
use types::batch::BATCH_BYTES_MAX;
use types::limits::{APPEND_BYTES_MAX, RECORDS_PER_APPEND_MAX};
use types::{Batch, Durability, Offset, Record, TimestampMs, TopicId};

/// Records of one relaxed partition that are acknowledged and not stored. A crash loses at most
/// these, so after one the partition goes on this far beyond what is stored: an offset that a
/// reader saw is never given to another record.
pub const UNSTORED_RECORDS_MAX: usize = 1 << 20;

/// What the store adds to a batch, as `Store::frame_bytes_max` says.
pub const FRAME_HEADER_BYTES: usize = 96 + 16;

const _: () = assert!(RECORDS_PER_APPEND_MAX <= UNSTORED_RECORDS_MAX);

/// What became of an append when the call returns.
pub enum Entered {
    Done(Appended),
    /// It has its place and is not durable yet.
    Waits(Appended, oneshot::Receiver<Result<Appended, LogError>>),
}

/// An append on its way into one partition.
struct Entry<'a> {
    partition: &'a Arc<Partition>,
    records: &'a [Record],
    /// What the records take at most in a batch.
    bytes: usize,
    now: TimestampMs,
    hasher: KeyHasher,
    /// The ids of the records, if they have any.
    claims: Option<Arc<Claims>>,
}

impl Core {
    pub fn append(
        &self,
        topic: TopicId,
        partition: types::Partition,
        records: &[Record],
    ) -> Pending<Appended> {
        match self.enter(topic, partition, records, None) {
            Ok(Entered::Done(appended)) => Box::pin(ready(Ok(appended))),
            // The sender goes without an answer only when the log goes.
            Ok(Entered::Waits(_, answer)) => {
                Box::pin(async move { answer.await.unwrap_or(Err(LogError::Closed)) })
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    pub fn enter(
        &self,
        topic: TopicId,
        partition: types::Partition,
        records: &[Record],
        claims: Option<Arc<Claims>>,
    ) -> Result<Entered, LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        let partition = self.topics.partition(topic, partition)?;
        let now = self.world.clock.now_ms();
        if records.is_empty() {
            let base_offset = partition.bounds().end;
            return Ok(Entered::Done(Appended { base_offset, timestamp: now }));
        }
        let hasher = self.unlock(&partition.shared)?;
        let bytes = self.check_size(records)?;
        let entry = Entry { partition: &partition, records, bytes, now, hasher, claims };
        if self.is_unmarked() && partition.is_stored() {
            return Err(LogError::Full);
        }
        match partition.shared.durability() {
            Durability::Durable => {
                self.intake.admit(bytes)?;
                let entered = self.enter_durable(&entry);
                entered.inspect_err(|_| self.intake.discharge(bytes))
            }
            Durability::Relaxed => self.enter_relaxed(&entry),
            Durability::Ephemeral => self.enter_ephemeral(&entry),
        }
    }

    /// What the records take at most as a batch.
    pub fn check_size(&self, records: &[Record]) -> Result<usize, LogError> {
        let bytes = draft::batch_bytes_max(records);
        let size = records.iter().map(Record::size).sum::<usize>();
        // A frame is the batch, its own header and the hashes of the keys.
        let frame_bytes = bytes + FRAME_HEADER_BYTES + 8 * records.len();
        let fits = records.len() <= RECORDS_PER_APPEND_MAX
            && size <= APPEND_BYTES_MAX
            && bytes <= BATCH_BYTES_MAX
            && frame_bytes as u64 <= self.store.frame_bytes_max();
        if fits { Ok(bytes) } else { Err(LogError::TooLarge) }
    }

    /// The bytes are admitted already; the caller takes that back on an error.
    fn enter_durable(&self, entry: &Entry<'_>) -> Result<Entered, LogError> {
        let state = entry.partition.state.lock();
        match &state.gone {
            Some(gone) => Err(gone.clone()),
            None if !state.held.is_empty() && !self.transactions.may_hold() => Err(LogError::Busy),
            None => Ok(self.join_draft(entry, state)),
        }
    }

    fn join_draft(&self, entry: &Entry<'_>, mut state: MutexGuard<'_, State>) -> Entered {
        let (reply, receiver) = oneshot::channel();
        state.hasher = entry.hasher;
        let base_offset =
            state.write(entry.records, entry.now, Acknowledge::AfterFlush, entry.bytes);
        let appended = Appended { base_offset, timestamp: entry.now };
        if let Some(draft) = state.drafts.back_mut() {
            draft.waiters.push(Waiter { reply, appended, claims: entry.claims.clone() });
            draft.charged_bytes += entry.bytes;
        }
        self.queue(entry.partition, state);
        Entered::Waits(appended, receiver)
    }

    /// Lets the writer know of the partition's drafts.
    pub fn queue(&self, partition: &Arc<Partition>, mut state: MutexGuard<'_, State>) {
        let was_queued = std::mem::replace(&mut state.is_queued, true);
        drop(state);
        if !was_queued {
            self.intake.enqueue(Arc::clone(partition));
            self.store.wake();
        }
        if self.intake.arrive() {
            self.store.hurry();
        }
    }

    fn enter_relaxed(&self, entry: &Entry<'_>) -> Result<Entered, LogError> {
        if self.intake.is_full() {
            // Nobody waits for a relaxed append's flush, so this is how its publisher learns.
            self.intake.probe();
            self.store.wake();
            return Err(LogError::Full);
        }
        // Once in its draft and once as the batch readers see.
        let charged_bytes = 2 * entry.bytes;
        self.intake.admit(charged_bytes)?;
        let entered = self.enter_relaxed_charged(entry, charged_bytes);
        entered.inspect_err(|_| self.intake.discharge(charged_bytes))
    }

    fn enter_relaxed_charged(
        &self,
        entry: &Entry<'_>,
        charged_bytes: usize,
    ) -> Result<Entered, LogError> {
        let prepared = prepare(entry)?;
        let order = entry.partition.order.lock();
        let mut state = entry.partition.state.lock();
        if let Some(gone) = &state.gone {
            return Err(gone.clone());
        }
        if state.must_wait() || !state.is_marked_relaxed {
            // What follows what is not seen yet must not be seen before it, nor before the disk
            // knows that records here are seen before they are stored.
            drop(order);
            self.intake.discharge(charged_bytes - entry.bytes);
            return Ok(self.join_draft(entry, state));
        }
        if state.unstored_records + entry.records.len() > UNSTORED_RECORDS_MAX {
            return Err(LogError::Busy);
        }
        let tail = prepared.at(state.next)?;
        state.hasher = entry.hasher;
        let base_offset = state.write(entry.records, entry.now, Acknowledge::AtAppend, entry.bytes);
        if let Some(draft) = state.drafts.back_mut() {
            draft.charged_bytes += charged_bytes;
        }
        state.tail.push_back(tail.clone());
        state.visible = state.next;
        state.settled = state.next;
        self.queue(entry.partition, state);
        self.announce(entry.partition, &tail.batch);
        drop(order);
        Ok(Entered::Done(Appended { base_offset, timestamp: entry.now }))
    }

    fn enter_ephemeral(&self, entry: &Entry<'_>) -> Result<Entered, LogError> {
        let prepared = prepare(entry)?;
        let order = entry.partition.order.lock();
        let mut state = entry.partition.state.lock();
        if let Some(gone) = &state.gone {
            return Err(gone.clone());
        }
        if state.must_wait() {
            drop(order);
            self.intake.admit(entry.bytes)?;
            return Ok(self.join_draft(entry, state));
        }
        let base_offset = state.next;
        let batch = prepared.at(base_offset)?.batch;
        state.next = batch.next_offset();
        state.visible = state.next;
        state.settled = state.next;
        drop(state);
        self.announce(entry.partition, &batch);
        drop(order);
        Ok(Entered::Done(Appended { base_offset, timestamp: entry.now }))
    }
}

/// A batch whose place is not known yet: made outside of all locks.
struct Prepared {
    batch: Batch,
    keys: Arc<[u64]>,
}

fn prepare(entry: &Entry<'_>) -> Result<Prepared, LogError> {
    let (batch, keys) =
        draft::encode(entry.records, entry.now, entry.hasher).ok_or(LogError::TooLarge)?;
    Ok(Prepared { batch, keys })
}

impl Prepared {
    fn at(self, base_offset: Offset) -> Result<TailBatch, LogError> {
        let batch = self.batch.with_base_offset(base_offset);
        let batch = batch.map_err(|bad| LogError::Failed(bad.to_string()))?;
        Ok(TailBatch { batch: Arc::new(batch), keys: self.keys })
    }
}
