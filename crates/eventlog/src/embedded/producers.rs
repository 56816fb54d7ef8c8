//! What one partition remembers of those who number their batches (KIP-98): their epoch and their
//! last batches, so that a batch sent again gets its first answer, one out of turn is refused, and
//! who has been replaced is told so. Pure; it must not know how batches are stored.

use crate::LogError;
use std::collections::{HashMap, VecDeque};
use types::batch::sequence_after;
use types::{Offset, Producer, Stamp, TimestampMs};

/// Batches remembered of each producer: as many as clients have under way (KIP-98 says five).
pub const SENT_MAX: usize = 5;
/// Producers one partition remembers; one more, and the one heard of longest ago is forgotten.
pub const PRODUCERS_MAX: usize = 10_000;

/// One numbered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub sequence: i32,
    pub count: u32,
    pub base_offset: Offset,
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub producer: Producer,
    pub seen_at: TimestampMs,
    /// In order. More than `SENT_MAX` only while some are on their way to the device.
    pub sent: VecDeque<Sent>,
}

impl Known {
    pub fn new(producer: Producer, seen_at: TimestampMs) -> Known {
        Known { producer, seen_at, sent: VecDeque::new() }
    }
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Take,
    /// It is here already, from this offset on.
    Duplicate(Offset),
}

#[derive(Debug, Default)]
pub struct Producers(HashMap<i64, Known>);

impl Producers {
    /// Judges a batch of `count` records.
    ///
    /// # Errors
    /// `Fenced` when a newer epoch was seen, `OutOfOrder` when it is not the next batch.
    pub fn judge(&self, stamp: &Stamp, count: u32) -> Result<Verdict, LogError> {
        let Some(known) = self.0.get(&stamp.producer.id) else { return Ok(Verdict::Take) };
        if stamp.producer.epoch < known.producer.epoch {
            return Err(LogError::Fenced);
        }
        let Some(sequence) = stamp.sequence else { return Ok(Verdict::Take) };
        if stamp.producer.epoch > known.producer.epoch {
            // A new life counts from the start.
            let expected = 0;
            return match sequence {
                0 => Ok(Verdict::Take),
                _ => Err(LogError::OutOfOrder { expected }),
            };
        }
        let again = |sent: &&Sent| sent.sequence == sequence && sent.count == count;
        if let Some(sent) = known.sent.iter().find(again) {
            return Ok(Verdict::Duplicate(sent.base_offset));
        }
        match known.sent.back() {
            Some(last) => {
                let expected = sequence_after(last.sequence, last.count);
                match sequence == expected {
                    true => Ok(Verdict::Take),
                    false => Err(LogError::OutOfOrder { expected }),
                }
            }
            // What it sent before is forgotten, so any number may be the next.
            None => Ok(Verdict::Take),
        }
    }

    /// A batch was taken.
    pub fn note(&mut self, stamp: &Stamp, count: u32, base_offset: Offset, now: TimestampMs) {
        let known =
            self.0.entry(stamp.producer.id).or_insert_with(|| Known::new(stamp.producer, now));
        if stamp.producer.epoch > known.producer.epoch {
            known.producer = stamp.producer;
            known.sent.clear();
        }
        known.seen_at = known.seen_at.max(now);
        if let Some(sequence) = stamp.sequence {
            known.sent.push_back(Sent { sequence, count, base_offset });
        }
        if self.0.len() > PRODUCERS_MAX {
            let oldest = self.0.values().min_by_key(|known| known.seen_at);
            if let Some(oldest) = oldest.map(|known| known.producer.id) {
                self.0.remove(&oldest);
            }
        }
    }

    /// Offsets up to here are stored: of those no more than the last few are needed.
    pub fn settle(&mut self, producer: i64, settled: Offset) {
        let Some(known) = self.0.get_mut(&producer) else { return };
        let stored = known.sent.iter().filter(|sent| sent.base_offset < settled).count();
        known.sent.drain(..stored.saturating_sub(SENT_MAX));
    }

    /// Batches from this offset on were never stored.
    pub fn roll_back(&mut self, settled: Offset) {
        for known in self.0.values_mut() {
            known.sent.retain(|sent| sent.base_offset < settled);
        }
    }

    /// Whoever was not heard of since then is forgotten.
    pub fn expire(&mut self, before: TimestampMs) {
        self.0.retain(|_, known| known.seen_at >= before);
    }

    pub fn restore(&mut self, known: Vec<Known>) {
        self.0.extend(known.into_iter().map(|known| (known.producer.id, known)));
    }

    /// Those that sent something before the offset, without what came after; by number.
    pub fn list(&self, settled: Offset) -> Vec<Known> {
        let mut known: Vec<Known> = self.0.values().cloned().collect();
        for one in &mut known {
            one.sent.retain(|sent| sent.base_offset < settled);
        }
        known.sort_unstable_by_key(|known| known.producer.id);
        known
    }
}
