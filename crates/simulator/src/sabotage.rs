//! Deliberately broken logs, for the checkers to find: each variant lies in one way, between the
//! log and whoever asks it, or between the log and its disk. A checker that lets its own variant
//! pass proves nothing.

use crate::book::Seen;
use eventlog::{Appended, LogError, Placement};
use std::ops::Range;
use testkit::disk::SimDisk;
use types::{Offset, Producer, Record};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    #[default]
    None,
    /// Acknowledges before the flush: the disk says that it has written what it has not.
    EarlyAcknowledgement,
    /// A frame is left out of what is read.
    DroppedFrame,
    /// A checksum is ignored: a flipped bit reaches the reader.
    IgnoredChecksum,
    /// A record is answered at two offsets.
    Doubled,
    /// Two records are answered in the wrong order.
    Swapped,
    /// An answer names an offset that another record has.
    ReusedOffset,
    /// After a failed flush appends are acknowledged all the same.
    IgnoredFailure,
    /// The end is one behind now and then.
    EndGoesBack,
    /// The newest record of a key is left out.
    OldValue,
    /// Once full, always full.
    StaysFull,
    /// Records are not sealed although they should be.
    Unsealed,
    /// Ids are forgotten.
    ForgetsIds,
    /// A duplicate is said to be where another record is.
    WrongFirst,
    /// A part of an open transaction is shown.
    LeaksOpen,
    /// What was given up is shown.
    ShowsAborted,
    /// Of a transaction one part is stored, and the others are not.
    HalfTransaction,
    /// Producers' numbers are given again.
    ReusedProducer,
    /// Who was replaced may go on.
    Unfenced,
    /// Compaction takes the newest of a key.
    TakesNewest,
    /// What is replaced stays on the disk.
    KeepsAll,
    /// A follower is not given a record.
    LosesDelivery,
    /// A follower is given a record twice.
    RepeatsDelivery,
    /// A follower is given a record that is not stored yet.
    TellsEarly,
    /// An acknowledgement is answered and forgotten.
    ForgetsAcknowledgement,
    /// A consumer's place is told wrongly now and then.
    PlaceGoesBack,
}

impl Sabotage {
    pub(crate) fn prepare(self, disk: &SimDisk) {
        if self == Sabotage::EarlyAcknowledgement {
            disk.lie_about_flushes();
        }
    }

    pub(crate) fn told(self, _seen: &mut [Seen]) {}

    pub(crate) fn read(self, seen: &mut Vec<Seen>) {
        match self {
            Sabotage::DroppedFrame if seen.len() > 3 => drop(seen.remove(2)),
            Sabotage::IgnoredChecksum => {
                if let Some(value) = seen.last_mut().and_then(|it| it.record.value.as_mut()) {
                    let mut bytes = value.to_vec();
                    bytes.last_mut().into_iter().for_each(|byte| *byte ^= 1);
                    *value = bytes.into();
                }
            }
            Sabotage::Doubled if seen.len() > 1 => {
                let first = seen[0].clone();
                seen[1] = Seen { offset: seen[1].offset, ..first };
            }
            Sabotage::Swapped if seen.len() > 1 => seen.swap(0, 1),
            _ => {}
        }
    }

    pub(crate) fn answer(self, answer: Result<Appended, LogError>) -> Result<Appended, LogError> {
        match answer {
            Ok(appended) if self == Sabotage::ReusedOffset => {
                let base_offset = appended.base_offset.saturating_sub(1);
                Ok(Appended { base_offset, ..appended })
            }
            Err(LogError::Failed(_)) if self == Sabotage::IgnoredFailure => {
                Ok(Appended { base_offset: 1 << 40, timestamp: 0 })
            }
            other => other,
        }
    }

    pub(crate) fn with_id(self, mut record: Record) -> Record {
        if self == Sabotage::ForgetsIds {
            record.headers.truncate(1);
        }
        record
    }

    pub(crate) fn placement(self, placement: Placement) -> Placement {
        match placement.is_duplicate && self == Sabotage::WrongFirst {
            true => Placement { offset: placement.offset + 1, ..placement },
            false => placement,
        }
    }

    pub(crate) fn producer(self, producer: Producer) -> Producer {
        match self {
            Sabotage::ReusedProducer => Producer { id: producer.id % 2, ..producer },
            _ => producer,
        }
    }

    /// What a compacted partition holds.
    pub(crate) fn compacted(self, seen: &mut Vec<Seen>) {
        let newest = seen.iter().rposition(|it| it.record.key.is_some());
        if let Some(newest) = newest.filter(|_| self == Sabotage::TakesNewest) {
            seen.remove(newest);
        }
    }

    /// Where a consumer is said to stand.
    pub(crate) fn committed(self, committed: Offset) -> Offset {
        match self {
            Sabotage::PlaceGoesBack if committed % 3 == 2 => committed - 2,
            _ => committed,
        }
    }

    pub(crate) fn bounds(self, bounds: Range<Offset>) -> Range<Offset> {
        match self {
            Sabotage::EndGoesBack if bounds.end % 5 == 4 && bounds.end > bounds.start => {
                bounds.start..bounds.end - 4.min(bounds.end - bounds.start)
            }
            _ => bounds,
        }
    }

    pub(crate) fn of_key(self, found: &mut Vec<Seen>) {
        if self == Sabotage::OldValue {
            found.pop();
        }
    }

    /// Gives the space back.
    pub(crate) fn free(self, disk: &SimDisk) {
        if self != Sabotage::StaysFull {
            disk.set_capacity(1 << 40);
        }
    }
}
