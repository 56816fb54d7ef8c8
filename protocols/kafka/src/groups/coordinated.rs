//! One consumer group whose partitions the coordinator gives out itself (KIP-848): members say what
//! they are subscribed to and hear what is theirs, each at its own pace. A state machine: calls and
//! times in, answers out. It knows no clock, no log and no rights.

use super::assign::{Assignor, Part, Parts, Subscriber, assign};
use super::group::Terms;
use super::reconcile::{Participant, Progress, Subscribed};
use crate::errors;
use std::collections::BTreeMap;
use std::time::Duration;
use types::TopicId;

/// What a member's epoch says when it is none (KIP-848).
pub const JOIN: i32 = 0;
#[cfg(test)]
pub const LEAVE: i32 = -1;
/// A static member goes, and will be back.
pub const LEAVE_FOR_NOW: i32 = -2;

/// Which topics a member's words stand for is looked up again after so long.
const NAMES_LOOKED_UP_EVERY: Duration = Duration::from_secs(5);
/// The same for an expression, for which all topics are looked at.
const REGEX_LOOKED_UP_EVERY: Duration = Duration::from_secs(60);

/// What a client says. `None`: as before.
#[derive(Debug, Clone, Default)]
pub struct Beat {
    pub member: String,
    pub epoch: i32,
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance: Option<Duration>,
    pub names: Option<Vec<String>>,
    /// Empty when it has none any more.
    pub regex: Option<String>,
    pub assignor: Option<Assignor>,
    pub owned: Option<Parts>,
    /// What its subscription stands for, when that was looked up now.
    pub topics: Option<Vec<Subscribed>>,
}

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub member: String,
    pub epoch: i32,
    /// Absent: as before.
    pub assigned: Option<Parts>,
}

/// A member's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub names: Vec<String>,
    pub regex: Option<String>,
}

type Outcome<T> = Result<T, (i16, &'static str)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Empty,
    /// The target is older than the subscriptions.
    Assigning,
    /// Members are on their way to the target.
    Reconciling,
    Stable,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Stage::Empty => "Empty",
            Stage::Assigning => "Assigning",
            Stage::Reconciling => "Reconciling",
            Stage::Stable => "Stable",
        }
    }
}

pub struct Coordinated {
    /// Rises with every change of who is subscribed to what.
    pub epoch: i32,
    pub target_epoch: i32,
    pub members: BTreeMap<String, Participant>,
    pub targets: BTreeMap<String, Parts>,
    pub assignor: Assignor,
    /// Static members by their lasting names.
    instances: BTreeMap<String, String>,
    /// Who holds what, to give it to nobody else.
    holders: BTreeMap<Part, String>,
    terms: Terms,
    /// Targets worked out, for the metric.
    pub rounds: u64,
}

impl Coordinated {
    pub fn new(terms: Terms) -> Coordinated {
        Coordinated {
            epoch: 0,
            target_epoch: 0,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            assignor: Assignor::Uniform,
            instances: BTreeMap::new(),
            holders: BTreeMap::new(),
            terms,
            rounds: 0,
        }
    }

    pub fn stage(&self) -> Stage {
        let is_settled = |member: &Participant| {
            member.progress == Progress::Settled && member.epoch == self.target_epoch
        };
        if self.members.is_empty() {
            Stage::Empty
        } else if self.epoch > self.target_epoch {
            Stage::Assigning
        } else if self.members.values().all(is_settled) {
            Stage::Stable
        } else {
            Stage::Reconciling
        }
    }

    /// The words of the member, if it is time to look up what they stand for.
    pub fn to_look_up(&self, beat: &Beat, now: Duration) -> Option<Subscription> {
        let before = beat.instance.as_ref().and_then(|name| self.instances.get(name));
        let known = self.members.get(&beat.member).or_else(|| self.members.get(before?));
        let names = beat.names.clone().or_else(|| known.map(|it| it.names.clone()));
        let regex = match &beat.regex {
            Some(regex) => Some(regex.clone()).filter(|regex| !regex.is_empty()),
            None => known.and_then(|it| it.regex.clone()),
        };
        let every = match regex {
            Some(_) => REGEX_LOOKED_UP_EVERY,
            None => NAMES_LOOKED_UP_EVERY,
        };
        let is_other = |it: &Participant| names.as_ref() != Some(&it.names) || regex != it.regex;
        let is_new = beat.epoch == JOIN || known.is_none_or(is_other);
        let at = known.and_then(|it| it.looked_up);
        let is_due = is_new || at.is_none_or(|at| at + every <= now);
        is_due.then(|| Subscription { names: names.unwrap_or_default(), regex })
    }

