//! Subscriptions and the topics they follow, on one thread. Walks and pumps change it in turn;
//! neither holds it across a wait.

use super::index::{KeyIndex, SubscriptionKey};
use super::mailbox::{Attach, Guard, Lost, StartDefault};
use super::shape::Shape;
use crate::meter::ProjectMeter;
use crate::topic::Topic;
use crate::watch::WatchNumber;
use port::{CursorMint, Delivery, Event, Identity, Refusal, Room, Run, ShardId, Sink, Taken};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use types::filter::TopicPart;
use types::{Filter, Offset, Partition, Position, Positions, SubscriptionTag, TopicId, record};

pub type Lag = BTreeMap<(TopicId, Partition), Offset>;

pub struct Subscription {
    pub tag: SubscriptionTag,
    pub filter: Filter,
    pub who: Identity,
    pub exclude_own: bool,
    pub sink: Arc<dyn Sink>,
    pub meter: Arc<ProjectMeter>,
    number: WatchNumber,
    pub topics: Vec<TopicId>,
    pub mode: Mode,
    pub is_caught_up_told: bool,
    pub latest_first: bool,
    pub mint: Arc<dyn CursorMint>,
    /// What few subscriptions ask for.
    pub shape: Option<Box<Shape>>,
}

/// What became of a run.
pub struct Given {
    /// Records dealt with, from the run's start.
    pub passed: usize,
    /// Those of them that were pushed.
    pub pushed: usize,
    /// Key, value and headers of those.
    pub bytes: u64,
    pub room: Room,
}

pub enum Mode {
    /// In the index of each of its topics; stands at `seen` of all their partitions.
    Live,
    /// Fed by a pump; the next offset wanted per partition.
    Lagging(Lag),
}

/// A topic some subscription of this shard follows.
pub struct Followed {
    pub topic: Arc<Topic>,
    /// Per partition the first offset not yet walked.
    pub seen: Vec<Offset>,
    pub index: KeyIndex,
    followers: usize,
}

struct Slot {
    generation: u32,
    subscription: Option<Subscription>,
}

pub struct State {
    id: ShardId,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pub topics: HashMap<TopicId, Followed>,
    /// Subscriptions that take any topic of their project, also those yet to be created.
    wild: Vec<SubscriptionKey>,
    /// Events pumps pushed since the last turn: their connections want a flush.
    pumped: usize,
}

impl Subscription {
    pub fn wants(&self, delivery: &Delivery) -> bool {
        let key = delivery.record.key.as_ref().map(|key| &key.bytes()[..]);
        self.filter.key.matches(key) && !self.is_own(delivery)
    }

    /// Whether it is of the records that a shaped subscription chooses.
    pub fn chooses(&self, delivery: &Delivery) -> bool {
        let condition = self.shape.as_deref().and_then(|shape| shape.condition.as_deref());
        condition.is_none_or(|condition| condition.holds(&delivery.record))
    }

    /// A lagging subscription goes on at the first of what it could not send.
    pub fn stop_at(&mut self, rest: &Lag) {
        if let Some(shape) = &mut self.shape {
            shape.let_go();
        }
        if let Mode::Lagging(lag) = &mut self.mode {
            rewind(lag, rest);
        }
    }

    pub fn is_own(&self, delivery: &Delivery) -> bool {
        self.exclude_own
            && delivery
                .record
                .header(record::header::PUBLISHER)
                .is_some_and(|publisher| *publisher == self.who.principal().0.as_bytes())
    }

    pub fn push(&self, delivery: &Arc<Delivery>) -> Room {
        self.meter.delivered(1, delivery.record.size() as u64);
        self.sink.push(self.tag, Event::Delivery(delivery))
    }

    /// Pushes what it wants of a run, as far as there is room. The caller meters it.
    pub fn push_run(&self, run: &Run) -> Given {
        if !(self.exclude_own && run.deliveries().iter().any(|delivery| self.is_own(delivery))) {
            let Taken { records, room } = self.sink.push_run(self.tag, run);
            return Given { passed: records, pushed: records, bytes: run.bytes(records), room };
        }
        let mut given = Given { passed: 0, pushed: 0, bytes: 0, room: Room::Free };
        for delivery in run.deliveries() {
            given.passed += 1;
            if self.is_own(delivery) {
                continue;
            }
            given.pushed += 1;
            given.bytes += delivery.record.size() as u64;
            given.room = self.sink.push(self.tag, Event::Delivery(delivery));
            if given.room == Room::Full {
                break;
            }
        }
        given
    }
}

impl State {
    pub fn new(id: ShardId) -> State {
        State {
            id,
            slots: Vec::new(),
            free: Vec::new(),
            topics: HashMap::new(),
            wild: Vec::new(),
            pumped: 0,
        }
    }

    pub fn get(&self, key: SubscriptionKey) -> Option<&Subscription> {
        let slot = self.slots.get(key.slot as usize)?;
        (slot.generation == key.generation).then_some(slot.subscription.as_ref()).flatten()
    }

