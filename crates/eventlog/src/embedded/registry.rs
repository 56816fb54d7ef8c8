//! Producers that begin and end transactions: the epoch each is in and the transaction it has
//! open. Every end raises the epoch, so that what arrives late can touch no later transaction
//! (KIP-890). It must not know partitions.

use super::transaction::{Outcome, Transaction};
use crate::{End, LogError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use types::{Producer, TimestampMs};

/// Transactions open at the same time.
pub const OPEN_MAX: usize = 10_000;
/// How long one may stay open.
pub const OPEN_FOR_MAX: Duration = Duration::from_secs(15 * 60);
/// The epoch of a transaction that begins and ends with one call. Its producer has no other, and
/// no other producer reaches it.
pub const ONE_SHOT: i16 = i16::MAX;

struct Registered {
    epoch: i16,
    seen_at: TimestampMs,
    open: Option<(Arc<Transaction>, Duration)>,
    /// The one before, with its epoch.
    last: Option<Arc<Transaction>>,
    /// The epoch of the last one that was committed before this opening of the log.
    committed: Option<i16>,
}

#[derive(Default)]
pub struct Registry(Mutex<HashMap<i64, Registered>>);

/// What the end of a transaction is to do.
pub enum Ending {
    Now(Arc<Transaction>),
    /// It has ended this way before.
    Again(Producer),
}

impl Registered {
    fn new(epoch: i16, seen_at: TimestampMs) -> Registered {
        Registered { epoch, seen_at, open: None, last: None, committed: None }
    }

    /// What was open is over; the next transaction is of the next epoch.
    fn close(&mut self) -> Option<Arc<Transaction>> {
        let (transaction, _) = self.open.take()?;
        self.epoch = self.epoch.saturating_add(1);
        self.last = Some(Arc::clone(&transaction));
        Some(transaction)
    }
}

impl Registry {
    /// # Errors
    /// `Fenced` for an epoch that is over, `Unsupported` while one is open, `Busy` when there are
    /// too many.
    pub fn begin(
        &self,
        producer: Producer,
        deadline: Duration,
        now: TimestampMs,
    ) -> Result<Arc<Transaction>, LogError> {
        let mut registered = self.0.lock();
        let count = registered.values().filter(|one| one.open.is_some()).count();
        let one =
            registered.entry(producer.id).or_insert_with(|| Registered::new(producer.epoch, now));
        if producer.epoch < one.epoch || producer.epoch == ONE_SHOT {
            return Err(LogError::Fenced);
        }
        if one.open.is_some() {
            return Err(LogError::Unsupported("the producer has a transaction open already"));
        }
        if count >= OPEN_MAX {
            return Err(LogError::Busy);
        }
        one.epoch = producer.epoch;
        one.seen_at = now;
        let transaction = Transaction::new(producer);
        one.open = Some((Arc::clone(&transaction), deadline));
        Ok(transaction)
    }

    /// The producer's open transaction.
    pub fn open(&self, producer: Producer) -> Result<Arc<Transaction>, LogError> {
        let registered = self.0.lock();
        let one = registered.get(&producer.id).ok_or(LogError::TransactionUnknown)?;
        match &one.open {
            _ if producer.epoch < one.epoch => Err(LogError::Fenced),
            Some((transaction, _)) if producer.epoch == one.epoch => Ok(Arc::clone(transaction)),
            _ => Err(LogError::TransactionUnknown),
        }
    }

    /// Whether a newer epoch is known.
    pub fn is_fenced(&self, producer: Producer) -> bool {
        self.0.lock().get(&producer.id).is_some_and(|one| producer.epoch < one.epoch)
    }

    /// Takes the open transaction to be ended; asked again it says what happened.
    pub fn end(&self, producer: Producer, end: End) -> Result<Ending, LogError> {
        let mut registered = self.0.lock();
        let one = registered.get_mut(&producer.id).ok_or(LogError::TransactionUnknown)?;
        if producer.epoch == one.epoch {
            let transaction = one.close().ok_or(LogError::TransactionUnknown)?;
            return Ok(Ending::Now(transaction));
        }
        if end == End::Commit && one.committed == Some(producer.epoch) {
            return Ok(Ending::Again(Producer { id: producer.id, epoch: one.epoch }));
        }
        let last = one.last.as_ref().filter(|last| last.producer == producer);
        match last.map(|last| (last.outcome(), end)) {
            Some((Outcome::Committed, End::Commit) | (Outcome::Aborted, End::Abort)) => {
                Ok(Ending::Again(Producer { id: producer.id, epoch: one.epoch }))
            }
            Some((Outcome::Undecided, _)) => Err(LogError::Busy),
            Some(_) => Err(LogError::TransactionUnknown),
            None => Err(LogError::Fenced),
        }
    }

    /// The producer in its present epoch.
    pub fn now(&self, id: i64) -> Option<Producer> {
        self.0.lock().get(&id).map(|one| Producer { id, epoch: one.epoch })
    }

    /// Raises the epoch; answers it with what was open.
    pub fn fence(
        &self,
        producer: Producer,
        now: TimestampMs,
    ) -> Result<(Producer, Option<Arc<Transaction>>), LogError> {
        let mut registered = self.0.lock();
        let one =
            registered.entry(producer.id).or_insert_with(|| Registered::new(producer.epoch, now));
        if producer.epoch < one.epoch {
            return Err(LogError::Fenced);
        }
        one.seen_at = now;
        let open = one.close();
        if open.is_none() {
            one.epoch = producer.epoch.max(one.epoch).saturating_add(1);
        }
        Ok((Producer { id: producer.id, epoch: one.epoch }, open))
    }

    /// Those whose time is over; their producers' epochs are raised.
    pub fn take_overdue(&self, now: Duration) -> Vec<Arc<Transaction>> {
        let mut registered = self.0.lock();
        let overdue = |one: &&mut Registered| one.open.as_ref().is_some_and(|(_, end)| *end <= now);
        registered.values_mut().filter(overdue).filter_map(Registered::close).collect()
    }

    pub fn open_count(&self) -> usize {
        self.0.lock().values().filter(|one| one.open.is_some()).count()
    }

    /// Whoever has nothing open and was not heard of since then is forgotten.
    pub fn expire(&self, before: TimestampMs) {
        self.0.lock().retain(|_, one| one.open.is_some() || one.seen_at >= before);
    }

    /// The producer is at least in this epoch.
    pub fn restore(&self, producer: Producer, seen_at: TimestampMs) {
        let mut registered = self.0.lock();
        let one = registered
            .entry(producer.id)
            .or_insert_with(|| Registered::new(producer.epoch, seen_at));
        one.epoch = one.epoch.max(producer.epoch);
        one.seen_at = one.seen_at.max(seen_at);
    }

    /// The producer's transaction of this epoch was committed, by a former opening of the log.
    pub fn restore_committed(&self, producer: Producer) {
        if let Some(one) = self.0.lock().get_mut(&producer.id) {
            one.committed = one.committed.max(Some(producer.epoch));
        }
    }

    /// By number. What is open now would be given up by a start, which finds it by its parts.
    pub fn list(&self) -> Vec<(Producer, TimestampMs)> {
        let registered = self.0.lock();
        let mut list: Vec<(Producer, TimestampMs)> = registered
            .iter()
            .map(|(&id, one)| (Producer { id, epoch: one.epoch }, one.seen_at))
            .collect();
        list.sort_unstable_by_key(|(producer, _)| producer.id);
        list
    }
}
