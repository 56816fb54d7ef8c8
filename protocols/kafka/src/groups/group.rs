//! One consumer group of the classic kind: who belongs to it, and the rounds in which members agree
//! who reads what (Kafka's group membership protocol, with KIP-345 and KIP-394). A state machine:
//! calls and times in, answers to those who wait out. It knows no clock and no log.

use super::member::{Candidate, Joined, Member, Synced};
use crate::errors;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes that one member may say of itself, or be assigned.
const MEMBER_BYTES_MAX: usize = 1024 * 1024;
/// A client that was told its name and did not come back is forgotten.
const PENDING_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Empty,
    /// Members join; the round ends when all have, or it takes too long.
    PreparingRebalance,
    /// The leader works out who gets what.
    CompletingRebalance,
    Stable,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// The settings that bound a group.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub members_max: usize,
    pub session_min: Duration,
    pub session_max: Duration,
    pub first_wait: Duration,
    /// After which a member of a coordinated group is given up.
    pub consumer_session: Duration,
}

pub struct Group {
    pub state: State,
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    pub members: BTreeMap<String, Member>,
    /// Static members by their lasting names.
    instances: BTreeMap<String, String>,
    /// Names that were given out, until when they are good for.
    pending: BTreeMap<String, Duration>,
    /// When the round under way ends for those who did not come.
    deadline: Duration,
    terms: Terms,
    /// Rounds that were completed, for the metric.
    pub rounds: u64,
}

impl Group {
    pub fn new(terms: Terms) -> Group {
        Group {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            deadline: Duration::ZERO,
            terms,
            rounds: 0,
        }
    }

    /// When `turn` has something to do, whatever is called meanwhile.
    pub fn next_due(&self) -> Option<Duration> {
        let round = (self.state == State::PreparingRebalance).then_some(self.deadline);
        let sync = (self.state == State::CompletingRebalance).then_some(self.deadline);
        let quiet = self.members.values().filter(|member| !member.is_waiting());
        let session = quiet.map(|member| member.expires).min();
        [round, sync, session].into_iter().flatten().min()
    }

    /// Gives up whoever was not heard of in time, and ends a round that takes too long.
    pub fn turn(&mut self, now: Duration) {
        self.pending.retain(|_, until| *until > now);
        for member in self.members.values_mut().filter(|member| member.is_waiting()) {
            // It is us who let it wait.
            member.expires = member.expires.max(now + member.session);
        }
        let is_lost = |member: &Member| !member.is_waiting() && member.expires <= now;
        let lost: Vec<String> =
            self.members.iter().filter(|(_, it)| is_lost(it)).map(|(id, _)| id.clone()).collect();
        for id in lost {
            self.remove(&id, now);
        }
        if self.state == State::PreparingRebalance && self.deadline <= now {
            self.drop_absent();
            self.complete_join(now);
        }
        if self.state == State::CompletingRebalance && self.deadline <= now {
            // The leader, or others, did not come for their parts.
            let absent: Vec<String> = self
                .members
                .iter()
                .filter(|(_, member)| member.syncing.is_none())
                .map(|(id, _)| id.clone())
                .collect();
            for id in absent {
                self.remove(&id, now);
            }
            self.prepare(now);
        }
    }

    /// `fresh` is a name for who has none. Answers by the receiver, now or when the round is over.
    pub fn join(
        &mut self,
        candidate: Candidate,
        fresh: impl FnOnce() -> String,
        now: Duration,
    ) -> oneshot::Receiver<Joined> {
        let (reply, answer) = oneshot::channel();
        self.turn(now);
        if let Err(failed) = self.admit(candidate, fresh, reply, now) {
            let (reply, joined) = *failed;
            let _ = reply.send(joined);
        }
        self.end_round_if_all_joined(now);
        answer
    }

