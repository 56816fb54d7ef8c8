//! How news crosses to a shard: once per shard, whatever the number of its subscribers.

use super::index::SubscriptionKey;
use crate::topic::Topic;
use parking_lot::Mutex;
use port::{Delivery, Identity, Refusal, Sink};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;
use types::batch::Batch;
use types::{Offset, Partition, Positions, SubscriptionTag, TopicId};

/// A batch on its way to followers. Records are unpacked by the first shard that needs them and
/// shared with the others, encoded forms and all.
pub struct Published {
    pub topic: Arc<Topic>,
    pub partition: Partition,
    batch: Arc<Batch>,
    deliveries: OnceLock<Vec<Arc<Delivery>>>,
}

impl Published {
    pub fn new(topic: Arc<Topic>, partition: Partition, batch: Arc<Batch>) -> Published {
        Published { topic, partition, batch, deliveries: OnceLock::new() }
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
    pub latest_first: bool,
    pub exclude_own: bool,
    pub sink: Arc<dyn Sink>,
    pub meter: Arc<crate::meter::ProjectMeter>,
    /// Told once the shard feeds the subscription: its key, and where it starts.
    pub attached: oneshot::Sender<(SubscriptionKey, Positions)>,
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
    Attach(Box<Attach>),
    Detach(SubscriptionKey),
    TopicCreated(Arc<Topic>),
    TopicEnded(TopicId, Refusal),
}

#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    waker: Option<Waker>,
}

#[derive(Default)]
pub struct Mailbox(Mutex<Inbox>);

impl Mailbox {
    pub fn send(&self, message: Message) {
        let waker = {
            let mut inbox = self.0.lock();
            inbox.messages.push(message);
            inbox.waker.take()
        };
        // Outside the lock: the woken thread may come for it at once.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes everything that waits; when nothing does, the waker is kept.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Vec<Message>> {
        let mut inbox = self.0.lock();
        if inbox.messages.is_empty() {
            inbox.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut inbox.messages))
    }
}
