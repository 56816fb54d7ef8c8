//! A consumer as a whole: the ledgers of all partitions of its topic under one set of terms.

use crate::codec::Kept;
use crate::ledger::{Counts, Ledger};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stdx::Rng;
use types::consumer::{Backoff, Ordering};
use types::{ConsumerConfig, Offset, Partition, TimestampMs};

/// What of a configuration decides about deliveries.
#[derive(Debug, Clone)]
pub struct Terms {
    pub ack_wait: Duration,
    pub deliveries_max: u32,
    pub backoff: Backoff,
    pub pending_max: usize,
    pub ordering: Ordering,
}

impl From<&ConsumerConfig> for Terms {
    fn from(config: &ConsumerConfig) -> Terms {
        Terms {
            ack_wait: Duration::from_millis(config.ack_wait_ms),
            deliveries_max: config.deliveries_max,
            backoff: config.backoff.clone(),
            pending_max: config.pending_max as usize,
            ordering: config.ordering,
        }
    }
}

impl Terms {
    /// How long a record waits that failed for the `deliveries`th time.
    pub fn backoff(&self, deliveries: u32, rng: &dyn Rng) -> Duration {
        let delay_ms = self.backoff.delay_ms(deliveries);
        let spread_ms = delay_ms.saturating_mul(u64::from(self.backoff.jitter_percent)) / 100;
        let jitter_ms = rng.below(spread_ms.saturating_add(1).max(1));
        Duration::from_millis(delay_ms.saturating_add(jitter_ms))
    }
}

/// Where a record lies in the consumer's topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub partition: Partition,
    pub offset: Offset,
}

/// A record and how often it was delivered: as it is leased, and as it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub place: Place,
    pub deliveries: u32,
}

/// Why a delivery cannot be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is done with already.
    Acknowledged,
    /// It was delivered again since.
    Stale,
    /// It is just being moved to the dead letters or committed.
    Settling,
    /// This consumer never delivered it, or was reset since.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Book {
    pub terms: Terms,
    pub generation: u32,
    ledgers: Vec<Ledger>,
    /// Which partition leases first next time.
    turn: usize,
}

impl Book {
    pub fn new(terms: Terms, generation: u32, ledgers: Vec<Ledger>) -> Book {
        Book { terms, generation, ledgers, turn: 0 }
    }

    pub fn ledgers(&self) -> impl Iterator<Item = (Partition, &Ledger)> {
        (0..).zip(&self.ledgers)
    }

    pub fn ledger(&mut self, partition: Partition) -> Option<&mut Ledger> {
        self.ledgers.get_mut(partition as usize)
    }

    /// Records it may still take in.
    pub fn room(&self) -> usize {
        let pending: usize = self.ledgers.iter().map(Ledger::pending).sum();
        self.terms.pending_max.saturating_sub(pending)
    }

    pub fn counts(&self) -> Counts {
        self.ledgers.iter().map(Ledger::counts).fold(Counts::default(), |sum, one| Counts {
            leased: sum.leased + one.leased,
            retrying: sum.retrying + one.retrying,
            held: sum.held + one.held,
        })
    }

    /// Lets time pass.
    pub fn turn(&mut self, now: Duration, rng: &dyn Rng) {
        for ledger in &mut self.ledgers {
            ledger.turn(now, &self.terms, rng);
        }
    }

    /// When `turn` next has something to do.
    pub fn next_turn(&self) -> Option<Duration> {
        self.ledgers.iter().filter_map(Ledger::next_turn).min()
    }

    /// Leases up to so many of the records that may be: partition by partition, beginning with
    /// another one each time.
    pub fn lease(&mut self, count: usize, now: Duration) -> Vec<Due> {
        let mut leased = Vec::new();
        let until = now + self.terms.ack_wait;
        let partitions = self.ledgers.len();
        self.turn = (self.turn + 1) % partitions.max(1);
        for step in 0..partitions {
            let index = (self.turn + step) % partitions;
            let (Some(ledger), Ok(partition)) =
                (self.ledgers.get_mut(index), Partition::try_from(index))
            else {
                continue;
            };
            while leased.len() < count
                && let Some((offset, deliveries)) = ledger.lease(until)
            {
                leased.push(Due { place: Place { partition, offset }, deliveries });
            }
        }
        leased
    }

    /// Records for the dead letters, at most so many; they are settling from now on.
    pub fn doomed(&mut self, count: usize) -> Vec<Due> {
        let mut doomed = Vec::new();
        for (partition, ledger) in (0..).zip(&mut self.ledgers) {
            let found = ledger.doomed(count - doomed.len());
            doomed.extend(found.into_iter().map(|(offset, deliveries)| Due {
                place: Place { partition, offset },
                deliveries,
            }));
        }
        doomed
    }

    pub fn has_doomed(&self) -> bool {
        self.ledgers.iter().any(Ledger::has_doomed)
    }

    /// Whether this delivery may be settled.
    pub fn check(&self, due: Due) -> Result<(), Refused> {
        let Place { partition, offset } = due.place;
        let ledger = self.ledgers.get(partition as usize).ok_or(Refused::Unknown)?;
        if offset >= ledger.next() {
            return Err(Refused::Unknown);
        }
        match ledger.deliveries(offset) {
            None => Err(Refused::Acknowledged),
            Some(_) if ledger.is_settling(offset) => Err(Refused::Settling),
            Some(deliveries) if deliveries == due.deliveries => Ok(()),
            Some(_) => Err(Refused::Stale),
        }
    }

    /// What of each changed partition is to be kept, as if the records `without` were acknowledged.
    pub fn keep(&self, without: &[Place], now: Duration, now_ms: TimestampMs) -> Vec<Keep> {
        let mut left_out: BTreeMap<Partition, BTreeSet<Offset>> = BTreeMap::new();
        for place in without {
            left_out.entry(place.partition).or_default().insert(place.offset);
        }
        let nothing = BTreeSet::new();
        self.ledgers()
            .filter(|(partition, ledger)| ledger.is_dirty || left_out.contains_key(partition))
            .map(|(partition, ledger)| {
                let without = left_out.get(&partition).unwrap_or(&nothing);
                let kept = ledger.keep(self.generation, without, now, now_ms);
                Keep { partition, kept }
            })
            .collect()
    }

    /// From now on only what changes is to be kept.
    pub fn kept(&mut self) {
        self.ledgers.iter_mut().for_each(|ledger| ledger.is_dirty = false);
    }

    /// Everything is to be kept anew: the last attempt failed.
    pub fn unkept(&mut self) {
        self.ledgers.iter_mut().for_each(|ledger| ledger.is_dirty = true);
    }

    pub fn is_dirty(&self) -> bool {
        self.ledgers.iter().any(|ledger| ledger.is_dirty)
    }
}

/// One partition's state, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    pub partition: Partition,
    pub kept: Kept,
}
