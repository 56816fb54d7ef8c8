//! One transactional id: who its producer is, as the client and as the log know it, and what its
//! open transaction touches. Pure: what is to be done in the log is answered, and done outside.
//!
//! Since KIP-890 every end of a transaction is a new epoch, which the client hears with the answer
//! (`Way::Implicit` below). Older clients keep theirs from transaction to transaction; the log
//! does not, so their batches are given the log's epoch and numbers that begin at 0 in it.

use crate::errors;
use crate::groups::{At, Committed};
use crate::wire::{Form, Input, Malformed, Wire, message, read_whole};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::batch::sequence_after;
use types::{Producer, Stamp, TimestampMs};

/// Partitions of one transaction.
pub const PARTITIONS_MAX: usize = 10_000;
const FORM: Form = Form { version: 0, is_flexible: true };

message! {
    Kept {
        told_id: i64;
        told_epoch: i16;
        log_id: i64;
        log_epoch: i16;
        timeout_ms: i32;
        standing: i8;
        at_ms: i64;
    }
}

/// What is kept of the last transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There was none, or none that had to be noted.
    None = 0,
    /// It is open, and may leave no other trace of that.
    Open = 1,
    Committed = 2,
    GivenUp = 3,
}

/// How the client speaks of transactions, by the version of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It says beforehand what a transaction will touch, and keeps its epoch.
    Explicit,
    /// The first batch or offset begins the transaction, and each end is a new epoch (KIP-890).
    Implicit,
}

/// How the last transaction ended, for whoever asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The producer that ended it.
    pub by: Producer,
    pub is_commit: bool,
}

#[derive(Debug, Default)]
pub struct Open {
    pub began_ms: TimestampMs,
    /// By the monotonic clock; the log gives it up then.
    pub until: Duration,
    pub partitions: BTreeSet<At>,
    /// Groups whose offsets are part of it, with those that were committed so far.
    pub offsets: BTreeMap<String, BTreeMap<At, Committed>>,
    /// The client's number of the first batch in each partition.
    bases: BTreeMap<At, i32>,
}

/// A transaction is no more, and the client does not know: all it may do is to abort it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// As the log knew the producer then, if it is known.
    pub log: Option<Producer>,
    /// It was certainly not committed.
    pub is_sure: bool,
}

#[derive(Debug)]
pub struct Entry {
    /// As the client knows it.
    pub told: Producer,
    /// As the log knows it.
    pub log: Producer,
    pub timeout: Duration,
    pub open: Option<Open>,
    pub ended: Option<Ended>,
    pub lost: Option<Lost>,
    /// What is kept says that a transaction is open.
    pub is_marked: bool,
    /// Read from what is kept, and the client was not heard since.
    is_read: bool,
    pub used_ms: TimestampMs,
    /// The producer that this one has followed, for whoever asks for it again.
    pub from: Option<Producer>,
    /// The number that each partition's next batch has for a client that goes on counting.
    next: BTreeMap<At, i32>,
}

impl Entry {
    pub fn new(producer: Producer, timeout: Duration, now_ms: TimestampMs) -> Entry {
        Entry {
            told: producer,
            log: producer,
            timeout,
            open: None,
            ended: None,
            lost: None,
            is_marked: false,
            is_read: false,
            used_ms: now_ms,
            from: None,
            next: BTreeMap::new(),
        }
    }

    /// From what is kept; `now` is the producer in the log.
    pub fn read(value: Bytes, now: impl Fn(i64) -> Option<Producer>) -> Result<Entry, Malformed> {
        let kept = read_whole::<Kept>(&mut Input::new(value), FORM)?;
        let log = Producer { id: kept.log_id, epoch: kept.log_epoch };
        let log = now(log.id).filter(|now| now.epoch > log.epoch).unwrap_or(log);
        let told = Producer { id: kept.told_id, epoch: kept.told_epoch };
        let timeout = Duration::from_millis(u64::try_from(kept.timeout_ms).unwrap_or(0));
        let is = |standing: Standing| kept.standing == standing as i8;
        let has_ended = is(Standing::Committed) || is(Standing::GivenUp);
        Ok(Entry {
            log,
            is_marked: is(Standing::Open),
            ended: has_ended.then_some(Ended { by: told, is_commit: is(Standing::Committed) }),
            is_read: true,
            ..Entry::new(told, timeout, kept.at_ms)
        })
    }

