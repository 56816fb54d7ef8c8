//! How news crosses to a shard: once per shard, whatever the number of its subscribers.

use super::index::SubscriptionKey;
use super::shape::Wish;
use crate::topic::Topic;
use crate::watch::WatchNumber;
use parking_lot::Mutex;
use port::{CursorMint, Delivery, Identity, Loss, Refusal, Sink};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::oneshot;
use types::batch::Batch;
use types::{Offset, Partition, Positions, SubscriptionTag, TopicId};

/// A batch on its way to followers. Records are unpacked by the first shard that needs them and
/// shared with the others, encoded forms and all.
pub struct Published {
    pub topic: Arc<Topic>,
    pub partition: Partition,
    batch: Arc<Batch>,
    /// When it was acknowledged, on the node's monotonic clock.
    pub at: Duration,
    deliveries: OnceLock<Vec<Arc<Delivery>>>,
}

impl Published {
    pub fn new(
        topic: Arc<Topic>,
        partition: Partition,
        batch: Arc<Batch>,
        at: Duration,
    ) -> Published {
        Published { topic, partition, batch, at, deliveries: OnceLock::new() }
    }

    pub fn batch(&self) -> &Arc<Batch> {
        &self.batch
    }

    pub fn next_offset(&self) -> Offset {
        self.batch.next_offset()
    }

    pub fn deliveries(&self) -> &[Arc<Delivery>] {
        self.deliveries.get_or_init(|| unpack(&self.topic, self.partition, &self.batch).collect())
    }
}

/// The records of a batch as deliveries.
pub fn unpack(
    topic: &Topic,
    partition: Partition,
    batch: &Batch,
) -> impl Iterator<Item = Arc<Delivery>> {
    let origin = Arc::clone(&topic.origin);
    batch.records().map(move |(offset, timestamp, record)| {
        Arc::new(Delivery::new(Arc::clone(&origin), partition, offset, timestamp, record))
    })
}

/// A subscription as `follow` prepared it.
pub struct Attach {
    pub who: Identity,
    pub tag: SubscriptionTag,
    pub filter: types::Filter,
    pub topics: Vec<Arc<Topic>>,
    /// Where to start; a partition it does not name starts at `start_default`.
    pub positions: Positions,
    pub start_default: StartDefault,
    /// What the subscriber is told first: history that its cursors stand in and that is gone.
    pub lost: Vec<Lost>,
    pub latest_first: bool,
    pub exclude_own: bool,
    /// What few subscriptions ask for.
    pub wish: Option<Box<Wish>>,
    pub mint: Arc<dyn CursorMint>,
    pub sink: Arc<dyn Sink>,
    pub meter: Arc<crate::meter::ProjectMeter>,
    /// Under which it may be ended from outside.
    pub number: WatchNumber,
    /// Where the guard will tell of its end.
    pub mailbox: Arc<Mailbox>,
    /// Told once the shard feeds the subscription: what ends it, and where it starts.
    pub attached: oneshot::Sender<(Guard, Positions)>,
}

/// Records that a reader saw, or was promised, and that are no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    pub topic: TopicId,
    pub partition: Partition,
    pub from: Offset,
    pub to: Offset,
    pub why: Loss,
}

/// Ends the subscription on its shard when whoever holds it drops it, also when nobody has taken
/// it over yet.
pub struct Guard {
    pub mailbox: Arc<Mailbox>,
    pub key: SubscriptionKey,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.mailbox.send(Message::Detach(self.key));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartDefault {
    /// The first offset the partition still holds.
    Earliest,
    /// The first offset appended after the shard took the subscription.
    Live,
}

pub enum Message {
    Published(Arc<Published>),
    /// Batches up to `next` were not kept for the shard: its followers read them from the log.
    Missed {
        topic: TopicId,
        partition: Partition,
        next: Offset,
    },
    Attach(Box<Attach>),
    Detach(SubscriptionKey),
    TopicCreated(Arc<Topic>),
    TopicEnded(TopicId, Refusal),
    /// These subscriptions may not go on.
    Forbidden(Arc<HashSet<WatchNumber>>, Refusal),
    /// What only branches are told.
    News(Box<crate::branch::News>),
}

/// Batches that wait for a shard at most, and their bytes. A shard that falls further behind is
/// told only up to where it has missed them; the log has them all.
const BATCHES_MAX: usize = if cfg!(test) { 16 } else { 8_192 };
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    batches: usize,
    batch_bytes: usize,
    /// Once something is missed, everything is until the shard has heard of it: batches of a
    /// partition must not overtake each other.
    missed: HashMap<(TopicId, Partition), Offset>,
    waker: Option<Waker>,
    /// Nobody is there to be told.
    is_closed: bool,
}

impl Inbox {
    fn put(&mut self, message: Message) {
        if self.is_closed {
            return;
        }
        let Message::Published(published) = &message else {
            self.messages.push(message);
            return;
        };
        self.batches += 1;
        self.batch_bytes += published.batch.memory_bytes();
        let is_full = self.batches > BATCHES_MAX || self.batch_bytes > BATCH_BYTES_MAX;
        if is_full || !self.missed.is_empty() {
            let at = (published.topic.id, published.partition);
            self.missed.insert(at, published.next_offset());
            return;
        }
        self.messages.push(message);
    }

    fn take(&mut self) -> Vec<Message> {
        let mut messages = std::mem::take(&mut self.messages);
        (self.batches, self.batch_bytes) = (0, 0);
        let missed = self.missed.drain();
        messages.extend(missed.map(|((topic, partition), next)| Message::Missed {
            topic,
            partition,
            next,
        }));
        messages
    }
}

#[derive(Default)]
pub struct Mailbox(Mutex<Inbox>);

impl Mailbox {
    /// Somebody comes to be told; `false` when somebody is there already.
    pub fn open(&self) -> bool {
        std::mem::take(&mut self.0.lock().is_closed)
    }

    /// Forgets what waits, and whatever is sent until it is opened.
    pub fn close(&self) {
        let closed = Inbox { is_closed: true, ..Inbox::default() };
        // Dropped outside the lock: guards among the messages come back in.
        let before = std::mem::replace(&mut *self.0.lock(), closed);
        drop(before);
    }

    pub fn send(&self, message: Message) {
        let waker = {
            let mut inbox = self.0.lock();
            inbox.put(message);
            inbox.waker.take()
        };
        // Outside the lock: the woken thread may come for it at once.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether nothing waits at this moment.
    pub fn is_empty(&self) -> bool {
        let inbox = self.0.lock();
        inbox.messages.is_empty() && inbox.missed.is_empty()
    }

    /// Takes everything that waits; when nothing does, the waker is kept.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Vec<Message>> {
        let mut inbox = self.0.lock();
        if inbox.messages.is_empty() && inbox.missed.is_empty() {
            inbox.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(inbox.take())
    }
}
