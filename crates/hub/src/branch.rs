//! The part of a node that runs in another process: it follows topics there and knows nothing
//! else. It is told of records once, whatever the number of its subscribers, in the order in which
//! the node tells its own shards; all checks are the node's. What lies between the two (a local
//! socket) is not known here: news go in, subscriptions and counts come out.
//!
//! ```text
//! node: append -> mailbox of the branch -> News ..(socket)..> Branch::hear -> shards -> Sink::push
//!                                  History  <..(socket).. pumps of those who lag
//! ```
//! News come in one order, and that order is what makes a subscription whole: a topic is joined
//! before its first record, an answered `follow` stands behind everything the node had told when
//! it answered.

mod news;
pub mod trunk;

pub use crate::shard::history::{History, Reading};
pub use crate::shard::mailbox::Lost;
pub use news::{Found, Joined, News, Prepared, Unread};
pub use trunk::Trunk;

use crate::conditions::Conditions;
use crate::cursor::CursorSigner;
use crate::follow::{Admitted, wish_of};
use crate::meter::Meters;
use crate::schemas::Versions;
use crate::shard::HubShard;
use crate::shard::mailbox::{Guard, Mailbox, Message, Published};
use crate::topic::{Definition, SHARDS_MAX, Topic, TopicSeed};
use parking_lot::RwLock;
use port::{Code, CursorMint, Follow, Identity, Refusal, ShardId, Sink, Subscription, Usage};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use stdx::Clock;
use tokio::sync::oneshot;
use types::filter::TopicPart;
use types::{Positions, ProjectId, SubscriptionTag, TenantId, TopicConfig, TopicId};

/// What a branch is made of.
pub struct Parts {
    /// Edge threads of its process.
    pub shards: usize,
    /// The node's own, so that cursors count wherever a client connects.
    pub cursor_key: aws_lc_rs::hmac::Key,
    pub history: Arc<dyn History>,
    pub clock: Arc<dyn Clock>,
}

pub struct Branch {
    topics: RwLock<HashMap<TopicId, Arc<Topic>>>,
    mailboxes: Vec<Arc<Mailbox>>,
    meters: Meters,
    conditions: Conditions,
    signer: Arc<CursorSigner>,
    history: Arc<dyn History>,
    clock: Arc<dyn Clock>,
}

/// A subscription on its way to the node and back.
pub struct Request {
    pub who: Identity,
    pub follow: Follow,
    pub shard: ShardId,
    pub sink: Arc<dyn Sink>,
    /// The number it was asked under.
    pub call: u64,
}

/// A subscription that its shard has been told of.
pub struct Attaching {
    tag: SubscriptionTag,
    project: ProjectId,
    signer: Arc<CursorSigner>,
    attached: oneshot::Receiver<(Guard, Positions)>,
}

impl Attaching {
    /// Resolves when the shard feeds it. `with` lives as long as the subscription.
    ///
    /// # Errors
    /// `DRAINING` when the shard is gone.
    pub async fn attached(self, with: impl Any + Send + Sync) -> Result<Subscription, Refusal> {
        let (guard, start) = self.attached.await.map_err(|_| {
            Refusal::new(Code::Draining, "the connection's thread is shutting down")
        })?;
        let cursor = self.signer.mint(self.project, &start);
        Ok(Subscription { tag: self.tag, start, cursor, guard: Box::new((guard, with)) })
    }
}

/// What makes the node's cursors in another process.
pub fn mint(cursor_key: aws_lc_rs::hmac::Key) -> Arc<dyn CursorMint> {
    Arc::new(CursorSigner::new(cursor_key))
}

impl Branch {
    pub fn new(parts: Parts) -> Branch {
        assert!((1..=SHARDS_MAX).contains(&parts.shards), "a branch has 1 to {SHARDS_MAX} shards");
        Branch {
            topics: RwLock::default(),
            mailboxes: (0..parts.shards).map(|_| Arc::default()).collect(),
            meters: Meters::default(),
            conditions: Conditions::default(),
            signer: Arc::new(CursorSigner::new(parts.cursor_key)),
            history: parts.history,
            clock: parts.clock,
        }
    }

    pub fn shard(&self, id: ShardId) -> Box<dyn port::Shard> {
        assert!((id.0 as usize) < self.mailboxes.len(), "the edge has more shards than the branch");
        let mailbox = Arc::clone(&self.mailboxes[id.0 as usize]);
        let (history, clock) = (Arc::clone(&self.history), Arc::clone(&self.clock));
        Box::new(HubShard::new(id, mailbox, history, clock))
    }