    pub fn get_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscription> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        (slot.generation == key.generation).then_some(slot.subscription.as_mut()).flatten()
    }

    pub fn count_pumped(&mut self, events: usize) {
        self.pumped += events;
    }

    pub fn take_pumped(&mut self) -> usize {
        std::mem::take(&mut self.pumped)
    }

    /// Takes a subscription in; `None` when whoever asked for it is gone already.
    pub fn attach(&mut self, attach: Attach) -> Option<SubscriptionKey> {
        let mut lag = Lag::new();
        let topics: Vec<TopicId> = attach.topics.iter().map(|topic| topic.id).collect();
        for topic in &attach.topics {
            let seen = self.follow(topic);
            for (partition, &seen) in (0..).zip(seen) {
                let wanted = attach.positions.get(topic.id, partition);
                let next = match (wanted, attach.start_default) {
                    // A topic that stores nothing has nothing before now.
                    _ if topic.is_ephemeral() => seen,
                    (Some(next), _) => next.min(seen),
                    (None, StartDefault::Live) => seen,
                    (None, StartDefault::Earliest) => 0,
                };
                lag.insert((topic.id, partition), next);
            }
        }
        let start: Positions = positions_of(&lag).collect();
        let is_wild = attach.filter.topic == TopicPart::Any;
        let key = self.put(Subscription {
            tag: attach.tag,
            filter: attach.filter,
            who: attach.who,
            exclude_own: attach.exclude_own,
            sink: attach.sink,
            meter: attach.meter,
            number: attach.number,
            topics,
            mode: Mode::Lagging(lag),
            is_caught_up_told: false,
            latest_first: attach.latest_first,
            mint: attach.mint,
            shape: attach.wish.map(|wish| Box::new(Shape::new(*wish))),
        });
        if is_wild {
            self.wild.push(key);
        }
        let guard = Guard { mailbox: attach.mailbox, key };
        // Unless somebody takes it over, the guard ends the subscription again.
        match attach.attached.send((guard, start)) {
            Ok(()) => Some(key),
            Err(_) => None,
        }
    }

    pub fn tell_lost(&mut self, key: SubscriptionKey, lost: &[Lost]) {
        for &Lost { topic, partition, from, to, why } in lost {
            if let Some(subscription) = self.get(key) {
                let gap = Event::Gap { topic, partition, from, to, why };
                let _ = subscription.sink.push(subscription.tag, gap);
                self.pumped += 1;
            }
        }
    }

    pub fn detach(&mut self, key: SubscriptionKey) {
        let Some(subscription) = self.take(key) else {
            return;
        };
        self.wild.retain(|&wild| wild != key);
        for topic in &subscription.topics {
            self.unfollow(*topic, &subscription, key);
        }
    }

    /// Makes a subscription that lags in no partition live; `false` when it still lags.
    pub fn try_go_live(&mut self, key: SubscriptionKey) -> bool {
        let Some(subscription) = self.get(key) else {
            return true;
        };
        let Mode::Lagging(lag) = &subscription.mode else {
            return true;
        };
        let has_caught_up = lag.iter().all(|(&(topic, partition), &next)| {
            self.seen(topic, partition).is_none_or(|seen| next >= seen)
        });
        if !has_caught_up {
            return false;
        }
        let (topics, part) = (subscription.topics.clone(), subscription.filter.key.clone());
        for topic in topics {
            if let Some(followed) = self.topics.get_mut(&topic) {
                followed.index.insert(&part, key);
            }
        }
        if let Some(subscription) = self.get_mut(key) {
            subscription.mode = Mode::Live;
        }
        true
    }

    /// Takes a live subscription out of the index; `from` are its next offsets where they differ
    /// from what the shard has seen.
    pub fn demote(&mut self, key: SubscriptionKey, from: &Lag) {
        let Some(subscription) = self.get(key) else {
            return;
        };
        let (topics, part) = (subscription.topics.clone(), subscription.filter.key.clone());
        let mut lag = Lag::new();
        for id in topics {
            if let Some(followed) = self.topics.get_mut(&id) {
                followed.index.remove(&part, key);
                let seen = (0..).zip(&followed.seen);
                lag.extend(seen.map(|(partition, &seen)| ((id, partition), seen)));
            }
        }
        lag.extend(from.iter().map(|(&at, &next)| (at, next)));
        if let Some(subscription) = self.get_mut(key) {
            if let Some(shape) = &mut subscription.shape {
                rewind(&mut lag, &shape.rest());
            }
            subscription.mode = Mode::Lagging(lag);
        }
        metrics::counter!(port::metric::DEMOTIONS).increment(1);
    }

    /// Batches up to `next` never came: whoever was live reads them from the log. Answers those
    /// that need a pump now.
    pub fn missed(
        &mut self,
        topic: TopicId,
        partition: Partition,
        next: Offset,
    ) -> Vec<SubscriptionKey> {
        let Some(seen) = self.seen(topic, partition).filter(|&seen| seen < next) else {
            return Vec::new();
        };
        let is_live =
            |it: &Subscription| matches!(it.mode, Mode::Live) && it.topics.contains(&topic);
        let live = self.keys_of(is_live);
        let from = Lag::from([((topic, partition), seen)]);
        live.iter().for_each(|&key| self.demote(key, &from));
        if let Some(followed) = self.topics.get_mut(&topic)
            && let Some(seen) = followed.seen.get_mut(partition as usize)
        {
            *seen = next;
        }
        live
    }

    fn keys_of(&self, takes: impl Fn(&Subscription) -> bool) -> Vec<SubscriptionKey> {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.subscription.as_ref().is_some_and(&takes))
            .map(|(slot, held)| SubscriptionKey { slot, generation: held.generation })
            .collect()
    }

    /// Wild subscriptions take the new topic in from its first record. Answers those that were
    /// live and need a pump now.
    pub fn topic_created(&mut self, topic: &Arc<Topic>) -> Vec<SubscriptionKey> {
        let mut woken = Vec::new();
        for key in self.wild.clone() {
            let takes = |subscription: &Subscription| {
                subscription.who.project() == topic.project
                    && !subscription.topics.contains(&topic.id)
            };
            if !self.get(key).is_some_and(takes) {
                continue;
            }
            if self.get(key).is_some_and(|it| matches!(it.mode, Mode::Live)) {
                self.demote(key, &Lag::new());
                woken.push(key);
            }
            let seen = self.follow(topic).to_vec();
            let is_ephemeral = topic.is_ephemeral();
            if let Some(subscription) = self.get_mut(key) {
                subscription.topics.push(topic.id);
                if let Mode::Lagging(lag) = &mut subscription.mode {
                    lag.extend((0..).zip(&seen).map(|(partition, &seen)| {
                        ((topic.id, partition), if is_ephemeral { seen } else { 0 })
                    }));
                }
            }
        }
        woken
    }

    /// The topic is gone: who followed it alone is told so, who follows others goes on with them.
    pub fn topic_ended(&mut self, id: TopicId, why: &Refusal) {
        let keys = self.keys_of(|subscription| subscription.topics.contains(&id));
        for key in keys {
            let Some(subscription) = self.get_mut(key) else {
                continue;
            };
            if subscription.filter.topic != TopicPart::Any {
                self.end(key, why);
                continue;
            }
            subscription.topics.retain(|&topic| topic != id);
            if let Mode::Lagging(lag) = &mut subscription.mode {
                lag.retain(|&(topic, _), _| topic != id);
            }
        }
        if let Some(followed) = self.topics.remove(&id) {
            followed.topic.leave(self.id);
        }
    }

    /// Ends those of these subscriptions that are here.
    pub fn forbid(&mut self, which: &HashSet<WatchNumber>, why: &Refusal) {
        for key in self.keys_of(|subscription| which.contains(&subscription.number)) {
            self.end(key, why);
        }
    }

    /// Tells the subscriber that its subscription is over, and drops it.
    pub fn end(&mut self, key: SubscriptionKey, why: &Refusal) {
        if let Some(subscription) = self.get(key) {
            let _ = subscription.sink.push(subscription.tag, Event::Ended(why));
            self.pumped += 1;
        }
        self.detach(key);
    }

    pub fn seen(&self, topic: TopicId, partition: Partition) -> Option<Offset> {
        self.topics.get(&topic)?.seen.get(partition as usize).copied()
    }

    fn follow(&mut self, topic: &Arc<Topic>) -> &[Offset] {
        let id = self.id;
        let followed = self.topics.entry(topic.id).or_insert_with(|| Followed {
            seen: topic.join(id),
            topic: Arc::clone(topic),
            index: KeyIndex::default(),
            followers: 0,
        });
        followed.followers += 1;
        &followed.seen
    }

    fn unfollow(&mut self, id: TopicId, subscription: &Subscription, key: SubscriptionKey) {
        let Some(followed) = self.topics.get_mut(&id) else {
            return;
        };
        followed.index.remove(&subscription.filter.key, key);
        followed.followers -= 1;
        if followed.followers == 0
            && let Some(followed) = self.topics.remove(&id)
        {
            followed.topic.leave(self.id);
        }
    }

    fn put(&mut self, subscription: Subscription) -> SubscriptionKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, subscription: None });
            (self.slots.len() - 1) as u32
        });
        let held = &mut self.slots[slot as usize];
        held.subscription = Some(subscription);
        SubscriptionKey { slot, generation: held.generation }
    }

    fn take(&mut self, key: SubscriptionKey) -> Option<Subscription> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let subscription = slot.subscription.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(subscription)
    }
}

/// Back to the first offsets of what was held and never sent.
pub fn rewind(lag: &mut Lag, first: &Lag) {
    for (&at, &first) in first {
        if let Some(next) = lag.get_mut(&at) {
            *next = (*next).min(first);
        }
    }
}

pub fn positions_of(lag: &Lag) -> impl Iterator<Item = Position> + '_ {
    lag.iter().map(|(&(topic, partition), &next)| Position { topic, partition, next })
}