    pub fn kept(&self, standing: Standing) -> Bytes {
        let kept = Kept {
            told_id: self.told.id,
            told_epoch: self.told.epoch,
            log_id: self.log.id,
            log_epoch: self.log.epoch,
            timeout_ms: i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX),
            standing: standing as i8,
            at_ms: self.used_ms,
        };
        kept.to_bytes(FORM)
    }

    /// Who asks, against whom we know.
    ///
    /// # Errors
    /// `INVALID_PRODUCER_ID_MAPPING` for another id, `PRODUCER_FENCED` for another epoch.
    pub fn check(&mut self, producer: Producer, way: Way) -> Result<(), i16> {
        if producer.id != self.told.id {
            return Err(errors::INVALID_PRODUCER_ID_MAPPING);
        }
        if self.is_read {
            self.meet(producer, way)?;
        }
        match producer.epoch == self.told.epoch {
            true => Ok(()),
            false => Err(errors::PRODUCER_FENCED),
        }
    }

    /// The first one who comes after a start. What he had open then is no more.
    fn meet(&mut self, producer: Producer, way: Way) -> Result<(), i16> {
        let is_between = (self.told.epoch..=self.log.epoch).contains(&producer.epoch)
            && self.told.id == self.log.id;
        match way {
            Way::Explicit if producer.epoch == self.told.epoch => {
                self.lost = self.is_marked.then_some(Lost { log: None, is_sure: true });
            }
            // Epochs since the last sign-in are not kept, but nobody else can have them.
            Way::Implicit if is_between => {
                let is_over = producer.epoch < self.log.epoch;
                let lost = Lost { log: Some(producer), is_sure: self.is_marked };
                self.lost = (is_over || self.is_marked).then_some(lost);
                self.told = producer;
            }
            _ => return Err(errors::PRODUCER_FENCED),
        }
        self.is_read = false;
        Ok(())
    }

    /// Whether it is this end that happened last, and only its answer was lost.
    pub fn has_ended(&self, ended: Ended, way: Way) -> bool {
        // Which epoch followed is not kept: the log is asked.
        let knows_next = way == Way::Explicit || !self.is_read;
        self.open.is_none() && self.lost.is_none() && knows_next && self.ended == Some(ended)
    }

    /// What a client is told that goes on with a transaction that is no more.
    pub fn check_not_lost(&self, way: Way) -> Result<(), i16> {
        match (self.lost, way) {
            (None, _) => Ok(()),
            (Some(_), Way::Implicit) => Err(errors::TRANSACTION_ABORTABLE),
            (Some(_), Way::Explicit) => Err(errors::INVALID_PRODUCER_ID_MAPPING),
        }
    }

    pub fn begin(&mut self, now: Duration, now_ms: TimestampMs) {
        self.used_ms = now_ms;
        self.ended = None;
        let until = now.saturating_add(self.timeout);
        self.open = Some(Open { began_ms: now_ms, until, ..Open::default() });
    }

    /// Whether the log has given up what is open, or is about to.
    pub fn is_overdue(&self, now: Duration) -> bool {
        self.open.as_ref().is_some_and(|open| now >= open.until)
    }

    /// What is open took too long: its client is refused until it signs in again.
    pub fn expire(&mut self) {
        self.open = None;
        self.told.epoch = self.told.epoch.saturating_add(1);
    }

    /// The partition gets batches of the open transaction.
    ///
    /// # Errors
    /// `INVALID_TXN_STATE` when nothing is open, or the client did not say it, or there are too
    /// many.
    pub fn join(&mut self, at: &At, way: Way) -> Result<(), i16> {
        let open = self.open.as_mut().ok_or(errors::INVALID_TXN_STATE)?;
        if open.partitions.contains(at) {
            return Ok(());
        }
        if way == Way::Explicit || open.partitions.len() >= PARTITIONS_MAX {
            return Err(errors::INVALID_TXN_STATE);
        }
        open.partitions.insert(at.clone());
        Ok(())
    }

    /// The stamp under which a batch of the open transaction is stored, and the client's number of
    /// the batch behind it.
    pub fn stamp(&mut self, at: &At, stamp: Stamp, count: u32) -> Stamp {
        let Some(sequence) = stamp.sequence else {
            return Stamp { producer: self.log, ..stamp };
        };
        let expected = self.next.get(at).copied();
        let open = self.open.get_or_insert_default();
        let base = match open.bases.get(at) {
            Some(base) => *base,
            // As the client knows it, the epoch goes on: so does its counting.
            None => {
                let base = if self.told == self.log { 0 } else { expected.unwrap_or(sequence) };
                open.bases.insert(at.clone(), base);
                base
            }
        };
        let after = sequence_after(sequence, count);
        if self.next.len() >= PARTITIONS_MAX && expected.is_none() {
            self.next.clear();
        }
        if expected.is_none_or(|expected| expected == sequence) {
            self.next.insert(at.clone(), after);
        }
        Stamp { producer: self.log, sequence: Some(distance(base, sequence)), ..stamp }
    }

    /// The transaction has ended; the log goes on with `log`.
    pub fn end(&mut self, ended: Ended, log: Producer, way: Way) {
        self.open = None;
        self.lost = None;
        self.ended = Some(ended);
        self.log = log;
        if way == Way::Implicit {
            self.told = log;
            self.next.clear();
        }
    }
}

/// How far `to` is behind `from`, where numbers go on at 0 after the largest.
fn distance(from: i32, to: i32) -> i32 {
    // The remainder of a division by 2^31 is below that.
    (i64::from(to) - i64::from(from)).rem_euclid(i64::from(i32::MAX) + 1) as i32
}
