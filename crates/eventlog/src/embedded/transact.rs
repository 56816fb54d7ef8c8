//! Transactions on their way in and to their decision: the one-shot that is all or nothing over
//! several partitions, and the stream of decisions that makes it so.

use super::append::FRAME_HEADER_BYTES;
use super::core::Core;
use super::draft::{Acknowledge, Draft, Flight, Reply, Waiter};
use super::ids::table::Claims;
use super::partition::Partition;
use super::transaction::{Decision, Transaction};
use crate::{Appended, LogError, Pending, TopicSpec};
use bytes::BytesMut;
use std::future::ready;
use std::sync::Arc;
use types::limits::APPEND_BYTES_MAX;
use types::{
    Batch, Durability, Producer, ProjectId, Record, Stamp, TenantId, TopicConfig, TopicId,
};

/// The log's own stream. Topics' numbers are positive as signed numbers, so none is this.
pub const DECISIONS: TopicId = TopicId(u64::MAX);
/// Decisions in one batch.
const DECISIONS_MAX: usize = 1_024;
/// Parts of one `transact`.
const PARTS_MAX: usize = 4_096;
/// What a record of the stream begins with.
const COMMIT: u8 = 1;
const FENCE: u8 = 2;
const DECISION_BYTES: usize = 11;

const _: () = assert!(DECISIONS_MAX * 64 + FRAME_HEADER_BYTES < storage::LONE_FRAME_BYTES_MIN);

/// The stream of decisions as a topic of nobody.
pub fn decisions_topic() -> TopicSpec {
    let nobody = uuid::Uuid::nil();
    TopicSpec {
        id: DECISIONS,
        tenant: TenantId(nobody),
        project: ProjectId(nobody),
        config: TopicConfig::default(),
    }
}