    fn admit(
        &mut self,
        mut candidate: Candidate,
        fresh: impl FnOnce() -> String,
        reply: oneshot::Sender<Joined>,
        now: Duration,
    ) -> Result<(), Box<(oneshot::Sender<Joined>, Joined)>> {
        let fail = |reply, error, id: &str| Err(Box::new((reply, Joined::failed(error, id))));
        if let Err(error) = self.check(&candidate) {
            return fail(reply, error, &candidate.member);
        }
        let known = candidate.instance.as_ref().and_then(|it| self.instances.get(it)).cloned();
        if candidate.member.is_empty() {
            if let Some(before) = known {
                return self.replace(&before, candidate, fresh(), reply, now);
            }
            if self.members.len() >= self.terms.members_max {
                return fail(reply, errors::GROUP_MAX_SIZE_REACHED, "");
            }
            let id = fresh();
            if candidate.takes_name_first && candidate.instance.is_none() {
                if self.pending.len() >= PENDING_MAX {
                    self.pending.pop_first();
                }
                self.pending.insert(id.clone(), now + candidate.session);
                return fail(reply, errors::MEMBER_ID_REQUIRED, &id);
            }
            candidate.member = id;
            self.add(candidate, reply, now);
            return Ok(());
        }
        if let Some(before) = known
            && before != candidate.member
        {
            return fail(reply, errors::FENCED_INSTANCE_ID, &candidate.member);
        }
        if self.pending.remove(&candidate.member).is_some() {
            if self.members.len() >= self.terms.members_max {
                return fail(reply, errors::GROUP_MAX_SIZE_REACHED, &candidate.member);
            }
            self.add(candidate, reply, now);
            return Ok(());
        }
        if !self.members.contains_key(&candidate.member) {
            return fail(reply, errors::UNKNOWN_MEMBER_ID, &candidate.member);
        }
        self.rejoin(candidate, reply, now);
        Ok(())
    }

    fn check(&self, candidate: &Candidate) -> Result<(), i16> {
        if !(self.terms.session_min..=self.terms.session_max).contains(&candidate.session) {
            return Err(errors::INVALID_SESSION_TIMEOUT);
        }
        let bytes: usize = candidate.protocols.iter().map(|(_, metadata)| metadata.len()).sum();
        if candidate.protocols.is_empty() || bytes > MEMBER_BYTES_MAX {
            return Err(errors::INCONSISTENT_GROUP_PROTOCOL);
        }
        let others: Vec<&Member> = self
            .members
            .iter()
            .filter(|(id, _)| **id != candidate.member)
            .map(|(_, member)| member)
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let is_common = |name: &str| {
            others.iter().all(|other| other.protocols.iter().any(|(theirs, _)| theirs == name))
        };
        let fits = candidate.protocol_type == self.protocol_type
            && candidate.protocols.iter().any(|(name, _)| is_common(name));
        if fits { Ok(()) } else { Err(errors::INCONSISTENT_GROUP_PROTOCOL) }
    }

    fn add(&mut self, candidate: Candidate, reply: oneshot::Sender<Joined>, now: Duration) {
        if let Some(instance) = &candidate.instance {
            self.instances.insert(instance.clone(), candidate.member.clone());
        }
        let is_first = self.members.is_empty();
        if is_first {
            self.protocol_type = candidate.protocol_type;
            self.leader = candidate.member.clone();
        }
        let member = Member {
            instance: candidate.instance,
            client_id: candidate.client_id,
            client_host: candidate.client_host,
            session: candidate.session,
            rebalance: candidate.rebalance,
            protocols: candidate.protocols,
            assignment: Bytes::new(),
            expires: now + candidate.session,
            joining: Some(reply),
            syncing: None,
        };
        self.members.insert(candidate.member, member);
        if self.state == State::PreparingRebalance && !is_first {
            return;
        }
        let was_empty = self.state == State::Empty;
        self.prepare(now);
        if was_empty {
            self.deadline = now + self.terms.first_wait;
        }
    }

    fn rejoin(&mut self, candidate: Candidate, reply: oneshot::Sender<Joined>, now: Duration) {
        let Some(member) = self.members.get_mut(&candidate.member) else { return };
        let is_same = member.protocols == candidate.protocols;
        member.session = candidate.session;
        member.rebalance = candidate.rebalance;
        member.expires = now + candidate.session;
        member.protocols = candidate.protocols;
        let is_leader = self.leader == candidate.member;
        match self.state {
            // Its answer was lost: it is told again, and nobody else is disturbed.
            State::CompletingRebalance if is_same => {
                let _ = reply.send(self.joined(&candidate.member));
            }
            State::Stable if is_same && !is_leader => {
                let _ = reply.send(self.joined(&candidate.member));
            }
            _ => {
                member.joining = Some(reply);
                if self.state != State::PreparingRebalance {
                    self.prepare(now);
                }
            }
        }
    }

