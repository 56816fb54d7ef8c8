//! The node's end of a branch: one more mailbox that is told of records, and what is done for the
//! branch's followers. When it drops, the branch is told nothing more.

use super::{Joined, News, Prepared};
use crate::follow::Held;
use crate::node::Node;
use crate::shard::mailbox::{Mailbox, Message};
use crate::topic::Topic;
use crate::watch::Watch;
use parking_lot::Mutex;
use port::{Code, Follow, Identity, Refusal, ShardId, Usage};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use types::filter::TopicPart;
use types::{ProjectId, TenantId, TopicId};

/// A branch's place in the node: its mailbox, and whose new topics it wants to hear of.
pub(crate) struct Slot {
    pub mailbox: Arc<Mailbox>,
    wild: Mutex<HashSet<ProjectId>>,
    /// Its subscriptions.
    pub watch: Arc<Watch>,
}

impl Slot {
    pub fn new() -> Slot {
        let mailbox = Arc::<Mailbox>::default();
        mailbox.close();
        Slot { mailbox, wild: Mutex::default(), watch: Arc::default() }
    }
}

pub struct Trunk {
    node: Arc<Node>,
    index: usize,
    /// What the node counts of each subscription, by the number it was asked under.
    held: Mutex<HashMap<u64, Held>>,
    is_over: AtomicBool,
}

impl Node {
    /// Connects the branch with this number, counted from 0. `None` when there is no such number
    /// or it is connected already.
    pub fn trunk(self: &Arc<Self>, index: usize) -> Option<Trunk> {
        let slot = self.branches.get(index)?;
        slot.mailbox.open().then(|| Trunk {
            node: Arc::clone(self),
            index,
            held: Mutex::default(),
            is_over: AtomicBool::new(false),
        })
    }

    /// Followers of whole projects hear of a new topic, and of its first record.
    pub(crate) fn tell_branches_of(&self, topic: &Arc<Topic>) {
        for index in 0..self.branches.len() {
            self.tell_branch_of(index, topic);
        }
    }

    fn tell_branch_of(&self, index: usize, topic: &Arc<Topic>) {
        let Some(slot) = self.branches.get(index) else {
            return;
        };
        if slot.wild.lock().contains(&topic.project) {
            self.join(index, topic);
            slot.mailbox.send(Message::TopicCreated(Arc::clone(topic)));
        }
    }

    /// Every branch hears that a topic is over or changed; those that do not know it do nothing.
    pub(crate) fn tell_branches(&self, message: impl Fn() -> Message) {
        self.branches.iter().for_each(|slot| slot.mailbox.send(message()));
    }

    /// Branches come after the shards in what a topic knows of its listeners.
    fn listener(&self, index: usize) -> ShardId {
        // Both numbers are bounded by `SHARDS_MAX` together.
        ShardId((self.options.shards + index) as u16)
    }

    fn join(&self, index: usize, topic: &Arc<Topic>) {
        let Some(slot) = self.branches.get(index) else {
            return;
        };
        topic.join_telling(self.listener(index), |next| {
            let news = News::Joined(Box::new(Joined {
                id: topic.id,
                tenant: topic.tenant,
                project: topic.project,
                name: topic.name.clone(),
                created_at: topic.created_at,
                config: topic.definition.load().config.clone(),
                next: next.to_vec(),
            }));
            slot.mailbox.send(Message::News(Box::new(news)));
        });
    }
}

impl Trunk {
    /// Everything there is to tell; when there is nothing, the waker is kept.
    pub fn poll_news(&self, cx: &mut Context<'_>) -> Poll<Vec<News>> {
        let now = self.node.world.clock.monotonic();
        let told = |message| match message {
            Message::Published(published) => Some(News::Published {
                topic: published.topic.id,
                partition: published.partition,
                batch: Arc::clone(published.batch()),
                age: now.saturating_sub(published.at),
            }),
            Message::Missed { topic, partition, next } => {
                Some(News::Missed { topic, partition, next })
            }
            Message::TopicCreated(topic) => Some(News::Created(topic.id)),
            Message::TopicEnded(topic, why) => Some(News::Ended(topic, why)),
            Message::Forbidden(which, why) => {
                Some(News::Forbidden(which.iter().copied().collect(), why))
            }
            Message::News(news) => Some(*news),
            // For shards, which a branch has of its own.
            Message::Attach(_) | Message::Detach(_) => None,
        };
        let messages = self.mailbox().poll_take(cx);
        messages.map(|messages| messages.into_iter().filter_map(told).collect())
    }