impl Core {
    pub fn transact(
        self: &Arc<Self>,
        parts: Vec<(TopicId, types::Partition, Vec<Record>)>,
    ) -> Pending<Vec<Appended>> {
        if let [_] = &parts[..] {
            return self.transact_alone(parts);
        }
        match self.enter_parts(&parts, Vec::new()) {
            Ok((appended, ended)) => Box::pin(async move {
                // The sender goes without an answer only when the log goes.
                ended.await.unwrap_or(Err(LogError::Closed)).map(|()| appended)
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    /// One append is all or nothing by itself.
    fn transact_alone(
        &self,
        parts: Vec<(TopicId, types::Partition, Vec<Record>)>,
    ) -> Pending<Vec<Appended>> {
        let mut answers = Vec::with_capacity(parts.len());
        for (topic, partition, records) in parts {
            answers.push(self.append(topic, partition, &records));
        }
        Box::pin(async move {
            let mut appended = Vec::with_capacity(answers.len());
            for answer in answers {
                appended.push(answer.await?);
            }
            Ok(appended)
        })
    }

    pub fn enter_parts(
        &self,
        parts: &[(TopicId, types::Partition, Vec<Record>)],
        claims: Vec<Arc<Claims>>,
    ) -> Result<(Vec<Appended>, super::transaction::Ended), LogError> {
        let bytes =
            parts.iter().flat_map(|(_, _, records)| records).map(Record::size).sum::<usize>();
        if parts.len() > PARTS_MAX || bytes > APPEND_BYTES_MAX {
            return Err(LogError::TooLarge);
        }
        let transaction = Transaction::new(self.transactions.one_shot());
        let mut appended = Vec::with_capacity(parts.len());
        for (topic, partition, records) in parts {
            match self.enter_transaction(&transaction, (*topic, *partition), records, None) {
                Ok(entered) => appended.push(entered),
                Err(error) => {
                    self.abort(&transaction, &error);
                    return Err(error);
                }
            }
        }
        let (ended, is_ready) = transaction.end(claims)?;
        if is_ready {
            self.decide_soon(transaction);
        }
        Ok((appended, ended))
    }

    /// The records enter the partition as a part of the transaction; `reply` is told of the flush.
    pub fn enter_transaction(
        &self,
        transaction: &Arc<Transaction>,
        (topic, partition): (TopicId, types::Partition),
        records: &[Record],
        reply: Option<Reply>,
    ) -> Result<Appended, LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        let partition = self.topics.partition(topic, partition)?;
        let now = self.world.clock.now_ms();
        if records.is_empty() {
            return Ok(Appended { base_offset: partition.bounds().end, timestamp: now });
        }
        let hasher = self.unlock(&partition.shared)?;
        let bytes = self.check_size(records)?;
        if partition.shared.durability() == Durability::Ephemeral {
            let text = "the topic stores nothing, so nothing of it can be part of a transaction";
            return Err(LogError::Unsupported(text));
        }
        if self.is_unmarked() {
            return Err(LogError::Full);
        }
        if !self.transactions.may_hold() {
            return Err(LogError::Busy);
        }
        self.intake.admit(bytes)?;
        let stamp = Stamp::in_transaction(transaction.producer);
        let fill = |base_offset| {
            let mut draft =
                Draft::stamped(base_offset, stamp, Arc::clone(transaction), bytes).hashing(hasher);
            draft.push(records, now);
            draft.charged_bytes = bytes;
            let appended = Appended { base_offset, timestamp: now };
            let waiter = reply.map(|reply| Waiter { reply, appended, claims: None });
            draft.waiters.extend(waiter);
            draft
        };
        let entered = self.enter_alone(&partition, transaction, fill);
        let base_offset = entered.inspect_err(|_| self.intake.discharge(bytes))?;
        Ok(Appended { base_offset, timestamp: now })
    }

    fn enter_alone(
        &self,
        partition: &Arc<Partition>,
        transaction: &Transaction,
        fill: impl FnOnce(u64) -> Draft,
    ) -> Result<u64, LogError> {
        let mut state = partition.state.lock();
        if let Some(gone) = &state.gone {
            return Err(gone.clone());
        }
        transaction.join(partition)?;
        let base_offset = state.next;
        state.write_alone(fill(base_offset));
        self.queue(partition, state);
        Ok(base_offset)
    }

    /// Gives a transaction up; what of it is stored, or will be, stays unseen.
    pub fn abort(&self, transaction: &Transaction, why: &LogError) {
        if let Some(partitions) = transaction.abort(why) {
            self.show_all(&partitions);
            self.tell(transaction, Err(why));
        }
    }

    /// Nobody can know what became of it.
    pub fn lose(&self, transaction: &Transaction, why: &LogError) {
        transaction.lose();
        self.tell(transaction, Err(why));
    }

    fn tell(&self, transaction: &Transaction, outcome: Result<(), &LogError>) {
        for claims in transaction.take_claims() {
            match outcome {
                Ok(()) => self.ids.stored(&claims),
                Err(why) => self.ids.refused(&claims, why),
            }
        }
        if transaction.decision == Decision::Commit {
            self.transactions.count(if outcome.is_ok() { "committed" } else { "aborted" });
        }
        transaction.answer(outcome.map_err(Clone::clone));
    }

    /// All its batches are before it in line: its decision may be written.
    pub fn decide_soon(&self, transaction: Arc<Transaction>) {
        self.transactions.make_ready(transaction);
        self.store.wake();
    }

    /// The decisions that may be written, as the next batch of their stream. On the writer only.
    pub fn next_decisions(&self) -> Option<Flight> {
        let decisions = self.transactions.take_due(DECISIONS_MAX);
        if decisions.is_empty() {
            return None;
        }
        let partition = self.topics.partition(DECISIONS, 0).ok()?;
        let now = self.world.clock.now_ms();
        let mut state = partition.state.lock();
        let mut draft =
            Draft::new(state.next, Acknowledge::AfterFlush, DECISION_BYTES * decisions.len());
        let records = decisions.iter().map(|it| decision(it)).collect::<Vec<_>>();
        draft.push(&records, now);
        state.next = draft.next_offset();
        state.waiting_batches += 1;
        drop(state);
        let flight = draft.finish(partition)?;
        Some(Flight { decisions, ..flight })
    }

    /// These were not written: their place is given again, and who is still to be decided comes
    /// with the next. When it is the decisions themselves that have no key, they are refused.
    pub fn decide_again(&self, flights: Vec<Flight>, keyless: TenantId, why: &LogError) {
        for flight in flights {
            self.roll_back(&flight.partition, why);
            if flight.partition.shared.tenant_id == keyless {
                self.refuse_flight(flight, why);
            } else {
                self.intake.discharge(flight.charged_bytes);
                flight.decisions.into_iter().for_each(|it| self.transactions.make_ready(it));
            }
        }
    }

    /// Their decision is durable: their batches are shown, and who waits is told.
    pub fn decided(&self, decisions: Vec<Arc<Transaction>>) {
        for transaction in decisions {
            let partitions = transaction.commit();
            self.show_all(&partitions);
            self.tell(&transaction, Ok(()));
        }
    }
}

/// The record of a decision.
fn decision(transaction: &Transaction) -> Record {
    let Transaction { producer, decision, .. } = transaction;
    let mut value = BytesMut::with_capacity(DECISION_BYTES);
    value.extend_from_slice(&[match decision {
        Decision::Commit => COMMIT,
        Decision::Fence => FENCE,
    }]);
    value.extend_from_slice(&producer.id.to_be_bytes());
    value.extend_from_slice(&producer.epoch.to_be_bytes());
    Record { value: Some(value.freeze()), ..Record::default() }
}

/// What a batch of the stream says. Records of a kind we do not know are an error,
/// since leaving them out would undo what was acknowledged.
pub fn decisions_in(batch: &Batch) -> Result<Vec<(Decision, Producer)>, LogError> {
    batch.views().map(|view| parse_decision(view.value.unwrap_or_default())).collect()
}

fn parse_decision(value: &[u8]) -> Result<(Decision, Producer), LogError> {
    let unknown = || LogError::Failed("a decision of a transaction cannot be read".to_owned());
    let (&kind, rest) = value.split_first().ok_or_else(unknown)?;
    let (id, epoch) = rest.split_first_chunk::<8>().ok_or_else(unknown)?;
    let epoch = <[u8; 2]>::try_from(epoch).map_err(|_| unknown())?;
    let decision = match kind {
        COMMIT => Decision::Commit,
        FENCE => Decision::Fence,
        _ => return Err(unknown()),
    };
    let producer = Producer { id: i64::from_be_bytes(*id), epoch: i16::from_be_bytes(epoch) };
    Ok((decision, producer))
}