    /// A static member came back without its name: it takes its own place under a new one.
    fn replace(
        &mut self,
        before: &str,
        candidate: Candidate,
        id: String,
        reply: oneshot::Sender<Joined>,
        now: Duration,
    ) -> Result<(), Box<(oneshot::Sender<Joined>, Joined)>> {
        let Some(mut member) = self.members.remove(before) else {
            let failed = Joined::failed(errors::UNKNOWN_MEMBER_ID, before);
            return Err(Box::new((reply, failed)));
        };
        if let Some(joining) = member.joining.take() {
            let _ = joining.send(Joined::failed(errors::FENCED_INSTANCE_ID, before));
        }
        if let Some(syncing) = member.syncing.take() {
            let _ = syncing.send(Synced::failed(errors::FENCED_INSTANCE_ID));
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        let was_leader = self.leader == before;
        if was_leader {
            self.leader = id.clone();
        }
        let is_same = member.protocols == candidate.protocols;
        member.session = candidate.session;
        member.rebalance = candidate.rebalance;
        member.protocols = candidate.protocols;
        member.expires = now + candidate.session;
        let is_settled = self.state == State::Stable && is_same;
        if !is_settled {
            member.joining = Some(reply);
            self.members.insert(id, member);
            if self.state != State::PreparingRebalance {
                self.prepare(now);
            }
            return Ok(());
        }
        self.members.insert(id.clone(), member);
        let mut joined = self.joined(&id);
        joined.skip_assignment = was_leader;
        let _ = reply.send(joined);
        Ok(())
    }

    /// Begins a round: everybody is to join again.
    fn prepare(&mut self, now: Duration) {
        if self.members.is_empty() {
            return self.empty();
        }
        for member in self.members.values_mut() {
            if let Some(syncing) = member.syncing.take() {
                let _ = syncing.send(Synced::failed(errors::REBALANCE_IN_PROGRESS));
                member.expires = now + member.session;
            }
        }
        self.state = State::PreparingRebalance;
        let longest = self.members.values().map(|member| member.rebalance).max();
        self.deadline = now + longest.unwrap_or_default();
        self.end_round_if_all_joined(now);
    }

    fn empty(&mut self) {
        if self.state != State::Empty {
            self.generation = self.generation.wrapping_add(1).max(1);
        }
        self.state = State::Empty;
        self.protocol.clear();
        self.leader.clear();
    }

    fn end_round_if_all_joined(&mut self, now: Duration) {
        let has_all = self.members.values().all(|member| member.joining.is_some());
        // The first round waits for those who start at the same time.
        let is_first_wait = self.protocol.is_empty() && now < self.deadline;
        if self.state == State::PreparingRebalance && has_all && !is_first_wait {
            self.complete_join(now);
        }
    }

    /// Members that did not come to the round are members no more; static ones keep their place.
    fn drop_absent(&mut self) {
        let absent = |member: &Member| member.joining.is_none() && member.instance.is_none();
        let gone: Vec<String> =
            self.members.iter().filter(|(_, it)| absent(it)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.members.remove(&id);
        }
    }

    fn complete_join(&mut self, now: Duration) {
        if self.members.values().all(|member| member.joining.is_none()) {
            self.members.clear();
            self.instances.clear();
            return self.empty();
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        self.rounds += 1;
        let is_here = |member: &Member| member.joining.is_some();
        if !self.members.get(&self.leader).is_some_and(is_here) {
            let next = self.members.iter().find(|(_, member)| is_here(member));
            self.leader = next.map(|(id, _)| id.clone()).unwrap_or_default();
        }
        self.protocol = self.elect();
        self.state = State::CompletingRebalance;
        let longest = self.members.values().map(|member| member.rebalance).max();
        self.deadline = now + longest.unwrap_or_default();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = Bytes::new();
                if let Some(joining) = member.joining.take() {
                    member.expires = now + member.session;
                    let _ = joining.send(joined);
                }
            }
        }
    }

    /// The protocol that all have and most prefer.
    fn elect(&self) -> String {
        let is_common = |name: &str| {
            self.members.values().all(|it| it.protocols.iter().any(|(theirs, _)| theirs == name))
        };
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().map(|(name, _)| &**name).find(|it| is_common(it));
            *votes.entry(vote.unwrap_or_default()).or_default() += 1;
        }
        let elected = votes.into_iter().max_by_key(|(_, count)| *count);
        elected.map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn joined(&self, id: &str) -> Joined {
        let members = if id == self.leader {
            let all = self.members.iter();
            all.map(|(id, it)| (id.clone(), it.instance.clone(), it.metadata(&self.protocol)))
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            error: errors::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: id.to_owned(),
            members,
            skip_assignment: false,
        }
    }

