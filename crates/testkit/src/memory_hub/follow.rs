//! Subscriptions of the memory hub. A follower is a cursor over the logs, so history and live are
//! one thing and the hand-over between them cannot lose or repeat a record; a full connection is
//! simply not read for until it has room.

use super::MemoryHub;
use super::state::State;
use port::{ConnectionId, Delivery, Event, Identity, Loss, Refusal, Room, Shard, ShardId, Sink};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use types::record::header;
use types::{Filter, Offset, Partition, SubscriptionTag, TopicId};

/// Events prepared at once under the lock.
const BATCH_STEPS_MAX: usize = 64;

pub(super) struct Follower {
    pub shard: u16,
    pub connection: Option<ConnectionId>,
    pub tag: SubscriptionTag,
    pub sink: Arc<dyn Sink>,
    pub who: Identity,
    pub filter: Filter,
    pub excludes_own: bool,
    /// Sent before anything else: the newest record of the exact key followed.
    pub first: Option<Arc<Delivery>>,
    /// The next offset by topic and partition; a topic made later begins at its beginning.
    pub next: BTreeMap<(TopicId, Partition), Offset>,
    /// What was stored at the beginning; `None` when `CaughtUp` has been sent.
    pub target: Option<BTreeMap<(TopicId, Partition), Offset>>,
    pub ended: Option<Refusal>,
    pub is_dirty: bool,
    pub is_paused: bool,
    pub is_alive: Arc<AtomicBool>,
}

/// One thing to push, with what it changes when it has been pushed.
enum Step {
    First(Arc<Delivery>),
    Record(Arc<Delivery>),
    Gap {
        topic: TopicId,
        partition: Partition,
        from: Offset,
        to: Offset,
    },
    /// Records the filter leaves out.
    Skip {
        topic: TopicId,
        partition: Partition,
        to: Offset,
    },
    CaughtUp,
    Ended(Refusal),
}

/// What one follower is to be pushed, taken out of the lock.
struct Batch {
    tag: SubscriptionTag,
    sink: Arc<dyn Sink>,
    is_alive: Arc<AtomicBool>,
    steps: Vec<Step>,
}

/// Dropping it ends the subscription.
pub(super) struct FollowGuard {
    pub hub: MemoryHub,
    pub id: u64,
    pub is_alive: Arc<AtomicBool>,
}

impl Drop for FollowGuard {
    fn drop(&mut self) {
        self.is_alive.store(false, Ordering::Release);
        // The sink is dropped after the lock is given back: it may own this very guard's session.
        let _follower = self.hub.state().followers.remove(&self.id);
    }
}

/// The followers of one edge thread.
pub struct MemoryShard {
    hub: MemoryHub,
    id: u16,
}

/// A shard turning on its own task; it stops when this drops.
pub struct Driving(tokio::task::JoinHandle<()>);

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl MemoryHub {
    /// As `Hub::shard`, for tests that poll it themselves.
    pub fn memory_shard(&self, id: ShardId) -> MemoryShard {
        MemoryShard { hub: self.clone(), id: id.0 }
    }

    /// Turns a shard in the background, for tests without an edge.
    pub fn drive(&self, id: ShardId) -> Driving {
        const BUDGET: usize = 256;
        let mut shard = self.memory_shard(id);
        Driving(tokio::spawn(async move {
            loop {
                std::future::poll_fn(|cx| shard.poll_turn(cx, BUDGET)).await;
                tokio::task::yield_now().await;
            }
        }))
    }
}

