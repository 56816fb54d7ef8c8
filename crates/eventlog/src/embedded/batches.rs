//! Batches that come encoded, and producers that number them or bind them into transactions: what
//! the log answers to a batch sent twice, out of turn, or by somebody who was replaced.

use super::append::FRAME_HEADER_BYTES;
use super::core::Core;
use super::draft::{Draft, Waiter};
use super::hasher::KeyHasher;
use super::partition::{Partition, State};
use super::producers::Verdict;
use super::registry::{Ending, ONE_SHOT, OPEN_FOR_MAX};
use super::transaction::Transaction;
use crate::{Appended, End, LogError, Pending};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use types::batch::BATCH_BYTES_MAX;
use types::limits::{APPEND_BYTES_MAX, RECORDS_PER_APPEND_MAX};
use types::{Batch, Durability, Offset, Producer, Record, TopicId};

/// The last offset that an append may ask for: far more follow it than are ever given.
const AT_MAX: Offset = 1 << 62;

type Told = oneshot::Receiver<Result<Appended, LogError>>;

/// Somebody who sent a batch again while it was on its way.
pub struct Late {
    pub reply: oneshot::Sender<Result<Appended, LogError>>,
    pub appended: Appended,
}

fn answer<T: Send + 'static>(
    told: Result<oneshot::Receiver<Result<T, LogError>>, LogError>,
) -> Pending<T> {
    match told {
        // The sender goes without an answer only when the log goes.
        Ok(told) => Box::pin(async move { told.await.unwrap_or(Err(LogError::Closed)) }),
        Err(error) => Box::pin(ready(Err(error))),
    }
}