    /// Who calls, in the generation it believes to be in.
    pub fn check_member(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), i16> {
        if let Some(known) = instance.and_then(|instance| self.instances.get(instance))
            && known != id
        {
            return Err(errors::FENCED_INSTANCE_ID);
        }
        if !self.members.contains_key(id) {
            return Err(errors::UNKNOWN_MEMBER_ID);
        }
        if generation != self.generation {
            return Err(errors::ILLEGAL_GENERATION);
        }
        Ok(())
    }

    pub fn sync(
        &mut self,
        (id, instance, generation): (&str, Option<&str>, i32),
        protocol: (Option<&str>, Option<&str>),
        assignments: Vec<(String, Bytes)>,
        now: Duration,
    ) -> oneshot::Receiver<Synced> {
        let (reply, answer) = oneshot::channel();
        self.turn(now);
        let fail = |reply: oneshot::Sender<Synced>, error| {
            let _ = reply.send(Synced::failed(error));
        };
        if let Err(error) = self.check_member(id, instance, generation) {
            fail(reply, error);
            return answer;
        }
        let is_other = protocol.0.is_some_and(|kind| kind != self.protocol_type)
            || protocol.1.is_some_and(|name| name != self.protocol);
        if is_other {
            fail(reply, errors::INCONSISTENT_GROUP_PROTOCOL);
            return answer;
        }
        if let Some(member) = self.members.get_mut(id) {
            member.expires = now + member.session;
        }
        match self.state {
            State::Empty => fail(reply, errors::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance => fail(reply, errors::REBALANCE_IN_PROGRESS),
            State::Stable => {
                let _ = reply.send(self.synced(id));
            }
            State::CompletingRebalance => {
                if let Some(member) = self.members.get_mut(id) {
                    member.syncing = Some(reply);
                }
                if id == self.leader {
                    self.settle(assignments, now);
                }
            }
        }
        answer
    }

    fn settle(&mut self, assignments: Vec<(String, Bytes)>, now: Duration) {
        for (id, assignment) in assignments {
            if assignment.len() <= MEMBER_BYTES_MAX
                && let Some(member) = self.members.get_mut(&id)
            {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let synced = self.synced(&id);
            if let Some(member) = self.members.get_mut(&id)
                && let Some(syncing) = member.syncing.take()
            {
                member.expires = now + member.session;
                let _ = syncing.send(synced);
            }
        }
    }

    fn synced(&self, id: &str) -> Synced {
        Synced {
            error: errors::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|it| it.assignment.clone()).unwrap_or_default(),
        }
    }

    pub fn heartbeat(
        &mut self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Duration,
    ) -> i16 {
        self.turn(now);
        if let Err(error) = self.check_member(id, instance, generation) {
            return error;
        }
        if let Some(member) = self.members.get_mut(id) {
            member.expires = now + member.session;
        }
        match self.state {
            State::Empty => errors::UNKNOWN_MEMBER_ID,
            State::PreparingRebalance => errors::REBALANCE_IN_PROGRESS,
            State::CompletingRebalance | State::Stable => errors::NONE,
        }
    }

    pub fn leave(&mut self, id: &str, instance: Option<&str>, now: Duration) -> i16 {
        self.turn(now);
        let id = match instance.and_then(|instance| self.instances.get(instance)) {
            Some(known) if id.is_empty() || known == id => known.clone(),
            Some(_) => return errors::FENCED_INSTANCE_ID,
            None => id.to_owned(),
        };
        if self.pending.remove(&id).is_some() {
            return errors::NONE;
        }
        if !self.members.contains_key(&id) {
            return errors::UNKNOWN_MEMBER_ID;
        }
        self.remove(&id, now);
        errors::NONE
    }

    fn remove(&mut self, id: &str, now: Duration) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if let Some(joining) = member.joining {
            let _ = joining.send(Joined::failed(errors::UNKNOWN_MEMBER_ID, id));
        }
        if let Some(syncing) = member.syncing {
            let _ = syncing.send(Synced::failed(errors::UNKNOWN_MEMBER_ID));
        }
        match self.state {
            State::Empty => {}
            State::Stable | State::CompletingRebalance => self.prepare(now),
            State::PreparingRebalance if self.members.is_empty() => self.empty(),
            State::PreparingRebalance => self.end_round_if_all_joined(now),
        }
    }

    /// Nobody is in it, and nobody is about to come.
    pub fn is_unused(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Whether somebody who is no member may set offsets: tools, and readers without a group.
    pub fn may_commit_from_outside(&self) -> bool {
        self.state == State::Empty
    }
}