    /// Gives up whoever was not heard of in time, or does not give up what it is to.
    pub fn turn(&mut self, now: Duration) {
        let is_lost = |it: &Participant| {
            it.expires <= now || it.revoke_by.is_some_and(|revoke_by| revoke_by <= now)
        };
        let lost: Vec<String> =
            self.members.iter().filter(|(_, it)| is_lost(it)).map(|(id, _)| id.clone()).collect();
        lost.iter().for_each(|id| self.remove(id));
    }

    /// `fresh` is a name for who has none.
    pub fn beat(
        &mut self,
        mut beat: Beat,
        fresh: impl FnOnce() -> String,
        now: Duration,
    ) -> Outcome<Told> {
        self.turn(now);
        if beat.epoch < JOIN {
            return self.leave(&beat);
        }
        if beat.member.is_empty() {
            beat.member = fresh();
        }
        let is_full = beat.rebalance.is_some()
            && (beat.names.is_some() || beat.regex.is_some())
            && beat.owned.is_some();
        let is_join = beat.epoch == JOIN;
        let is_new = self.admit(&beat)?;
        let (id, owned) = (beat.member.clone(), beat.owned.take());
        if self.update(beat, now) || is_new {
            self.epoch = self.epoch.saturating_add(1);
        }
        if self.epoch > self.target_epoch {
            self.work_out();
        }
        let before = self.members.get(&id).map(|it| it.assigned.clone());
        self.reconcile(&id, owned.as_ref(), now);
        let Some(member) = self.members.get(&id) else {
            return Err((errors::UNKNOWN_MEMBER_ID, "the member is gone"));
        };
        // Whoever says that it has something else may have missed an answer.
        let is_other = owned.as_ref().is_some_and(|owned| *owned != member.assigned);
        let is_told = is_join || is_full || is_other || before.as_ref() != Some(&member.assigned);
        let assigned = is_told.then(|| member.assigned.clone());
        Ok(Told { member: id, epoch: member.epoch, assigned })
    }

    /// Finds the member or makes it; answers whether the group has changed by that.
    fn admit(&mut self, beat: &Beat) -> Outcome<bool> {
        let before = beat.instance.as_ref().and_then(|name| self.instances.get(name)).cloned();
        if let Some(before) = &before
            && *before != beat.member
        {
            return match beat.epoch {
                JOIN => self.replace(before, beat),
                _ => Err((errors::FENCED_INSTANCE_ID, "another member has this lasting name")),
            };
        }
        if let Some(member) = self.members.get_mut(&beat.member) {
            if beat.epoch == JOIN {
                // It forgot, or gave up, all it had.
                let gone: Parts = member.held().collect();
                member.restart();
                gone.iter().for_each(|part| drop(self.holders.remove(part)));
                return Ok(false);
            }
            return check_epoch(member, beat).map(|()| false);
        }
        if beat.epoch != JOIN {
            return Err((errors::UNKNOWN_MEMBER_ID, "there is no such member"));
        }
        if self.members.len() >= self.terms.members_max {
            return Err((
                errors::GROUP_MAX_SIZE_REACHED,
                "the group has as many members as it may",
            ));
        }
        self.members.insert(beat.member.clone(), Participant::new());
        if let Some(instance) = &beat.instance {
            self.instances.insert(instance.clone(), beat.member.clone());
        }
        Ok(true)
    }

