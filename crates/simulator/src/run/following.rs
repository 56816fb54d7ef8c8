//! Followers: connections that take what they are given at their own pace, leave, and come back
//! with the cursors they have kept.

use super::hub::SHARD;
use super::{Outcome, Run};
use crate::book::{self, Place, Seen};
use crate::checks::Event;
use crate::draw::Draw;
use crate::platform::{Outlet, Taken};
use crate::sabotage::Sabotage;
use port::{Delivery, Follow, Hub as _, Subscription};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Durability, Filter, From, SubscriptionTag};

const TAG: SubscriptionTag = SubscriptionTag(1);
/// Rounds in which followers are given what they still lack.
const ROUNDS_MAX: usize = 2_000;

#[derive(Default)]
pub struct Follower {
    filter: String,
    /// Where it began, and the newest cursor of each partition.
    start: Option<String>,
    cursors: BTreeMap<Place, String>,
    connected: Option<(Arc<Outlet>, Subscription)>,
}

impl Follower {
    pub fn disconnect(&mut self) {
        self.connected = None;
    }

    fn cursors(&self) -> Vec<String> {
        self.start.iter().chain(self.cursors.values()).cloned().collect()
    }
}

fn seen_of(delivery: &Delivery) -> (Place, Seen) {
    let place = (delivery.origin.topic_id, delivery.partition);
    let record = delivery.record.clone();
    (place, Seen::new(delivery.offset, delivery.timestamp, record))
}

impl Run {
    pub(super) fn follow(&mut self, who: u64, seed: u64) -> Outcome {
        let Some((node, identity)) = self.node() else { return Ok(()) };
        let draw = Draw::new(seed);
        let Some(desk) = &mut self.desk else { return Ok(()) };
        let topic = desk.topic(who);
        let follower = desk.followers.entry(who).or_default();
        if follower.connected.is_some() {
            return Ok(());
        }
        let is_new = follower.start.is_none();
        let key = (who % 3 == 2).then(|| book::key(1));
        if let Some((name, _)) = topic.filter(|_| is_new) {
            follower.filter =
                if key.is_some() { format!("{name}/key-1") } else { name.to_string() };
        }
        let from = match is_new {
            true if draw.one_in(2) => From::Latest,
            true => From::Earliest,
            false => From::Cursors(follower.cursors()),
        };
        let Ok(filter) = Filter::parse(&follower.filter) else { return Ok(()) };
        let outlet = Outlet::new(draw.seed(), self.sabotage);
        let (latest_first, exclude_own, connection) = (false, false, None);
        let shaping = None;
        let follow =
            Follow { tag: TAG, filter, from, latest_first, exclude_own, connection, shaping };
        if !self.is_quiet()? {
            return Ok(());
        }
        let sink = outlet.clone();
        let call = async move { node.follow(&identity, follow, SHARD, sink).await };
        let subscription = match self.answer(Box::pin(call))? {
            None => return Ok(()),
            Some(Err(refusal)) => return self.hub_trouble("a follower is refused", &refusal),
            Some(Ok(subscription)) => subscription,
        };
        let starts: Vec<(Place, u64)> =
            subscription.start.iter().map(|at| ((at.topic, at.partition), at.next)).collect();
        self.trace.line(format!("  {who} follows from {starts:?}"));
        if is_new {
            self.tell(&Event::Following { who, key: key.as_ref(), starts: &starts })?;
        }
        let Some(desk) = &mut self.desk else { return Ok(()) };
        let follower = desk.followers.entry(who).or_default();
        if is_new {
            follower.start = Some(subscription.cursor.clone());
        }
        follower.connected = Some((outlet, subscription));
        Ok(())
    }

    pub(super) fn leave(&mut self, who: u64) -> Outcome {
        if let Some(follower) = self.desk.as_mut().and_then(|desk| desk.followers.get_mut(&who)) {
            follower.disconnect();
        }
        Ok(())
    }

