//! The batches of one partition on their way: gathered, numbered, sent, and sent again in the same
//! order. A state machine without a clock and without a socket.
//!
//! ```text
//! open --full, old, flushed--> ready --numbered--> outstanding --answered--> done
//!                                ^                      |
//!                                +--- to be sent again -+   only when nothing is outstanding
//! ```
//! Up to five batches are outstanding. When one is not taken those behind it are not either, since
//! their numbers do not follow; they wait until all are back and go again in their order. What
//! was stored although nobody said so is recognised by its number.

use super::Delivered;
use crate::batches::{Builder, Stamp, write_stamp};
use crate::{Error, Packing, Record, Result};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use stdx::backoff::Backoff;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wire_kafka::errors as codes;

/// As many as a broker remembers of a producer in a partition.
const OUTSTANDING_MAX: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub id: i64,
    pub epoch: i16,
}

/// Who waits for a record, and what it takes of the producer's room until then.
pub struct Entry {
    pub receipt: oneshot::Sender<Result<Delivered>>,
    pub _room: Option<OwnedSemaphorePermit>,
}

struct Open {
    builder: Builder,
    entries: Vec<Entry>,
    since: Instant,
}

/// A batch that nothing more is added to.
pub struct Sealed {
    batch: BytesMut,
    count: i32,
    entries: Vec<Entry>,
    /// Its place among all of the lane.
    order: u64,
    sequence: Option<i32>,
    give_up_at: Instant,
    /// It was sent, and nobody knows what became of it.
    is_in_doubt: bool,
}

impl Sealed {
    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.batch)
    }

    pub fn size(&self) -> usize {
        self.batch.len()
    }

    fn succeed(self, partition: i32, base_offset: i64) {
        for (delta, entry) in (0..).zip(self.entries) {
            let offset = if base_offset < 0 { -1 } else { base_offset + delta };
            // Who no longer listens need not hear it.
            let _ = entry.receipt.send(Ok(Delivered { partition, offset }));
        }
    }

    fn fail(self, error: &Error) {
        for entry in self.entries {
            // Who no longer listens need not hear it.
            let _ = entry.receipt.send(Err(error.clone()));
        }
    }
}

/// What a lane goes by.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub batch_bytes: usize,
    pub linger: Duration,
    pub delivery_time_max: Duration,
    pub packing: Option<Packing>,
    pub is_transactional: bool,
    pub backoff: Backoff,
}

pub struct Lane {
    partition: i32,
    manner: Manner,
    open: Option<Open>,
    ready: VecDeque<Sealed>,
    outstanding: Vec<u64>,
    next_order: u64,
    identity: Option<Identity>,
    /// A producer's id whose numbers have a hole here.
    spent: Option<i64>,
    next_sequence: i32,
    is_draining: bool,
    is_broken: bool,
    retry_at: Option<Instant>,
    failures: u32,
}

