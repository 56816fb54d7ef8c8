//! How the engine hands events to a connection. A sink belongs to one shard (edge thread): the hub
//! calls it only there, in order, and never blocks in it.

use crate::{Delivery, Progress, Refusal, Run, Sent};
use std::sync::Arc;
use std::task::{Context, Poll};
use types::{Offset, Partition, SubscriptionTag, TopicId};

#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    Delivery(&'a Arc<Delivery>),
    /// Records of a shaped subscription, in order; at least one.
    Records(&'a [Sent]),
    /// A shaped subscription stands further on than its last record says.
    Progress(&'a Progress),
    /// Everything stored when the subscription began has been delivered; what follows is live.
    /// Sent once per subscription.
    CaughtUp,
    /// Records of this partition are not there for this reader any more.
    Gap {
        topic: TopicId,
        partition: Partition,
        from: Offset,
        to: Offset,
        why: Loss,
    },
    /// The subscription is over (topic deleted, access lost, range damaged). Nothing follows.
    Ended(&'a Refusal),
}

/// Why records are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Retention removed them before the reader came to them. It goes on at `to`.
    Expired,
    /// The log was set back behind the reader's cursor (restored from a backup, or the end of a
    /// relaxed topic went with the power): what stood from `from` to `to` is undone, and the
    /// reader goes on at `from` with what was written since.
    HistoryLost,
    /// The topic of the reader's cursor was deleted. The one that has its name now is another, and
    /// the reader goes on at its beginning.
    TopicGone,
}

impl Loss {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Expired => "expired",
            Loss::HistoryLost => "history_lost",
            Loss::TopicGone => "topic_gone",
        }
    }
}

/// Whether the connection has room for more. `Full` takes the event all the same; it asks the hub
/// to stop feeding live and to go on from the log when `poll_room` is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Room {
    Free,
    Full,
}

/// What came of pushing a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Taken {
    /// Records from the run's start.
    pub records: usize,
    pub room: Room,
}

pub trait Sink: Send + Sync + 'static {
    fn push(&self, tag: SubscriptionTag, event: Event<'_>) -> Room;
    /// Pushes the records of a run, in order, and tells how many of them were taken: all, or those
    /// up to the one that has filled the connection. The others stay the caller's.
    fn push_run(&self, tag: SubscriptionTag, run: &Run) -> Taken {
        for (before, delivery) in run.deliveries().iter().enumerate() {
            if self.push(tag, Event::Delivery(delivery)) == Room::Full {
                return Taken { records: before + 1, room: Room::Full };
            }
        }
        Taken { records: run.deliveries().len(), room: Room::Free }
    }
    /// Ready when the connection took enough of its backlog. A connection that is gone is ready
    /// for ever: its subscriptions are dropped by their owner. One that was told to close may stay
    /// pending until it is gone.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Ends a connection from outside: revoked, suspended, closed by an operator, draining. May be
/// called from any thread and more than once; the first reason counts.
pub trait Closer: Send + Sync + 'static {
    fn close(&self, why: Refusal);
}

/// The hub's part of one edge thread: it owns the subscriptions of the connections there. The edge
/// polls it in its loop and flushes the connections it touched after each turn.
pub trait Shard {
    /// Works until about `budget` events have been pushed, then answers `Ready` to be polled again
    /// after a flush. `Pending` when there is nothing to do; the waker is kept.
    fn poll_turn(&mut self, cx: &mut Context<'_>, budget: usize) -> Poll<()>;
}