    pub(super) fn take_from(&mut self, who: u64, count: usize) -> Outcome {
        let follower = self.desk.as_ref().and_then(|desk| desk.followers.get(&who));
        let Some((outlet, _)) = follower.and_then(|it| it.connected.as_ref()) else {
            return Ok(());
        };
        for taken in outlet.take(count) {
            match taken {
                Taken::Delivery(delivery) => self.given(who, &delivery)?,
                Taken::CaughtUp => self.trace.line(format!("  {who} has caught up")),
                Taken::Undone { place, lost } => {
                    self.trace
                        .line(format!("  {who} is told that {lost:?} of {place:?} is no more"));
                    self.tell(&Event::Undone { who, place, lost })?;
                }
                Taken::Wrong(why) => {
                    self.tell(&Event::FollowerLost { who, why: &why, has_excuse: false })?;
                }
                Taken::Ended(why) => {
                    self.look_at_faults();
                    let has_excuse = self.has_excuse || self.may_be_damaged || self.has_failed;
                    self.trace.line(format!("  {who} follows no more: {why}"));
                    self.tell(&Event::FollowerLost { who, why: &why, has_excuse })?;
                    return self.leave(who);
                }
            }
        }
        Ok(())
    }

    fn given(&mut self, who: u64, delivery: &Delivery) -> Outcome {
        let (place, seen) = seen_of(delivery);
        self.trace.line(format!("  {who} is given {place:?} {}", seen.offset));
        self.tell(&Event::Followed { who, place, seen: &seen })?;
        let cursor = delivery.cursor();
        if let Some(follower) = self.desk.as_mut().and_then(|desk| desk.followers.get_mut(&who)) {
            follower.cursors.insert(place, cursor);
        }
        Ok(())
    }

    /// A hub that shows what is not stored yet.
    pub(super) fn tell_early(&mut self, place: Place, numbers: &[u64]) -> Outcome {
        if self.sabotage != Sabotage::TellsEarly || self.may_be_damaged {
            return Ok(());
        }
        let (Some(&number), Some(bounds)) = (numbers.first(), self.bounds(place)) else {
            return Ok(());
        };
        let spec = self.machine.spec(place.0);
        if spec.is_none_or(|spec| spec.config.durability != Durability::Durable) {
            return Ok(());
        }
        let Some(made) = self.book.get(number) else { return Ok(()) };
        let time = made.record.timestamp.unwrap_or(made.at);
        let seen = Seen::new(bounds.end, time, made.record.clone());
        let Some(desk) = &self.desk else { return Ok(()) };
        let takes = |who: u64| desk.topic(who).is_some_and(|(_, topic)| topic == place.0);
        let followers = desk.followers.iter().filter(|(_, it)| it.connected.is_some());
        let told: Vec<u64> = followers.map(|(who, _)| *who).filter(|who| takes(*who)).collect();
        for who in told.into_iter().filter(|who| who % 2 == 0) {
            self.tell(&Event::Followed { who, place, seen: &seen })?;
        }
        Ok(())
    }

    pub(super) fn finish_following(&mut self) -> Outcome {
        let all: Vec<u64> =
            self.desk.iter().flat_map(|desk| desk.followers.keys().copied()).collect();
        for who in &all {
            self.follow(*who, *who)?;
        }
        for _ in 0..ROUNDS_MAX {
            let before = self.trace.digest();
            let has_turned = self.turn(64);
            for who in &all {
                self.take_from(*who, usize::MAX)?;
            }
            if !has_turned && self.trace.digest() == before {
                break;
            }
        }
        for who in all {
            let desk = self.desk.as_ref();
            let follower = desk.and_then(|desk| desk.followers.get(&who));
            if follower.is_some_and(|it| it.connected.is_some()) {
                self.tell(&Event::HasEverything { who })?;
            }
        }
        Ok(())
    }
}
