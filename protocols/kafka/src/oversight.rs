//! Groups as administrators see and change them from outside of the protocol: which there are, who
//! reads what, how far behind; forgotten or put elsewhere while nobody is in them.

use crate::call::{Call, Desk};
use crate::config::{Endpoint, SecurityAccess};
use crate::errors;
use crate::groups::{At, Both, Committed, Slot, number};
use crate::sign_in::Means;
use port::{
    Answer, Code, Doing, GroupCaller, GroupLag, GroupMember, GroupMove, GroupPartition, GroupReset,
    GroupState, GroupSummary, Kind, Refusal, TopicInfo,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::consumer::Start;
use types::{Operation, Partition, ProjectId, TopicId, TopicName};
use wire_kafka::assignments::{Assignment, PROTOCOL_TYPE, read};

/// The two kinds of groups, as KIP-848 calls them.
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";

pub struct Oversight(pub Arc<Desk>);

/// Who reads which partition.
type Readers = BTreeMap<At, String>;

impl Oversight {
    fn call(&self, caller: &GroupCaller) -> Call {
        Call {
            desk: Arc::clone(&self.0),
            hub: Arc::clone(&caller.hub),
            who: caller.who.clone(),
            means: Means::Credential,
            clock: Arc::clone(&caller.clock),
            version: 0,
            client_id: String::new(),
            client_host: String::new(),
            advertised: Endpoint { host: String::new(), port: 0 },
            security: SecurityAccess::None,
            turnstile: Arc::default(),
        }
    }
}

fn refusal(error: i16) -> Refusal {
    let busy = "the group has members";
    match error {
        errors::GROUP_ID_NOT_FOUND => Refusal::new(Code::NotFound, "there is no such group"),
        errors::NON_EMPTY_GROUP => Refusal::new(Code::Conflict, busy)
            .hint("stop its consumers, or wait until their sessions have ended"),
        errors::GROUP_AUTHORIZATION_FAILED => {
            Refusal::new(Code::InsufficientScope, "groups are not seen without the right to read")
        }
        errors::COORDINATOR_NOT_AVAILABLE => {
            Refusal::new(Code::Overloaded, "what is kept of groups cannot be read now")
        }
        other => Refusal::internal(&errors::name(other)),
    }
}

async fn find(call: &Call, name: &str, operation: Operation) -> Result<Arc<Slot>, Refusal> {
    let found = call.desk.groups.find(call, name, operation).await.map_err(refusal)?;
    found.ok_or_else(|| refusal(errors::GROUP_ID_NOT_FOUND))
}

fn summary(name: &str, both: &Both) -> GroupSummary {
    let (kind, assignor, members) = match both.is_coordinated {
        true => {
            let members = both.coordinated.members.len();
            let assignor = if members > 0 { both.coordinated.assignor.name() } else { "" };
            (CONSUMER, assignor.to_owned(), members)
        }
        false => (CLASSIC, both.classic.protocol.clone(), both.classic.members.len()),
    };
    GroupSummary { name: name.to_owned(), kind, state: both.state_name(), assignor, members }
}

fn members(both: &Both) -> (Vec<GroupMember>, Readers) {
    let (mut members, mut readers) = (Vec::new(), Readers::new());
    for (id, it) in &both.coordinated.members {
        members.push(GroupMember {
            id: id.clone(),
            instance: it.instance.clone(),
            client: it.client_id.clone(),
            address: shown_address(&it.client_host),
            partitions: it.assigned.len(),
        });
        for (topic, partition) in &it.assigned {
            if let Some(topic) = it.topics.get(topic) {
                let at = At { topic: topic.name.clone(), partition: *partition };
                readers.insert(at, id.clone());
            }
        }
    }
    for (id, it) in &both.classic.members {
        let mut count = 0;
        // Groups of other things than consumers have words of their own.
        if both.classic.protocol_type == PROTOCOL_TYPE
            && let Ok(assignment) = read::<Assignment>(&it.assignment)
        {
            for (topic, partition) in assignment.parts() {
                if let (Ok(topic), Ok(partition)) =
                    (TopicName::parse(&topic), Partition::try_from(partition))
                {
                    count += 1;
                    readers.insert(At { topic, partition }, id.clone());
                }
            }
        }
        members.push(GroupMember {
            id: id.clone(),
            instance: it.instance.clone(),
            client: it.client_id.clone(),
            address: shown_address(&it.client_host),
            partitions: count,
        });
    }
    (members, readers)
}

/// Kafka's tools show addresses behind a stroke.
fn shown_address(host: &str) -> String {
    host.trim_start_matches('/').to_owned()
}

/// The topic, unless it is gone.
async fn topic(call: &Call, name: &TopicName) -> Result<Option<TopicInfo>, Refusal> {
    match call.hub.topic(&call.who, name).await {
        Ok(info) => Ok(Some(info)),
        Err(refusal) if refusal.kind() == Kind::NotFound => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

async fn state(call: &Call, name: &str) -> Result<GroupState, Refusal> {
    let slot = find(call, name, Operation::Describe).await?;
    let (summary, (members, readers)) =
        slot.with_both(call, |both, _| (summary(name, both), members(both)));
    let known = slot.offsets.lock().await.all(call, name).await?.clone();
    let partitions = partitions(call, &known, &readers).await?;
    Ok(GroupState { summary, members, partitions })
}

async fn partitions(
    call: &Call,
    known: &BTreeMap<At, Committed>,
    readers: &Readers,
) -> Result<Vec<GroupPartition>, Refusal> {
    let topics: BTreeSet<&TopicName> =
        known.keys().chain(readers.keys()).map(|at| &at.topic).collect();
    let mut found = Vec::new();
    for name in topics {
        let Some(info) = topic(call, name).await? else { continue };
        for (partition, bounds) in (0..).zip(&info.partitions) {
            let at = At { topic: name.clone(), partition };
            // What was committed of a topic that was made anew since does not count.
            let committed = known.get(&at).filter(|it| it.is_of(info.id));
            let member = readers.get(&at).cloned();
            if committed.is_none() && member.is_none() {
                continue;
            }
            found.push(GroupPartition {
                topic: at.topic,
                partition,
                committed: committed.and_then(|it| u64::try_from(it.offset).ok()),
                committed_at: committed.map(|it| it.at_ms),
                start: bounds.start,
                end: bounds.end,
                member,
            });
        }
    }
    Ok(found)
}

/// What is to be put elsewhere: topics that are there, and their partitions.
async fn chosen(
    call: &Call,
    known: &BTreeMap<At, Committed>,
    reset: &GroupReset,
) -> Result<Vec<(TopicInfo, BTreeSet<Partition>)>, Refusal> {
    if let Some(name) = &reset.topic {
        let info = call.hub.topic(&call.who, name).await?;
        let count = info.partitions.len();
        let is_there = |partition: &Partition| (*partition as usize) < count;
        if let Some(index) = reset.partitions.iter().position(|it| !is_there(it)) {
            let message = format!("the topic has {count} partitions, counted from 0");
            return Err(
                Refusal::new(Code::InvalidRequest, message).field(format!("partitions[{index}]"))
            );
        }
        let partitions = match reset.partitions.is_empty() {
            true => (0..).take(count).collect(),
            false => reset.partitions.iter().copied().collect(),
        };
        return Ok(vec![(info, partitions)]);
    }
    if !reset.partitions.is_empty() {
        let message = "partitions are of a topic: name it";
        return Err(Refusal::new(Code::InvalidRequest, message).field("topic"));
    }
    let mut topics: BTreeMap<&TopicName, BTreeSet<Partition>> = BTreeMap::new();
    for at in known.keys() {
        topics.entry(&at.topic).or_default().insert(at.partition);
    }
    let mut found = Vec::new();
    for (name, partitions) in topics {
        if let Some(info) = topic(call, name).await? {
            found.push((info, partitions));
        }
    }
    Ok(found)
}

async fn moves(
    call: &Call,
    known: &BTreeMap<At, Committed>,
    reset: &GroupReset,
) -> Result<Vec<(TopicId, GroupMove)>, Refusal> {
    let mut moves = Vec::new();
    for (info, partitions) in chosen(call, known, reset).await? {
        for partition in partitions {
            let Some(bounds) = info.partitions.get(partition as usize) else { continue };
            let to = match reset.to {
                Start::Earliest => bounds.start,
                Start::Latest => bounds.end,
                Start::Offset(offset) => offset,
                Start::Time(time) => {
                    let batches = call.batches()?;
                    let found = batches.offset_at(&call.who, &info.name, partition, time).await?;
                    found.map_or(bounds.end, |(offset, _)| offset)
                }
            };
            let at = At { topic: info.name.clone(), partition };
            let before = known.get(&at).filter(|it| it.is_of(info.id));
            let step = GroupMove {
                topic: at.topic,
                partition,
                from: before.and_then(|it| u64::try_from(it.offset).ok()),
                to: to.clamp(bounds.start, bounds.end),
            };
            moves.push((info.id, step));
        }
    }
    Ok(moves)
}

async fn reset(
    call: &Call,
    name: &str,
    reset: &GroupReset,
    doing: Doing,
) -> Result<Vec<GroupMove>, Refusal> {
    let slot = find(call, name, Operation::Manage).await?;
    // Held to the end: whoever joins meanwhile finds what was written.
    let mut offsets = slot.offsets.lock().await;
    let is_free = slot
        .with_both(call, |both, _| !both.has_members() && both.classic.may_commit_from_outside());
    if !is_free {
        return Err(refusal(errors::NON_EMPTY_GROUP));
    }
    let moves = moves(call, offsets.all(call, name).await?, reset).await?;
    if doing == Doing::ForReal {
        let at_ms = call.clock.now_ms();
        let new = moves.iter().map(|(id, step)| {
            let at = At { topic: step.topic.clone(), partition: step.partition };
            let committed = Committed {
                offset: i64::try_from(step.to).unwrap_or(i64::MAX),
                leader_epoch: -1,
                metadata: String::new(),
                topic: number(*id),
                at_ms,
            };
            (at, committed)
        });
        offsets.commit(call, name, new.collect()).await?;
    }
    Ok(moves.into_iter().map(|(_, step)| step).collect())
}

async fn lags(call: &Call, limit: usize) -> Result<Vec<GroupLag>, Refusal> {
    let mut found = Vec::new();
    for slot in call.desk.groups.list(call).await.map_err(refusal)? {
        if found.len() >= limit {
            break;
        }
        let known = slot.offsets.lock().await.all(call, &slot.name).await?.clone();
        let mut topics: BTreeMap<TopicName, u64> = BTreeMap::new();
        for it in partitions(call, &known, &Readers::new()).await? {
            let lag = it.lag().unwrap_or(0);
            *topics.entry(it.topic).or_default() += lag;
        }
        let told = |(topic, lag)| GroupLag { group: slot.name.clone(), topic, lag };
        found.extend(topics.into_iter().map(told));
    }
    found.truncate(limit);
    Ok(found)
}

impl port::Groups for Oversight {
    fn list<'a>(
        &'a self,
        caller: &'a GroupCaller,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<GroupSummary>> {
        Box::pin(async move {
            let call = self.call(caller);
            let all = call.desk.groups.list(&call).await.map_err(refusal)?;
            let behind = all.iter().filter(|slot| after.is_none_or(|after| &*slot.name > after));
            let told =
                |slot: &Arc<Slot>| slot.with_both(&call, |both, _| summary(&slot.name, both));
            Ok(behind.take(limit).map(told).collect())
        })
    }

    fn get<'a>(&'a self, caller: &'a GroupCaller, name: &'a str) -> Answer<'a, GroupState> {
        Box::pin(async move { state(&self.call(caller), name).await })
    }

    fn delete<'a>(&'a self, caller: &'a GroupCaller, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self.call(caller);
            call.desk.groups.delete(&call, name).await.map_err(refusal)
        })
    }

    fn reset<'a>(
        &'a self,
        caller: &'a GroupCaller,
        name: &'a str,
        wanted: &'a GroupReset,
        doing: Doing,
    ) -> Answer<'a, Vec<GroupMove>> {
        Box::pin(async move { reset(&self.call(caller), name, wanted, doing).await })
    }

    fn projects(&self) -> Vec<ProjectId> {
        self.0.groups.projects()
    }

    fn lags<'a>(&'a self, caller: &'a GroupCaller, limit: usize) -> Answer<'a, Vec<GroupLag>> {
        Box::pin(async move { lags(&self.call(caller), limit).await })
    }
}