    /// A static member that left for now comes back under a new name, to what it had.
    fn replace(&mut self, before: &str, beat: &Beat) -> Outcome<bool> {
        let has_left = self.members.get(before).is_some_and(|it| it.epoch == LEAVE_FOR_NOW);
        if !has_left {
            let message = "the member with this lasting name has not left";
            return Err((errors::UNRELEASED_INSTANCE_ID, message));
        }
        // Whatever it was under the name it comes with, it is not any more.
        self.remove(&beat.member);
        let Some(mut member) = self.members.remove(before) else { return Ok(false) };
        member.held().for_each(|part| drop(self.holders.remove(&part)));
        member.restart();
        if let Some(target) = self.targets.remove(before) {
            self.targets.insert(beat.member.clone(), target);
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), beat.member.clone());
        }
        self.members.insert(beat.member.clone(), member);
        Ok(false)
    }

    /// Takes over what the member says of itself; answers whether it is subscribed to something
    /// else now, or wants another assignor.
    fn update(&mut self, beat: Beat, now: Duration) -> bool {
        let session = self.terms.consumer_session;
        let Some(member) = self.members.get_mut(&beat.member) else { return false };
        member.expires = now + session;
        (member.client_id, member.client_host) = (beat.client_id, beat.client_host);
        if let Some(instance) = beat.instance.filter(|it| member.instance.as_ref() != Some(it)) {
            // Also of one that says its lasting name after it has joined: nobody else has it.
            let before = member.instance.replace(instance.clone());
            before.iter().for_each(|before| drop(self.instances.remove(before)));
            self.instances.insert(instance, beat.member.clone());
        }
        member.rack = beat.rack.or(member.rack.take());
        member.rebalance = beat.rebalance.unwrap_or(member.rebalance);
        let mut has_changed = false;
        if let Some(names) = beat.names {
            has_changed |= names != member.names;
            member.names = names;
        }
        if let Some(regex) = beat.regex {
            let regex = Some(regex).filter(|regex| !regex.is_empty());
            has_changed |= regex != member.regex;
            member.regex = regex;
        }
        if let Some(assignor) = beat.assignor {
            has_changed |= member.assignor != Some(assignor);
            member.assignor = Some(assignor);
        }
        if let Some(topics) = beat.topics {
            let topics = topics.into_iter().map(|topic| (topic.id, topic)).collect();
            has_changed |= topics != member.topics;
            member.topics = topics;
            member.looked_up = Some(now);
        }
        has_changed
    }

    /// Works out who is to have what.
    fn work_out(&mut self) {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        let mut counts: BTreeMap<TopicId, u32> = BTreeMap::new();
        let mut subscribers = BTreeMap::new();
        for (id, member) in &self.members {
            if let Some(assignor) = member.assignor {
                *votes.entry(assignor).or_default() += 1;
            }
            for topic in member.topics.values() {
                let count = counts.entry(topic.id).or_default();
                *count = topic.partitions.max(*count);
            }
            let subscriber = Subscriber {
                order: member.instance.clone().unwrap_or_else(|| id.clone()),
                topics: member.topics.keys().copied().collect(),
                had: self.targets.get(id).cloned().unwrap_or_default(),
            };
            subscribers.insert(id.clone(), subscriber);
        }
        // Of those that most want, the first.
        let most = votes.values().max().copied();
        let wanted = votes.iter().find(|(_, count)| Some(**count) == most);
        self.assignor = wanted.map_or(Assignor::Uniform, |(assignor, _)| *assignor);
        self.targets = assign(self.assignor, &subscribers, &counts);
        self.target_epoch = self.epoch;
        self.rounds += 1;
    }

    fn reconcile(&mut self, id: &str, owned: Option<&Parts>, now: Duration) {
        let nothing = Parts::new();
        let target = self.targets.get(id).unwrap_or(&nothing);
        let Some(member) = self.members.get_mut(id) else { return };
        let held: Parts = member.held().collect();
        let holders = &self.holders;
        let is_free = |part: &Part| holders.get(part).is_none_or(|holder| holder == id);
        member.reconcile((self.target_epoch, target), owned, is_free, now);
        let holds: Parts = member.held().collect();
        held.difference(&holds).for_each(|part| drop(self.holders.remove(part)));
        for part in holds.difference(&held) {
            self.holders.insert(*part, id.to_owned());
        }
    }

    fn leave(&mut self, beat: &Beat) -> Outcome<Told> {
        let unknown = (errors::UNKNOWN_MEMBER_ID, "there is no such member");
        if let Some(instance) = &beat.instance {
            let known = self.instances.get(instance).ok_or(unknown)?;
            if *known != beat.member {
                let message = "another member has this lasting name";
                return Err((errors::FENCED_INSTANCE_ID, message));
            }
        }
        let member = self.members.get_mut(&beat.member).ok_or(unknown)?;
        if beat.epoch == LEAVE_FOR_NOW && member.instance.is_some() {
            member.epoch = LEAVE_FOR_NOW;
            member.revoke_by = None;
        } else {
            self.remove(&beat.member);
        }
        Ok(Told { member: beat.member.clone(), epoch: beat.epoch, assigned: None })
    }

    fn remove(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        member.held().for_each(|part| drop(self.holders.remove(&part)));
        if let Some(instance) = &member.instance
            && self.instances.get(instance).is_some_and(|holder| holder == id)
        {
            self.instances.remove(instance);
        }
        self.targets.remove(id);
        self.epoch = self.epoch.saturating_add(1);
        if self.members.is_empty() {
            self.target_epoch = self.epoch;
        }
    }

    /// Who commits or asks, at the epoch it believes to be in.
    pub fn check_member(&self, id: &str, epoch: i32) -> Result<(), i16> {
        match self.members.get(id) {
            None => Err(errors::UNKNOWN_MEMBER_ID),
            Some(member) if member.epoch != epoch => Err(errors::STALE_MEMBER_EPOCH),
            Some(_) => Ok(()),
        }
    }
}

/// A member is in its epoch, or in the one before because our answer was lost; then it has nothing
/// that it was not given.
fn check_epoch(member: &Participant, beat: &Beat) -> Outcome<()> {
    let fenced = (errors::FENCED_MEMBER_EPOCH, "the member's epoch is not this");
    if beat.epoch == member.epoch {
        return Ok(());
    }
    let owns_given = beat.owned.as_ref().is_some_and(|owned| owned.is_subset(&member.assigned));
    let is_before = beat.epoch == member.epoch_before && owns_given;
    if is_before { Ok(()) } else { Err(fenced) }
}