impl Shard for MemoryShard {
    fn poll_turn(&mut self, cx: &mut Context<'_>, budget: usize) -> Poll<()> {
        let mut left = budget.max(1);
        self.hub.state().wakers.insert(self.id, cx.waker().clone());
        let ids: Vec<u64> = {
            let state = self.hub.state();
            let mine = state.followers.iter().filter(|(_, f)| f.shard == self.id);
            mine.map(|(&id, _)| id).collect()
        };
        for id in ids {
            while let Turn::Pushed(count) = self.turn_one(cx, id) {
                left = left.saturating_sub(count.max(1));
                if left == 0 {
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }
}

enum Turn {
    Pushed(usize),
    /// Nothing to do, no room, or gone.
    Rests,
}

impl MemoryShard {
    fn turn_one(&self, cx: &mut Context<'_>, id: u64) -> Turn {
        if !self.has_room(cx, id) {
            return Turn::Rests;
        }
        let Some(Batch { tag, sink, is_alive, steps }) = self.prepare(id) else {
            return Turn::Rests;
        };
        // No lock is held here: a push may run the session, which calls the hub again.
        let mut done = Vec::new();
        let mut is_full = false;
        for step in steps {
            if !is_alive.load(Ordering::Acquire) {
                break;
            }
            let room = match &step {
                Step::First(record) | Step::Record(record) => {
                    sink.push(tag, Event::Delivery(record))
                }
                &Step::Gap { topic, partition, from, to } => {
                    sink.push(tag, Event::Gap { topic, partition, from, to, why: Loss::Expired })
                }
                Step::Skip { .. } => Room::Free,
                Step::CaughtUp => sink.push(tag, Event::CaughtUp),
                Step::Ended(why) => sink.push(tag, Event::Ended(why)),
            };
            done.push(step);
            if room == Room::Full {
                is_full = true;
                break;
            }
        }
        let pushed = done.len();
        let _follower = self.hub.state().apply(id, done, is_full);
        Turn::Pushed(pushed)
    }

    /// Whether a paused follower may go on; registers for it otherwise.
    fn has_room(&self, cx: &mut Context<'_>, id: u64) -> bool {
        let sink = match self.hub.state().followers.get(&id) {
            Some(follower) if follower.is_paused => Arc::clone(&follower.sink),
            Some(_) => return true,
            None => return false,
        };
        if sink.poll_room(cx).is_pending() {
            return false;
        }
        if let Some(follower) = self.hub.state().followers.get_mut(&id) {
            follower.is_paused = false;
            follower.is_dirty = true;
        }
        true
    }

    fn prepare(&self, id: u64) -> Option<Batch> {
        let mut state = self.hub.state();
        let follower = state.followers.get(&id)?;
        if !follower.is_dirty {
            return None;
        }
        let steps = gather(&state, follower);
        let follower = state.followers.get_mut(&id)?;
        if steps.is_empty() {
            follower.is_dirty = false;
            return None;
        }
        let (sink, is_alive) = (Arc::clone(&follower.sink), Arc::clone(&follower.is_alive));
        Some(Batch { tag: follower.tag, sink, is_alive, steps })
    }
}

/// The next steps of a follower, at most `BATCH_STEPS_MAX`.
fn gather(state: &State, follower: &Follower) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(why) = &follower.ended {
        steps.push(Step::Ended(why.clone()));
        return steps;
    }
    steps.extend(follower.first.clone().map(Step::First));
    let Some(project) = state.projects.get(&follower.who.project()) else {
        return steps;
    };
    let mut next = follower.next.clone();
    let topics = project.topics.iter().filter(|(name, _)| follower.filter.takes_topic(name));
    for (name, topic) in topics {
        for partition in topic.partition_numbers() {
            let place = (topic.id(), partition);
            let from = next.get(&place).copied().unwrap_or(0);
            let floor = topic.floor(partition);
            if from < floor {
                let topic = topic.id();
                steps.push(Step::Gap { topic, partition, from, to: floor });
            }
            for found in topic.records(partition, from.max(floor)) {
                if steps.len() >= BATCH_STEPS_MAX {
                    return steps;
                }
                if found.offset < from {
                    continue;
                }
                let key = found.record.key.as_ref().map(|key| key.bytes().as_ref());
                if follower.filter.matches(name, key) && !follower.is_own(found) {
                    steps.push(Step::Record(Arc::clone(found)));
                } else {
                    steps.push_skip(topic.id(), partition, found.offset + 1);
                }
                next.insert(place, found.offset + 1);
            }
        }
    }
    if let Some(target) = &follower.target
        && target.iter().all(|(place, end)| next.get(place).copied().unwrap_or(0) >= *end)
    {
        steps.push(Step::CaughtUp);
    }
    steps
}

trait PushSkip {
    fn push_skip(&mut self, topic: TopicId, partition: Partition, to: Offset);
}

impl PushSkip for Vec<Step> {
    /// A run of records left out is one step.
    fn push_skip(&mut self, topic: TopicId, partition: Partition, to: Offset) {
        if let Some(Step::Skip { topic: last_topic, partition: last, to: end }) = self.last_mut()
            && (*last_topic, *last) == (topic, partition)
        {
            *end = to;
        } else {
            self.push(Step::Skip { topic, partition, to });
        }
    }
}

impl Follower {
    fn is_own(&self, found: &Delivery) -> bool {
        self.excludes_own
            && found
                .record
                .header(header::PUBLISHER)
                .is_some_and(|publisher| publisher == self.who.principal().0.as_bytes())
    }
}

/// Whether a filter may take records of a topic at all.
pub(super) trait TakesTopic {
    fn takes_topic(&self, name: &types::TopicName) -> bool;
}

impl TakesTopic for Filter {
    /// `+` stands for the topics that clients can name, so not for presence.
    fn takes_topic(&self, name: &types::TopicName) -> bool {
        match &self.topic {
            types::filter::TopicPart::Exact(exact) => exact == name,
            types::filter::TopicPart::Any => name.as_str() != types::address::PRESENCE_TOPIC,
        }
    }
}

impl State {
    /// Records what has been pushed; answers the follower when that was its end.
    fn apply(&mut self, id: u64, done: Vec<Step>, is_full: bool) -> Option<Follower> {
        self.demotions += u64::from(is_full);
        let mut delivered = 0;
        let mut is_over = false;
        let follower = self.followers.get_mut(&id)?;
        follower.is_paused = is_full;
        for step in done {
            match step {
                Step::First(_) => {
                    follower.first = None;
                    delivered += 1;
                }
                Step::Record(found) => {
                    let position = found.position();
                    follower.next.insert((position.topic, position.partition), position.next);
                    delivered += 1;
                }
                Step::Gap { topic, partition, to, .. } | Step::Skip { topic, partition, to } => {
                    follower.next.insert((topic, partition), to);
                }
                Step::CaughtUp => follower.target = None,
                Step::Ended(_) => is_over = true,
            }
        }
        let project = follower.who.project();
        if let Ok(project) = self.project(project) {
            project.usage.events_delivered += delivered;
        }
        if is_over { self.followers.remove(&id) } else { None }
    }
}

/// What a follower must have been sent before it has caught up: everything stored when it began.
pub(super) fn ends(
    state: &State,
    who: &Identity,
    filter: &Filter,
) -> BTreeMap<(TopicId, Partition), Offset> {
    let mut ends = BTreeMap::new();
    let topics = state.projects.get(&who.project()).map(|project| &project.topics);
    for (name, topic) in topics.into_iter().flatten() {
        if filter.takes_topic(name) {
            for partition in topic.partition_numbers() {
                ends.insert((topic.id(), partition), topic.end(partition));
            }
        }
    }
    ends
}