    /// Takes in what the node tells, in its order. An answered `follow` is for `attach`.
    pub fn hear(&self, news: News) {
        match news {
            News::Published { topic, partition, batch, age } => {
                let Some(topic) = self.topic(topic) else {
                    return;
                };
                let at = self.clock.monotonic().saturating_sub(age);
                let (told, next) = (Arc::clone(&topic), batch.next_offset());
                topic.advance(partition, next, |shards| {
                    let published = Arc::new(Published::new(told, partition, batch, at));
                    self.tell(shards, || Message::Published(Arc::clone(&published)));
                });
            }
            News::Missed { topic: id, partition, next } => {
                if let Some(topic) = self.topic(id) {
                    topic.advance(partition, next, |shards| {
                        self.tell(shards, || Message::Missed { topic: id, partition, next });
                    });
                }
            }
            News::Joined(joined) => self.join(*joined),
            News::Changed { topic, config } => {
                if let Some(topic) = self.topic(topic) {
                    topic.definition.store(Arc::new(definition(config)));
                }
            }
            News::Created(topic) => {
                if let Some(topic) = self.topic(topic) {
                    self.tell(u64::MAX, || Message::TopicCreated(Arc::clone(&topic)));
                }
            }
            News::Ended(topic, why) => {
                self.topics.write().remove(&topic);
                self.tell(u64::MAX, || Message::TopicEnded(topic, why.clone()));
            }
            News::Forbidden(numbers, why) => {
                let which = Arc::new(numbers.into_iter().collect());
                self.tell(u64::MAX, || Message::Forbidden(Arc::clone(&which), why.clone()));
            }
            News::Followed { .. } => {
                debug_assert!(false, "an answered follow is for whoever asked");
            }
        }
    }

    /// Hands a subscription that the node has admitted to its shard.
    ///
    /// # Errors
    /// `TOPIC_NOT_FOUND` when the one topic it wants has just been deleted.
    pub fn attach(&self, prepared: Prepared, request: Request) -> Result<Attaching, Refusal> {
        let Request { who, follow, shard, sink, call } = request;
        let topics: Vec<Arc<Topic>> = {
            let known = self.topics.read();
            prepared.topics.iter().filter_map(|id| known.get(id).cloned()).collect()
        };
        if topics.is_empty() && follow.filter.topic != TopicPart::Any {
            return Err(Refusal::new(Code::TopicNotFound, "the topic was deleted"));
        }
        let mailbox = self.mailboxes.get(shard.0 as usize);
        let mailbox = mailbox.ok_or_else(|| Refusal::internal(&"there is no such shard"))?;
        let (tag, project) = (follow.tag, who.project());
        let meter = self.meters.get(who.tenant(), project);
        let (attached, answer) = oneshot::channel();
        let wish = wish_of(&self.conditions, &who, follow.shaping.clone())?;
        let admitted = Admitted {
            who,
            follow,
            topics,
            positions: prepared.positions,
            lost: prepared.lost,
            wish,
            mint: Arc::clone(&self.signer) as _,
        };
        let attach = admitted.attach(sink, meter, mailbox, call, attached);
        mailbox.send(Message::Attach(Box::new(attach)));
        Ok(Attaching { tag, project, signer: Arc::clone(&self.signer), attached: answer })
    }

    /// Topics that nobody here follows any more, forgotten with this call. The caller must know of
    /// no `follow` whose answer is still to come.
    pub fn take_unused(&self) -> Vec<TopicId> {
        let mut topics = self.topics.write();
        // Whoever follows or is about to holds the topic; new holders come from here only.
        let is_unused = |topic: &Arc<Topic>| Arc::strong_count(topic) == 1;
        let unused: Vec<TopicId> =
            topics.iter().filter(|(_, topic)| is_unused(topic)).map(|(&id, _)| id).collect();
        unused.iter().for_each(|id| {
            topics.remove(id);
        });
        unused
    }

    /// What was delivered here since the last time. What was published is the node's to count.
    pub fn take_usage(&self) -> Vec<(TenantId, ProjectId, Usage)> {
        self.meters.take(HashMap::new())
    }

    fn topic(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.topics.read().get(&id).cloned()
    }

    /// A topic known already was left and joined again before its end here was noticed: what it
    /// missed meanwhile is read from the log.
    fn join(&self, joined: Joined) {
        let (id, next) = (joined.id, joined.next);
        if let Some(topic) = self.topic(id) {
            for (partition, next) in (0..).zip(next) {
                topic.advance(partition, next, |shards| {
                    self.tell(shards, || Message::Missed { topic: id, partition, next });
                });
            }
            return;
        }
        let seed = TopicSeed {
            id,
            tenant: joined.tenant,
            project: joined.project,
            name: joined.name,
            created_at: joined.created_at,
            definition: definition(joined.config),
        };
        let topic = Topic::at(seed, next, Arc::clone(&self.signer) as _);
        self.topics.write().insert(id, Arc::new(topic));
    }

    fn tell(&self, shards: u64, message: impl Fn() -> Message) {
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if shards & 1 << index != 0 {
                mailbox.send(message());
            }
        }
    }
}

/// Schemas are checked where records are appended, so nothing is compiled here.
fn definition(config: TopicConfig) -> Definition {
    Definition { config, versions: Versions::default(), schema_version: 0 }
}
