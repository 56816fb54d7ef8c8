//! What a subscription may ask for beyond its filter and its start. Most ask for nothing, and have
//! none of this.

use crate::Delivery;
use futures_util::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use types::Positions;

/// Shortest and longest time records may be gathered for.
pub const GATHER_MS_MIN: u64 = 10;
pub const GATHER_MS_MAX: u64 = 60_000;
/// Credits a subscription holds at most; more are refused.
pub const CREDITS_MAX: u64 = 1_000_000_000;

/// How records are chosen, gathered and sent. Whoever asks for any of it is told by
/// `Event::Records` and `Event::Progress`, never by `Event::Delivery`.
#[derive(Debug, Clone, Default)]
pub struct Shaping {
    /// Only records of which this condition holds; the language is `rules::condition`'s.
    pub condition: Option<String>,
    /// Of each key only the newest record of each stretch of this length; of records without a
    /// key the newest of their topic.
    pub conflate: Option<Duration>,
    /// Records are gathered for so long before they are sent; zero gathers what comes together.
    pub batch: Option<Duration>,
    /// Where the topic permits it, values are told as differences to the value of the same key
    /// that was sent before.
    pub delta: bool,
    /// Each record takes one; without any the subscription waits in the log.
    pub credits: Option<Arc<Credits>>,
}

/// A record as it is sent to a shaped subscription.
#[derive(Debug, Clone)]
pub struct Sent {
    pub delivery: Arc<Delivery>,
    /// Records of the same key that came after the one sent before it, and were passed over for
    /// this one.
    pub left_out: u32,
}

/// Where a subscription stands, told without a record: everything before was sent or is none of
/// what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub positions: Positions,
    /// `positions` as a cursor for clients.
    pub cursor: String,
}

/// How many records a reader is ready to take: added to from its connection, used up by the hub.
#[derive(Debug, Default)]
pub struct Credits {
    left: AtomicU64,
    waiting: AtomicWaker,
}

impl Credits {
    pub fn new(count: u64) -> Arc<Credits> {
        let credits = Credits::default();
        credits.left.store(count.min(CREDITS_MAX), Ordering::Release);
        Arc::new(credits)
    }

    /// Answers how many there are now; `None`, and nothing is added, when they would be too many.
    pub fn add(&self, count: u64) -> Option<u64> {
        let sum = |left: u64| left.checked_add(count).filter(|&sum| sum <= CREDITS_MAX);
        let before = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, sum).ok()?;
        self.waiting.wake();
        Some(before + count)
    }

    /// Takes one; `false` when there is none.
    pub fn take(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }

    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    /// Ready when there is a credit. One waits at a time: the hub.
    pub fn poll_some(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left() > 0 {
            return Poll::Ready(());
        }
        self.waiting.register(cx.waker());
        // One may have come while the waker was put down.
        if self.left() > 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}
