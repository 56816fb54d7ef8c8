//! A subscription that asked for more than records as they come: what it chooses, holds back, and
//! how it sends. Plain subscriptions have none of this.
//!
//! ```text
//! offer: condition -> hold (newest of each key, or all, for a while) -> credits -> delta -> frame
//! ```
//! It keeps nothing that the log could not give again: whoever must wait (no room, no credits)
//! lets go of what it held and is brought back from the log.

use super::delta::{Bases, Version};
use super::hold::Hold;
use super::state::{Lag, Subscription};
use port::{Credits, Delivery, Event, Progress, Room, Sent, Shaping, metric};
use rules::Condition;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;
use types::{Partition, TopicId};

/// One frame holds so many records at most, and bytes up to this and a record.
const FRAME_RECORDS_MAX: usize = 256;
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// A client is told where it stands when so many records were looked at and not sent.
const PROGRESS_RECORDS: u32 = if cfg!(test) { 10 } else { 1_000 };

/// What a subscription asked for, read and checked.
pub struct Wish {
    pub condition: Option<Arc<Condition>>,
    pub shaping: Shaping,
}

pub struct Shape {
    pub condition: Option<Arc<Condition>>,
    pub hold: Option<Hold>,
    delta: Option<Bases>,
    credits: Option<Arc<Credits>>,
    /// Records looked at and not sent since the client was last told where it stands.
    passed: u32,
    /// The next offsets after the last record looked at.
    stands: Lag,
}

/// A record that was chosen.
#[derive(Clone)]
pub struct Item {
    pub delivery: Arc<Delivery>,
    /// With which it can be told as a difference, to live readers of a topic that permits it.
    pub version: Option<Rc<Version>>,
    /// Its bytes are its own, not slices of a batch.
    pub is_apart: bool,
    pub left_out: u32,
}

/// What came of an offer.
pub enum Offered {
    Taken,
    /// Held back: a timer must flush it at this time.
    Held(Timer),
    /// There is no more room: the subscription goes on from these offsets, and from where it
    /// stands in partitions that are not named.
    Stopped(Lag),
}

/// Flushes a hold when its window is over; one that is not the hold's newest does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    pub at: Instant,
    pub number: u32,
}

/// Once per frame or run, not per record.
pub fn count_left_out(by: &'static str, count: u64) {
    if count > 0 {
        metrics::counter!(metric::LEFT_OUT, "by" => by).increment(count);
    }
}

impl Item {
    pub fn plain(delivery: Arc<Delivery>) -> Item {
        Item { delivery, version: None, is_apart: false, left_out: 0 }
    }

    pub fn at(&self) -> (TopicId, Partition) {
        (self.delivery.origin.topic_id, self.delivery.partition)
    }
}

impl Shape {
    pub fn new(wish: Wish) -> Shape {
        Shape {
            condition: wish.condition,
            hold: Hold::of(&wish.shaping),
            delta: wish.shaping.delta.then(Bases::default),
            credits: wish.shaping.credits,
            passed: 0,
            stands: Lag::new(),
        }
    }

    pub fn wants_delta(&self) -> bool {
        self.delta.is_some()
    }

    /// The record was looked at.
    pub fn pass(&mut self, delivery: &Delivery) {
        self.passed = self.passed.saturating_add(1);
        let at = (delivery.origin.topic_id, delivery.partition);
        self.stands.insert(at, delivery.offset + 1);
    }

