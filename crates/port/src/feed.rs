//! A sink for adapters that read at their own pace from an async stream (HTTP bodies, gRPC):
//! a bounded queue with a waker on each side. Also the connection's closer.

use crate::sink::{Closer, Event, Room, Sink};
use crate::{Delivery, Refusal};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use types::{Offset, Partition, SubscriptionTag, TopicId};

/// What the reader of a feed gets.
#[derive(Debug, Clone)]
pub enum Fed {
    Delivery(SubscriptionTag, Arc<Delivery>),
    CaughtUp(SubscriptionTag),
    Gap {
        tag: SubscriptionTag,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        to: Offset,
    },
    Ended(SubscriptionTag, Refusal),
    /// The whole connection must end; nothing follows.
    Closed(Refusal),
}

/// Events waiting at most before the hub is asked to pause; it may overshoot by one batch.
const HIGH: usize = 256;
/// Events waiting at most when it is asked to go on.
const LOW: usize = 64;
const _: () = assert!(LOW < HIGH);

#[derive(Default)]
struct State {
    queue: VecDeque<Fed>,
    closed: Option<Refusal>,
    reader: Option<Waker>,
    writers: Vec<Waker>,
    is_gone: bool,
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
                if state.queue.len() <= LOW {
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
        state.queue = VecDeque::new();
        state.writers.drain(..).for_each(Waker::wake);
    }
}

impl Sink for Feed {
    fn push(&self, tag: SubscriptionTag, event: Event<'_>) -> Room {
        let mut state = self.state();
        if state.is_gone {
            return Room::Free;
        }
        state.queue.push_back(match event {
            Event::Delivery(delivery) => Fed::Delivery(tag, Arc::clone(delivery)),
            Event::CaughtUp => Fed::CaughtUp(tag),
            Event::Gap { topic, partition, from, to } => {
                Fed::Gap { tag, topic, partition, from, to }
            }
            Event::Ended(why) => Fed::Ended(tag, why.clone()),
        });
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        if state.queue.len() >= HIGH { Room::Full } else { Room::Free }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_gone || state.closed.is_some() || state.queue.len() <= LOW {
            return Poll::Ready(());
        }
        state.writers.push(cx.waker().clone());
        Poll::Pending
    }
}

impl Closer for Feed {
    fn close(&self, why: Refusal) {
        let mut state = self.state();
        state.closed.get_or_insert(why);
        state.writers.drain(..).for_each(Waker::wake);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}