impl Core {
    pub fn append_batch(
        &self,
        topic: TopicId,
        partition: types::Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Pending<Appended> {
        answer(self.enter_batch(topic, partition, batch, at))
    }

    fn enter_batch(
        &self,
        topic: TopicId,
        partition: types::Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Result<Told, LogError> {
        if at.is_some_and(|at| at > AT_MAX) {
            return Err(LogError::Unsupported("no record has an offset that large"));
        }
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        let partition = self.topics.partition(topic, partition)?;
        let hasher = self.unlock(&partition.shared)?;
        let bytes = self.check_batch(&partition, &batch, at)?;
        let stamp = batch.stamp();
        let transaction = match stamp {
            Some(stamp) if stamp.is_transactional => Some(self.registry.open(stamp.producer)?),
            Some(stamp) if self.registry.is_fenced(stamp.producer) => {
                return Err(LogError::Fenced);
            }
            _ => None,
        };
        if self.is_unmarked() {
            return Err(LogError::Full);
        }
        self.intake.admit(bytes)?;
        let entered = self.enter_checked(&partition, (batch, at), transaction, (bytes, hasher));
        entered.inspect_err(|_| self.intake.discharge(bytes))
    }

    /// What the batch counts against the bound on waiting bytes.
    fn check_batch(
        &self,
        partition: &Partition,
        batch: &Batch,
        at: Option<Offset>,
    ) -> Result<usize, LogError> {
        if partition.shared.durability() == Durability::Ephemeral {
            return Err(LogError::Unsupported("the topic stores no batches"));
        }
        // A copy may be of a batch that compaction has thinned.
        if batch.span() != batch.count() && at.is_none() {
            return Err(LogError::Unsupported("the batch has gaps between its records' offsets"));
        }
        let records = batch.count() as usize;
        // Compaction may store it in the open one day.
        let bytes = batch.bytes().len().max(batch.open_bytes());
        let frame_bytes = (bytes + FRAME_HEADER_BYTES + 8 * records) as u64;
        let fits = records <= RECORDS_PER_APPEND_MAX
            && batch.records_bytes() <= APPEND_BYTES_MAX as u64
            && bytes <= BATCH_BYTES_MAX
            && frame_bytes <= self.store.frame_bytes_max();
        if fits { Ok(batch.memory_bytes()) } else { Err(LogError::TooLarge) }
    }

    fn enter_checked(
        &self,
        partition: &Arc<Partition>,
        (batch, at): (Batch, Option<Offset>),
        transaction: Option<Arc<Transaction>>,
        (bytes, hasher): (usize, KeyHasher),
    ) -> Result<Told, LogError> {
        let now = self.world.clock.now_ms();
        let (reply, told) = oneshot::channel();
        let mut state = partition.state.lock();
        if let Some(gone) = &state.gone {
            return Err(gone.clone());
        }
        if let Some(stamp) = batch.stamp()
            && let Verdict::Duplicate(base_offset) = state.producers.judge(&stamp, batch.count())?
        {
            self.intake.discharge(bytes);
            state.answer_again(Late { reply, appended: Appended { base_offset, timestamp: now } });
            return Ok(told);
        }
        if at.is_some_and(|at| at < state.next) {
            return Err(LogError::OffsetTaken { end: state.next });
        }
        let is_behind = transaction.is_some() || !state.held.is_empty();
        if is_behind && !self.transactions.may_hold() {
            return Err(LogError::Busy);
        }
        if let Some(transaction) = &transaction {
            transaction.join(partition)?;
        }
        let base_offset = at.unwrap_or(state.next);
        let (stamp, count) = (batch.stamp(), batch.count());
        let batch = batch.with_base_offset(base_offset);
        let mut draft = match batch {
            Ok(batch) => Draft::whole(batch, transaction, hasher),
            // Only where offsets end, which is after 2^63 of them.
            Err(bad) => return Err(LogError::Failed(bad.to_string())),
        };
        let appended = Appended { base_offset, timestamp: now };
        draft.waiters.push(Waiter { reply, appended, claims: None });
        draft.charged_bytes = bytes;
        if let Some(stamp) = stamp {
            state.producers.note(&stamp, count, base_offset, now);
        }
        state.write_alone(draft);
        self.queue(partition, state);
        Ok(told)
    }

    pub fn begin(&self, producer: Producer, within: Duration) -> Result<(), LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        if !self.transactions.was_given(producer.id) {
            return Err(LogError::TransactionUnknown);
        }
        let deadline = self.world.clock.monotonic() + within.min(OPEN_FOR_MAX);
        self.registry.begin(producer, deadline, self.world.clock.now_ms()).map(|_| ())
    }

    pub fn add(
        &self,
        producer: Producer,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<(), LogError> {
        let partition = self.partition(topic, partition)?;
        if partition.shared.durability() == Durability::Ephemeral {
            return Err(LogError::Unsupported("the topic stores nothing"));
        }
        self.registry.open(producer)?.add(&partition)
    }

    pub fn append_in(
        &self,
        producer: Producer,
        topic: TopicId,
        partition: types::Partition,
        records: &[Record],
    ) -> Pending<Appended> {
        let (reply, told) = oneshot::channel();
        let entered = self.registry.open(producer).and_then(|transaction| {
            self.enter_transaction(&transaction, (topic, partition), records, Some(reply))
        });
        match entered {
            Ok(appended) if records.is_empty() => Box::pin(ready(Ok(appended))),
            entered => answer(entered.map(|_| told)),
        }
    }

    /// Ends the producer's transaction; answers the producer as it goes on.
    pub fn end(&self, producer: Producer, end: End) -> Pending<Producer> {
        let transaction = match self.registry.end(producer, end) {
            Ok(Ending::Now(transaction)) => transaction,
            Ok(Ending::Again(next)) => return Box::pin(ready(Ok(self.usable(next)))),
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let next = self.registry.now(producer.id).unwrap_or(producer);
        let next = self.usable(next);
        if end == End::Abort {
            self.abort(&transaction, &LogError::TransactionUnknown);
            return Box::pin(ready(Ok(next)));
        }
        match transaction.end(Vec::new()) {
            Ok((ended, is_ready)) => {
                if is_ready {
                    self.decide_soon(transaction);
                }
                Box::pin(async move { ended.await.unwrap_or(Err(LogError::Closed)).map(|()| next) })
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    /// Epochs end; who used them up goes on under another number.
    fn usable(&self, producer: Producer) -> Producer {
        if producer.epoch < ONE_SHOT { producer } else { self.transactions.new_producer() }
    }

    /// Takes the producer's place: what it has open is given up, and it is refused from now on,
    /// also after a crash.
    pub fn take_over(&self, producer: Producer) -> Pending<Producer> {
        let fenced = match self.is_closed() {
            true => Err(LogError::Closed),
            false => self.registry.fence(producer, self.world.clock.now_ms()),
        };
        let (next, open) = match fenced {
            Ok(fenced) => fenced,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        if let Some(open) = open {
            self.abort(&open, &LogError::Fenced);
        }
        let record = Transaction::fence(next);
        let ended = record.end(Vec::new()).map(|(ended, _)| ended);
        self.decide_soon(record);
        let next = self.usable(next);
        let told = answer(ended);
        Box::pin(async move { told.await.map(|()| next) })
    }

    /// Gives up what has been open for too long.
    pub fn abort_overdue(&self) {
        let overdue = self.registry.take_overdue(self.world.clock.monotonic());
        for transaction in overdue {
            tracing::info!(producer = ?transaction.producer, "a transaction took too long");
            self.abort(&transaction, &LogError::TransactionUnknown);
        }
        self.transactions.measure(self.registry.open_count());
    }
}

impl State {
    /// The batch is here: its sender is answered when it is durable.
    fn answer_again(&mut self, late: Late) {
        if late.appended.base_offset < self.settled {
            let _ = late.reply.send(Ok(late.appended));
        } else {
            self.late.push(late);
        }
    }

    /// Those whose batch became durable.
    pub fn take_late(&mut self) -> Vec<Late> {
        let settled = self.settled;
        self.late.extract_if(.., |late| late.appended.base_offset < settled).collect()
    }

    /// Offsets from `from` on were given up: who waits for one of them is told.
    pub fn refuse_late(&mut self, from: Offset, why: &LogError) {
        for late in self.late.extract_if(.., |late| late.appended.base_offset >= from) {
            let _ = late.reply.send(Err(why.clone()));
        }
    }
}