impl Lane {
    pub fn new(partition: i32, manner: Manner) -> Lane {
        Lane {
            partition,
            manner,
            open: None,
            ready: VecDeque::new(),
            outstanding: Vec::new(),
            next_order: 0,
            identity: None,
            spent: None,
            next_sequence: 0,
            is_draining: false,
            is_broken: false,
            retry_at: None,
            failures: 0,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.open.is_none() && self.ready.is_empty() && self.outstanding.is_empty()
    }

    pub fn push(&mut self, record: &Record, entry: Entry, (now, now_ms): (Instant, i64)) {
        let is_full = |open: &Open| {
            open.builder.size() + record.size_max() > self.manner.batch_bytes
                && open.builder.count() > 0
        };
        if self.open.as_ref().is_some_and(is_full) {
            self.seal();
        }
        let open = self.open.get_or_insert_with(|| Open {
            builder: Builder::new(),
            entries: Vec::new(),
            since: now,
        });
        open.builder.push(record, now_ms);
        open.entries.push(entry);
        if open.builder.size() >= self.manner.batch_bytes {
            self.seal();
        }
    }

    /// Batches of at most `batch_bytes`, or of one record: compressed between other work.
    pub fn seal(&mut self) {
        let Some(Open { builder, entries, since }) = self.open.take() else { return };
        let count = builder.count();
        match builder.finish(self.manner.packing, None) {
            Ok(batch) => {
                self.ready.push_back(Sealed {
                    batch,
                    count,
                    entries,
                    order: self.next_order,
                    sequence: None,
                    give_up_at: since + self.manner.delivery_time_max,
                    is_in_doubt: false,
                });
                self.next_order += 1;
            }
            Err(error) => {
                for entry in entries {
                    // Who no longer listens need not hear it.
                    let _ = entry.receipt.send(Err(error.clone()));
                }
            }
        }
    }

    /// Seals what has lingered, gives up what waited too long. Answers an error if there was one.
    pub fn advance(&mut self, now: Instant) -> Option<Error> {
        if self.open.as_ref().is_some_and(|open| now >= open.since + self.manner.linger) {
            self.seal();
        }
        self.retry_at = self.retry_at.filter(|&at| now < at);
        let mut failed = None;
        while self.ready.front().is_some_and(|first| now >= first.give_up_at)
            && let Some(first) = self.ready.pop_front()
        {
            let error = Error::TimedOut(self.manner.delivery_time_max);
            self.give_up(first, &error);
            failed = Some(error);
        }
        self.mend();
        failed
    }

    /// When there is something to do without anything having come.
    pub fn due_at(&self) -> Option<Instant> {
        let lingered = self.open.as_ref().map(|open| open.since + self.manner.linger);
        let given_up = self.ready.front().map(|first| first.give_up_at);
        let again = self.retry_at.filter(|_| !self.ready.is_empty());
        [lingered, given_up, again].into_iter().flatten().min()
    }

    /// Whether it could send if it were let.
    pub fn wants_to_send(&self, now: Instant) -> bool {
        !self.ready.is_empty()
            && !self.is_draining
            && !self.is_broken
            && self.outstanding.len() < OUTSTANDING_MAX
            && self.retry_at.is_none_or(|at| now >= at)
    }

    /// Whether the lane can go on under this name; without one it needs another.
    pub fn accepts(&self, identity: Identity) -> bool {
        match self.identity {
            Some(_) => true,
            None => self.spent != Some(identity.id) || self.manner.is_transactional,
        }
    }

    /// The next batch, numbered. `wants_to_send` and `accepts` were asked before.
    pub fn take(&mut self, identity: Identity) -> Option<Sealed> {
        let mut sealed = self.ready.pop_front()?;
        if self.identity.is_none() {
            self.identity = Some(identity);
            self.next_sequence = 0;
        }
        let identity = self.identity.unwrap_or(identity);
        if sealed.sequence.is_none() {
            let base_sequence = self.next_sequence;
            sealed.sequence = Some(base_sequence);
            self.next_sequence =
                types::batch::sequence_after(base_sequence, sealed.count.unsigned_abs());
            let stamp = Stamp {
                producer_id: identity.id,
                producer_epoch: identity.epoch,
                base_sequence,
                is_transactional: self.manner.is_transactional,
            };
            write_stamp(&mut sealed.batch, Some(stamp));
        }
        self.outstanding.push(sealed.order);
        Some(sealed)
    }

    /// What became of a batch. Answers an error that is final.
    pub fn settle(
        &mut self,
        mut sealed: Sealed,
        outcome: Result<i64>,
        now: Instant,
    ) -> Option<Error> {
        self.outstanding.retain(|&order| order != sealed.order);
        let error = match outcome {
            Ok(base_offset) => {
                self.failures = 0;
                self.retry_at = None;
                sealed.succeed(self.partition, base_offset);
                self.settle_down();
                return None;
            }
            // It was stored, so long ago that its offset is forgotten.
            Err(error) if error.is(codes::DUPLICATE_SEQUENCE_NUMBER) => {
                sealed.succeed(self.partition, -1);
                self.settle_down();
                return None;
            }
            Err(error) => error,
        };
        sealed.is_in_doubt |= error.is_unknown();
        let follows_another = self.comes_behind(sealed.order);
        let is_lost = is_lost(&error);
        let may_renumber = is_lost && !self.manner.is_transactional && !sealed.is_in_doubt;
        let is_again = error.is_retriable() || (is_lost && follows_another) || may_renumber;
        if is_again && now < sealed.give_up_at {
            if may_renumber && !follows_another {
                self.is_broken = true;
            } else {
                self.is_draining = true;
            }
            if !follows_another {
                self.retry_at =
                    Some(now + self.manner.backoff.wait(self.failures, &stdx::SystemRng));
                self.failures = self.failures.saturating_add(1);
            }
            let place = self.ready.partition_point(|other| other.order < sealed.order);
            self.ready.insert(place, sealed);
            self.settle_down();
            return None;
        }
        self.give_up(sealed, &error);
        self.settle_down();
        Some(error)
    }

    fn comes_behind(&self, order: u64) -> bool {
        self.outstanding.iter().any(|&other| other < order)
            || self.ready.front().is_some_and(|first| first.order < order)
    }

    fn give_up(&mut self, sealed: Sealed, error: &Error) {
        self.is_broken |= sealed.sequence.is_some();
        sealed.fail(error);
    }

    fn settle_down(&mut self) {
        if self.outstanding.is_empty() {
            self.is_draining = false;
        }
        self.mend();
    }

    /// A hole in the numbers is not mended within a name: what was surely not stored goes on under
    /// another. What may have been stored would come twice, and is given up.
    fn mend(&mut self) {
        if !self.is_broken || !self.outstanding.is_empty() || self.manner.is_transactional {
            return;
        }
        self.is_broken = false;
        self.spent = self.identity.take().map(|identity| identity.id).or(self.spent);
        for mut sealed in std::mem::take(&mut self.ready) {
            if sealed.is_in_doubt {
                let why = "a batch before it was given up, and it may have been stored";
                sealed.fail(&Error::Invalid(why.to_owned()));
            } else {
                sealed.sequence = None;
                self.ready.push_back(sealed);
            }
        }
    }

    /// Lets go of all that is not on its way.
    pub fn discard(&mut self, error: &Error) {
        self.seal();
        for sealed in std::mem::take(&mut self.ready) {
            sealed.fail(error);
        }
    }
}

/// The broker does not know the numbers before these.
fn is_lost(error: &Error) -> bool {
    matches!(error.code(), Some(codes::OUT_OF_ORDER_SEQUENCE_NUMBER | codes::UNKNOWN_PRODUCER_ID))
}
