//! The invariants, each in a file of its own. A run tells what happens as events; each checker
//! keeps what it needs of them and says what is wrong as soon as it is. A checker must not ask the
//! log anything: what it knows is what a publisher, a reader or an operator was told.

mod acknowledged;
mod answers;
mod compaction;
mod consumed;
mod content;
mod duplicates;
mod excuses;
mod followed;
mod offsets;
mod once;
mod order;
mod plaintext;
mod poison;
mod producers;
mod refused;
mod retention;
mod space;
mod together;
mod visible_end;

use crate::book::{Book, Place, Seen};
use crate::plan::End;
use eventlog::LogError;
use port::consumers::Settled;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;
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
    /// An id was seen before: its first record is said to be there.
    Duplicate {
        place: Place,
        offset: Offset,
        id: u64,
    },
    /// The clock on the wall went an hour forwards or backwards.
    ClockJumped,
    /// Bytes on the disk, or of one read, are not what was written any more.
    Unsound,
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
        /// Records may be stored and wait for a transaction before them to end.
        is_held: bool,
        /// The topic is compacted, and tombstones from before this may be gone.
        tombstones_before: Option<TimestampMs>,
    },
    /// Every partition was read.
    Surveyed,
    Bounds {
        place: Place,
        bounds: Range<Offset>,
        is_held: bool,
    },
    /// Records are published as a part of a transaction.
    Part {
        group: u64,
        place: Place,
        numbers: &'a [u64],
    },
    Decided {
        group: u64,
        fate: Fate,
    },
    /// A producer was given: a new one, or the next epoch of one.
    Producer {
        given: types::Producer,
        of: Option<types::Producer>,
        /// A restart knows that the one before is over.
        is_stored: bool,
    },
    /// Somebody follows for the first time: from there on, records of this key or all.
    Following {
        who: u64,
        key: Option<&'a Key>,
        starts: &'a [(Place, Offset)],
    },
    /// A follower took a record.
    Followed {
        who: u64,
        place: Place,
        seen: &'a Seen,
    },
    /// A follower was told that what it has seen is no more: it goes on from the start of that.
    Undone {
        who: u64,
        place: Place,
        lost: Range<Offset>,
    },
    FollowerLost {
        who: u64,
        why: &'a str,
        has_excuse: bool,
    },
    /// Nothing more comes to the follower.
    HasEverything {
        who: u64,
    },
    /// A record was given to a worker of a consumer, until then.
    Leased {
        consumer: u64,
        place: Place,
        seen: &'a Seen,
        now: Duration,
        until: Duration,
    },
    Settled {
        consumer: u64,
        place: Place,
        offset: Offset,
        how: &'a Settled,
        now: Duration,
    },
    /// An acknowledgement had no answer, or an error: it may have come about or not.
    SettledPerhaps {
        consumer: u64,
        place: Place,
        offset: Offset,
    },
    /// Where a consumer stands on the disk.
    Committed {
        consumer: u64,
        place: Place,
        committed: Offset,
    },
    /// Nothing more comes to the consumer, and these are its dead letters.
    AllConsumed {
        consumer: u64,
        letters: &'a BTreeSet<(Place, Offset)>,
    },
    /// A producer's transaction began.
    Began {
        producer: types::Producer,
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
        /// Without space the ids of what went may be forgotten by a crash.
        has_lacked_space: bool,
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

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// To be committed, and nobody knows yet.
    Ending,
    /// One of its parts was refused, so it may be given up already.
    Doubtful,
    Committed,
    Aborted,
}

/// Why records may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Those older than this.
    pub before: Option<TimestampMs>,
    /// The oldest ones, because a bound on bytes is set.
    pub by_bytes: bool,
    /// What is replaced may be gone before.
    pub compacts: bool,
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
        Box::new(duplicates::Duplicates::default()),
        Box::new(together::Together::default()),
        Box::new(producers::Producers::default()),
        Box::new(compaction::Compaction::default()),
        Box::new(followed::Followed::default()),
        Box::new(consumed::Consumed::default()),
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
        Event::Followed { place, seen, .. } | Event::Leased { place, seen, .. } => {
            vec![Sighting { place: *place, offset: seen.offset, number: seen.number }]
        }
        _ => Vec::new(),
    }
}