    /// Admits a subscription as `Hub::follow` would; the answer comes among the news.
    pub async fn follow(&self, call: u64, who: &Identity, follow: &Follow) {
        let outcome = self.prepare(call, who, follow).await.map(|(prepared, held)| {
            self.held.lock().insert(call, held);
            prepared
        });
        let known = outcome.as_ref().map(|it| it.topics.clone()).ok();
        self.mailbox().send(Message::News(Box::new(News::Followed { call, outcome })));
        if let Some(known) = known {
            self.tell_what_changed(who, &known, follow.filter.topic == TopicPart::Any);
            // A list that changed meanwhile may have ended it before its answer was told.
            if let Err(why) = self.node.check_again(who, &follow.filter) {
                self.mailbox().send(Message::Forbidden(Arc::new(HashSet::from([call])), why));
            }
        }
    }

    /// Answers a `follow` that never came to the node.
    pub fn refuse(&self, call: u64, refusal: Refusal) {
        let news = News::Followed { call, outcome: Err(refusal) };
        self.mailbox().send(Message::News(Box::new(news)));
    }

    async fn prepare(
        &self,
        call: u64,
        who: &Identity,
        follow: &Follow,
    ) -> Result<(Prepared, Held), Refusal> {
        if follow.filter.topic == TopicPart::Any {
            self.slot().wild.lock().insert(who.project());
        }
        let wanted = self.node.wanted(who, follow, &self.slot().watch, call).await?;
        wanted.topics.iter().for_each(|topic| self.node.join(self.index, topic));
        let topics = wanted.topics.iter().map(|topic| topic.id).collect();
        let prepared = Prepared { topics, positions: wanted.positions, lost: wanted.lost };
        Ok((prepared, wanted.held))
    }

    /// Topics made or deleted while the subscription was prepared were told before its answer.
    /// Told twice, both do nothing.
    fn tell_what_changed(&self, who: &Identity, known: &[TopicId], is_wild: bool) {
        let catalogue = &self.node.catalogue;
        for &id in known.iter().filter(|&&id| catalogue.by_id(id).is_none()) {
            let why = Refusal::new(Code::TopicNotFound, "the topic was deleted");
            self.mailbox().send(Message::TopicEnded(id, why));
        }
        if is_wild {
            let topics = catalogue.list(who.project(), None, usize::MAX);
            for topic in topics.into_iter().filter(|topic| !known.contains(&topic.id)) {
                self.node.tell_branch_of(self.index, &topic);
            }
        }
    }

    /// The subscription that was asked for under this number is over.
    pub fn unfollowed(&self, call: u64) {
        let held = self.held.lock().remove(&call);
        drop(held);
    }

    /// The branch has no followers of the topic any more.
    pub fn leave(&self, topic: TopicId) {
        if let Some(topic) = self.node.catalogue.by_id(topic) {
            topic.leave(self.node.listener(self.index));
        }
    }

    /// What was used in the branch's process.
    pub fn used(&self, tenant: TenantId, project: ProjectId, usage: Usage) {
        self.node.meters.get(tenant, project).used_elsewhere(&usage);
    }

    fn slot(&self) -> &Slot {
        // Made for a slot that is there, and slots stay.
        &self.node.branches[self.index]
    }

    fn mailbox(&self) -> &Mailbox {
        &self.slot().mailbox
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.end();
    }
}

impl Trunk {
    /// The branch is told nothing more, and another may take its place. As when it drops.
    pub fn end(&self) {
        if self.is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        let listener = self.node.listener(self.index);
        self.node.catalogue.all().iter().for_each(|topic| topic.leave(listener));
        self.slot().wild.lock().clear();
        self.held.lock().clear();
        self.mailbox().close();
    }
}
