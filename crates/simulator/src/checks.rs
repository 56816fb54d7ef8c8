//! The invariants, each in a file of its own. A run tells what happens as events; each checker
//! keeps what it needs of them and says what is wrong as soon as it is. A checker must not ask the
//! log anything: what it knows is what a publisher, a reader or an operator was told.

mod acknowledged;
mod answers;
mod content;
mod excuses;
mod offsets;
mod once;
mod order;
mod plaintext;
mod poison;
mod refused;
mod retention;
mod space;
mod visible_end;

use crate::book::{Book, Place, Seen};
use crate::plan::End;
use eventlog::LogError;
use std::ops::Range;
use types::{Key, Offset, TimestampMs, TopicId};

/// When a publisher got his answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At the append: what is told may be lost with the process.
    AtOnce,
    /// Only later, after a group was written.
    AfterCommit,
}

#[derive(Debug)]
pub enum Event<'a> {
    Acknowledged {
        place: Place,
        offset: Offset,
        numbers: &'a [u64],
        moment: Moment,
    },
    Refused {
        numbers: &'a [u64],
        error: &'a LogError,
    },
    /// The log's observer was told of a batch.
    Told {
        place: Place,
        seen: &'a [Seen],
        moment: Moment,
    },
    /// A read from an offset answered these.
    Read {
        place: Place,
        from: Offset,
        seen: &'a [Seen],
    },
    /// All of a partition was read, but for what was said to be damaged.
    Survey {
        place: Place,
        bounds: Range<Offset>,
        seen: &'a [Seen],
        damaged: &'a [Range<Offset>],
    },
    Bounds {
        place: Place,
        bounds: Range<Offset>,
    },
    ByTime {
        place: Place,
        time: TimestampMs,
        offset: Offset,
    },
    OfKey {
        place: Place,
        key: &'a Key,
        count: usize,
        found: &'a [Seen],
    },
    /// The keys of a topic that has only this partition.
    Keys {
        place: Place,
        keys: &'a [Key],
    },
    /// Everything visible is on the disk now.
    Stored,
    /// A write or a flush under a commit failed.
    CommitFailed,
    Opened,
    Ended {
        how: End,
    },
    /// One pass of retention: what went, and what was allowed to.
    Maintained {
        place: Place,
        gone: Range<Offset>,
        allowed: Allowed,
    },
    /// What a file of a sealed log holds.
    File {
        path: &'a std::path::Path,
        bytes: &'a [u8],
    },
    TopicDropped {
        topic: TopicId,
    },
    /// Something was answered with an error that says that the log or the disk is at fault.
    Trouble {
        what: &'a str,
        error: &'a LogError,
        has_excuse: bool,
    },
    /// Space was given back; whether an append succeeded afterwards.
    SpaceReturned {
        outcome: &'a Result<(), String>,
    },
}

/// Why records may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Those older than this.
    pub before: Option<TimestampMs>,
    /// The oldest ones, because a bound on bytes is set.
    pub by_bytes: bool,
}

pub trait Checker {
    /// The invariant in words.
    fn name(&self) -> &'static str;
    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String>;
}

/// One of each.
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(once::Once::default()),
        Box::new(offsets::Offsets::default()),
        Box::new(order::Order),
        Box::new(visible_end::VisibleEnd::default()),
        Box::new(poison::Poison::default()),
        Box::new(content::Content),
        Box::new(refused::Refused::default()),
        Box::new(answers::Answers::default()),
        Box::new(retention::Retention::default()),
        Box::new(space::Space),
        Box::new(plaintext::Plaintext),
        Box::new(excuses::Excuses),
    ]
}

/// A record at an offset, as any event shows it.
struct Sighting {
    place: Place,
    offset: Offset,
    number: Option<u64>,
}

/// All records an event shows in their places.
fn sightings(event: &Event<'_>) -> Vec<Sighting> {
    match event {
        Event::Acknowledged { place, offset, numbers, .. } => (*offset..)
            .zip(*numbers)
            .map(|(offset, &number)| Sighting { place: *place, offset, number: Some(number) })
            .collect(),
        Event::Told { place, seen, .. }
        | Event::Read { place, seen, .. }
        | Event::Survey { place, seen, .. }
        | Event::OfKey { place, found: seen, .. } => seen
            .iter()
            .map(|it| Sighting { place: *place, offset: it.offset, number: it.number })
            .collect(),
        _ => Vec::new(),
    }
}
