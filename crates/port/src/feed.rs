//! A sink for adapters that read at their own pace from an async stream (HTTP bodies, gRPC):
//! a bounded queue with a waker on each side. Also the connection's closer.

use crate::sink::{Closer, Event, Loss, Room, Sink};
use crate::{Delivery, Progress, Refusal, Sent};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use types::{Offset, Partition, SubscriptionTag, TopicId};

/// What the reader of a feed gets.
#[derive(Debug, Clone)]
pub enum Fed {
    Delivery(SubscriptionTag, Arc<Delivery>),
    Records(SubscriptionTag, Vec<Sent>),
    Progress(SubscriptionTag, Progress),
    CaughtUp(SubscriptionTag),
    Gap {
        tag: SubscriptionTag,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        to: Offset,
        why: Loss,
    },
    Ended(SubscriptionTag, Refusal),
    /// The whole connection must end; nothing follows.
    Closed(Refusal),
}

impl Fed {
    /// An event, kept.
    pub fn keep(tag: SubscriptionTag, event: Event<'_>) -> Fed {
        match event {
            Event::Delivery(delivery) => Fed::Delivery(tag, Arc::clone(delivery)),
            Event::Records(records) => Fed::Records(tag, records.to_vec()),
            Event::Progress(progress) => Fed::Progress(tag, progress.clone()),
            Event::CaughtUp => Fed::CaughtUp(tag),
            Event::Gap { topic, partition, from, to, why } => {
                Fed::Gap { tag, topic, partition, from, to, why }
            }
            Event::Ended(why) => Fed::Ended(tag, why.clone()),
        }
    }

    /// The event that was kept; `None` for the end of the connection, which is none.
    pub fn event(&self) -> Option<(SubscriptionTag, Event<'_>)> {
        Some(match self {
            Fed::Delivery(tag, delivery) => (*tag, Event::Delivery(delivery)),
            Fed::Records(tag, records) => (*tag, Event::Records(records)),
            Fed::Progress(tag, progress) => (*tag, Event::Progress(progress)),
            Fed::CaughtUp(tag) => (*tag, Event::CaughtUp),
            &Fed::Gap { tag, topic, partition, from, to, why } => {
                (tag, Event::Gap { topic, partition, from, to, why })
            }
            Fed::Ended(tag, why) => (*tag, Event::Ended(why)),
            Fed::Closed(_) => return None,
        })
    }
}

/// Events waiting at most before the hub is asked to pause; it may overshoot by one batch.
pub(crate) const HIGH: usize = 256;
/// Events waiting at most when it is asked to go on.
pub(crate) const LOW: usize = 64;
const _: () = assert!(LOW < HIGH);

/// Bytes of records waiting before the hub is asked to pause: a few records of the largest size
/// fill a queue that is short in events.
pub(crate) const BYTES_HIGH: usize = 1024 * 1024;
/// Bytes of records waiting at most when it is asked to go on.
pub(crate) const BYTES_LOW: usize = 256 * 1024;
const _: () = assert!(BYTES_LOW < BYTES_HIGH);

#[derive(Default)]
struct State {
    queue: VecDeque<Fed>,
    /// Of the records in the queue.
    bytes: usize,
    closed: Option<Refusal>,
    reader: Option<Waker>,
    writers: Vec<Waker>,
    is_gone: bool,
}

impl State {
    fn is_full(&self) -> bool {
        self.queue.len() >= HIGH || self.bytes >= BYTES_HIGH
    }

    fn has_room(&self) -> bool {
        self.queue.len() <= LOW && self.bytes <= BYTES_LOW
    }

    fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.bytes = 0;
    }
}

/// What waits for a reader, by the bytes limits count.
fn weight(fed: &Fed) -> usize {
    match fed {
        Fed::Delivery(_, delivery) => delivery.record.size(),
        Fed::Records(_, records) => {
            records.iter().map(|sent| sent.delivery.record.size()).sum::<usize>()
        }
        Fed::Progress(..)
        | Fed::CaughtUp(_)
        | Fed::Gap { .. }
        | Fed::Ended(..)
        | Fed::Closed(_) => 0,
    }
}

#[derive(Default)]
pub struct Feed(Mutex<State>);

impl Feed {
    pub fn new() -> Arc<Feed> {
        Arc::default()
    }

    // A panic while the lock is held cannot leave the queue half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event; after `Closed` it is `Closed` for ever.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Fed> {
        let mut state = self.state();
        if let Some(why) = &state.closed {
            return Poll::Ready(Fed::Closed(why.clone()));
        }
        match state.queue.pop_front() {
            Some(fed) => {
                state.bytes -= weight(&fed);
                if state.has_room() {
                    state.writers.drain(..).for_each(Waker::wake);
                }
                Poll::Ready(fed)
            }
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub async fn next(&self) -> Fed {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The reader is gone: what is queued is dropped and nothing is queued any more.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.is_gone = true;
        state.clear();
        state.writers.drain(..).for_each(Waker::wake);
    }
}

impl Sink for Feed {
    fn push(&self, tag: SubscriptionTag, event: Event<'_>) -> Room {
        let mut state = self.state();
        // Nobody reads on: nothing is kept for a reader that is gone or has to go.
        if state.is_gone {
            return Room::Free;
        }
        if state.closed.is_some() {
            // Whoever feeds it waits until it is abandoned, instead of reading on for nobody.
            return Room::Full;
        }
        let fed = Fed::keep(tag, event);
        state.bytes += weight(&fed);
        state.queue.push_back(fed);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        if state.is_full() { Room::Full } else { Room::Free }
    }

    /// A closed feed has no room until it is abandoned: its reader may be stuck in a write, and
    /// whatever is read from the log for it meanwhile is read for nobody.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_gone || (state.closed.is_none() && state.has_room()) {
            return Poll::Ready(());
        }
        // Polled again for another reason, a writer stands in the list once.
        if !state.writers.iter().any(|writer| writer.will_wake(cx.waker())) {
            state.writers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Closer for Feed {
    /// Drops what waits: the reader gets the reason next, and nothing else.
    fn close(&self, why: Refusal) {
        let mut state = self.state();
        state.closed.get_or_insert(why);
        state.clear();
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}