    /// Records that may be sent before the reader gives more credits.
    pub fn allowance(&self) -> usize {
        let left = self.credits.as_ref().map_or(u64::MAX, |credits| credits.left());
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    pub fn poll_credits(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.credits.as_ref().map_or(Poll::Ready(()), |credits| credits.poll_some(cx))
    }

    /// Lets go of what is held; answers the first offsets of it. The next window begins anew.
    pub fn let_go(&mut self) -> Lag {
        self.passed = 0;
        self.stands = Lag::new();
        self.hold.as_mut().map_or_else(Lag::new, Hold::let_go)
    }

    /// The subscription leaves the live ones: whatever it keeps for them goes.
    pub fn rest(&mut self) -> Lag {
        if let Some(bases) = &mut self.delta {
            *bases = Bases::default();
        }
        self.let_go()
    }

    /// Where the client stands, if it is time to tell it.
    fn due_progress(&mut self) -> Option<Lag> {
        let is_holding = self.hold.as_ref().is_some_and(|hold| !hold.is_empty());
        if self.passed < PROGRESS_RECORDS || is_holding {
            return None;
        }
        self.passed = 0;
        Some(std::mem::take(&mut self.stands))
    }
}

impl Subscription {
    /// Takes records over that were chosen, in order, at this time.
    pub fn offer(&mut self, items: Vec<Item>, now: Instant) -> Offered {
        let Some(hold) = self.shape.as_deref_mut().and_then(|shape| shape.hold.as_mut()) else {
            return self.send_all(items);
        };
        if items.is_empty() {
            return Offered::Taken;
        }
        for item in items {
            hold.put(item);
        }
        match hold.is_due(now) {
            true => self.flush(now),
            false => Offered::Taken,
        }
    }

    /// Sends what is held and begins the next window.
    pub fn flush(&mut self, now: Instant) -> Offered {
        let Some(hold) = self.shape.as_deref_mut().and_then(|shape| shape.hold.as_mut()) else {
            return Offered::Taken;
        };
        let items = hold.take();
        if items.is_empty() {
            hold.close();
            return Offered::Taken;
        }
        let timer = hold.open(now);
        match self.send_all(items) {
            Offered::Taken => Offered::Held(timer),
            stopped => stopped,
        }
    }

    fn send_all(&mut self, items: Vec<Item>) -> Offered {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let frame = self.frame(&mut items);
            if frame.is_empty() {
                break;
            }
            let bytes = frame.iter().map(|sent| sent.delivery.record.size() as u64).sum();
            self.meter.delivered(frame.len() as u64, bytes);
            if self.sink.push(self.tag, Event::Records(&frame)) == Room::Full {
                break;
            }
        }
        let mut rest = Lag::new();
        for item in items {
            let first = rest.entry(item.at()).or_insert(item.delivery.offset);
            *first = (*first).min(item.delivery.offset);
        }
        if rest.is_empty() { Offered::Taken } else { Offered::Stopped(rest) }
    }

    /// The records of one frame; none when there are no credits.
    fn frame(&mut self, items: &mut std::iter::Peekable<std::vec::IntoIter<Item>>) -> Vec<Sent> {
        let mut frame = Vec::with_capacity(items.len().min(FRAME_RECORDS_MAX));
        let (mut bytes, mut left_out, mut saved) = (0, 0, 0);
        let Some(shape) = self.shape.as_deref_mut() else {
            return frame;
        };
        while items.peek().is_some() && frame.len() < FRAME_RECORDS_MAX && bytes < FRAME_BYTES_MAX {
            if shape.credits.as_ref().is_some_and(|credits| !credits.take()) {
                break;
            }
            let Some(item) = items.next() else {
                break;
            };
            let size = item.delivery.record.size();
            let delivery = match &mut shape.delta {
                Some(bases) => bases.tell(&item),
                None => item.delivery,
            };
            let told = delivery.record.size();
            bytes += told;
            saved += size.saturating_sub(told) as u64;
            left_out += u64::from(item.left_out);
            frame.push(Sent { delivery, left_out: item.left_out });
        }
        count_left_out("conflation", left_out);
        if saved > 0 {
            metrics::counter!(metric::DELTA_SAVED_BYTES).increment(saved);
        }
        frame
    }

    /// Tells the client where it stands when it has not heard for long; `true` when it was told.
    pub fn tell_progress(&mut self) -> bool {
        match self.shape.as_deref_mut().and_then(Shape::due_progress) {
            Some(stands) => {
                self.push_progress(&stands);
                true
            }
            None => false,
        }
    }

    pub fn push_progress(&self, stands: &Lag) {
        let positions = super::state::positions_of(stands).collect();
        let cursor = self.mint.mint(self.who.project(), &positions);
        let _ = self.sink.push(self.tag, Event::Progress(&Progress { positions, cursor }));
    }
}
