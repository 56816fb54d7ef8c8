//! Consumer groups whose partitions the coordinator gives out (KIP-848): the one heartbeat by which
//! members join, stay and leave, and what tools ask about them.

use crate::apis::group::fresh_name;
use crate::apis::metadata;
use crate::apis::permitted;
use crate::call::{Call, parse_partition, parse_topic, topic_number, topic_uuid};
use crate::errors;
use crate::groups::{
    self, Assignor, Beat, Both, Coordinated, JOIN, LEAVE_FOR_NOW, Parts, Slot, Subscribed,
    Subscription, Told,
};
use crate::messages::consumer_group_describe::{
    self, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member,
    TopicPartitions,
};
use crate::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    TopicPartitionsAsked, TopicPartitionsTold,
};
use crate::pattern;
use port::{Kind, TopicInfo};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use types::{Operation, TopicId};

/// Since this version clients name themselves (KIP-1082).
const OWN_NAMES: i16 = 1;
const DEAD: &str = "Dead";
/// The kind of a member, as tools are told: of this protocol.
const MEMBER_TYPE: i8 = 1;
/// Bytes of a client's own name, of a lasting name, of a rack.
const NAME_BYTES_MAX: usize = 1_000;
/// Names of topics that one member is subscribed to.
const NAMES_MAX: usize = 10_000;

/// An error and why.
type Fault = (i16, String);

fn fault(error: i16, why: &str) -> Fault {
    (error, why.to_owned())
}

fn invalid(why: &str) -> Fault {
    fault(errors::INVALID_REQUEST, why)
}

pub async fn heartbeat(
    call: &Call,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    match answer(call, request).await {
        Ok(told) => ConsumerGroupHeartbeatResponse {
            member_id: Some(told.member),
            member_epoch: told.epoch,
            heartbeat_interval_ms: i32::try_from(call.desk.config.consumer_heartbeat_ms)
                .unwrap_or(i32::MAX),
            assignment: told
                .assigned
                .map(|parts| Assignment { topic_partitions: by_topic(&parts) }),
            ..ConsumerGroupHeartbeatResponse::default()
        },
        Err((error_code, message)) => ConsumerGroupHeartbeatResponse {
            error_code,
            error_message: Some(message),
            ..ConsumerGroupHeartbeatResponse::default()
        },
    }
}

fn by_topic(parts: &Parts) -> Vec<TopicPartitionsTold> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in parts {
        topics.entry(*topic).or_default().push(i32::try_from(*partition).unwrap_or(i32::MAX));
    }
    let told = |(id, partitions)| TopicPartitionsTold { topic_id: topic_uuid(id), partitions };
    topics.into_iter().map(told).collect()
}

async fn answer(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Result<Told, Fault> {
    let refused = |error| fault(error, errors::name(error));
    groups::check(call, &request.group_id, Operation::Read).map_err(refused)?;
    let mut beat = read(call, &request)?;
    let slot = match beat.epoch {
        JOIN => call.desk.groups.open(call, &request.group_id).await.map_err(refused)?,
        _ => {
            let found = call.desk.groups.find(call, &request.group_id, Operation::Read);
            let found = found.await.map_err(refused)?;
            // Members of a group that a restart forgot are members no more, and join anew.
            found.ok_or_else(|| fault(errors::UNKNOWN_MEMBER_ID, "there is no such group"))?
        }
    };
    if beat.epoch >= JOIN {
        let subscription =
            slot.with_both(call, |both, now| both.coordinated.to_look_up(&beat, now));
        if let Some(subscription) = subscription {
            beat.topics = Some(look_up(call, &subscription).await?);
        }
    }
    slot.with_both(call, |both, now| {
        // Members of the other kind wait for each other: they leave first.
        if !both.classic.is_unused() {
            let message = "the group has members of the classic kind";
            return Err(fault(errors::GROUP_ID_NOT_FOUND, message));
        }
        if beat.epoch == JOIN {
            both.is_coordinated = true;
        }
        let told = both.coordinated.beat(beat, || fresh_name(call), now);
        told.map_err(|(error, why)| fault(error, why))
    })
}

/// What a client says, if it makes sense.
fn read(call: &Call, request: &ConsumerGroupHeartbeatRequest) -> Result<Beat, Fault> {
    check(call, request)?;
    let assignor = match request.server_assignor.as_deref() {
        None => None,
        Some(name) => Some(Assignor::named(name).ok_or_else(|| {
            let names = Assignor::ALL.map(Assignor::name).join(", ");
            let message = format!("there is no assignor `{name}`; there are: {names}");
            (errors::UNSUPPORTED_ASSIGNOR, message)
        })?),
    };
    let owned = request.topic_partitions.as_ref().map(|topics| parts(topics));
    Ok(Beat {
        member: request.member_id.clone(),
        epoch: request.member_epoch,
        instance: request.instance_id.clone(),
        rack: request.rack_id.clone(),
        client_id: call.client_id.clone(),
        client_host: call.client_host.clone(),
        rebalance: u64::try_from(request.rebalance_timeout_ms).ok().map(Duration::from_millis),
        names: request.subscribed_topic_names.clone(),
        regex: request.subscribed_topic_regex.clone(),
        assignor,
        owned,
        topics: None,
    })
}

fn check(call: &Call, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Fault> {
    let is_join = request.member_epoch == JOIN;
    let texts = [Some(&request.member_id), request.instance_id.as_ref(), request.rack_id.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > NAME_BYTES_MAX) {
        return Err(invalid("a name has at most 1000 bytes"));
    }
    if request.member_epoch < LEAVE_FOR_NOW {
        return Err(invalid("there is no such member epoch"));
    }
    if request.member_id.is_empty() && (!is_join || call.version >= OWN_NAMES) {
        return Err(invalid("a member says its name"));
    }
    let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
    if is_empty(&request.instance_id) || is_empty(&request.rack_id) {
        return Err(invalid("a lasting name or a rack that is given is not empty"));
    }
    if request.member_epoch == LEAVE_FOR_NOW && request.instance_id.is_none() {
        return Err(invalid("only a member with a lasting name leaves for now"));
    }
    if request.subscribed_topic_names.as_ref().is_some_and(|names| names.len() > NAMES_MAX) {
        return Err(invalid("a member is subscribed to at most 10000 names"));
    }
    if !is_join {
        return Ok(());
    }
    if request.rebalance_timeout_ms < 0 {
        return Err(invalid("who joins says how long it may take to give up partitions"));
    }
    if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return Err(invalid("who joins says that it has no partitions"));
    }
    let has_regex = request.subscribed_topic_regex.is_some();
    if request.subscribed_topic_names.is_none() && !has_regex {
        return Err(invalid("who joins says what it is subscribed to"));
    }
    Ok(())
}

/// Partitions of topics that we did not number are none of ours.
fn parts(topics: &[TopicPartitionsAsked]) -> Parts {
    let numbered = topics.iter().filter_map(|it| Some((topic_number(it.topic_id)?, it)));
    let each = numbered.flat_map(|(topic, it)| {
        let known = it.partitions.iter().filter_map(|&index| parse_partition(index).ok());
        known.map(move |partition| (topic, partition))
    });
    each.collect()
}

/// What a member is subscribed to, of what it may see. A name that stands for nothing yet is looked
/// up again later.
async fn look_up(call: &Call, words: &Subscription) -> Result<Vec<Subscribed>, Fault> {
    let mut found = Vec::new();
    for name in &words.names {
        let topic = match parse_topic(name) {
            Ok(name) => call.hub.topic(&call.who, &name).await,
            Err(refusal) => Err(refusal),
        };
        match topic {
            Ok(topic) => found.push(subscribed(&topic)),
            Err(refusal) if refusal.kind() == Kind::NotFound => {}
            Err(refusal) => return Err((errors::of_topic(&refusal), refusal.to_string())),
        }
    }
    if let Some(regex) = &words.regex {
        let regex = compile(regex)?;
        let all = metadata::all(call).await;
        let all = all.map_err(|refusal| (errors::of_topic(&refusal), refusal.to_string()))?;
        let matched = all.iter().filter(|topic| regex.is_match(topic.name.as_str()));
        found.extend(matched.map(subscribed));
    }
    Ok(found)
}

fn subscribed(topic: &TopicInfo) -> Subscribed {
    Subscribed {
        id: topic.id,
        name: topic.name.clone(),
        partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
    }
}

/// An expression in the manner of RE2, which matches names as a whole.
fn compile(regex: &str) -> Result<Regex, Fault> {
    pattern::whole(regex).map_err(|why| (errors::INVALID_REGULAR_EXPRESSION, why))
}

pub async fn describe(
    call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let found = call.desk.groups.find(call, &group_id, Operation::Describe).await;
        let not_found = |why: &str| DescribedGroup {
            error_code: errors::GROUP_ID_NOT_FOUND,
            error_message: Some(why.to_owned()),
            group_state: DEAD.to_owned(),
            ..DescribedGroup::default()
        };
        let mut told = match found {
            Err(error_code) => DescribedGroup { error_code, ..DescribedGroup::default() },
            Ok(None) => not_found("there is no such group"),
            Ok(Some(slot)) => described(call, &slot)
                .unwrap_or_else(|| not_found("the group is of the classic kind")),
        };
        if request.include_authorized_operations && told.error_code == errors::NONE {
            told.authorized_operations = permitted::on_group(call, &group_id);
        }
        told.group_id = group_id;
        groups.push(told);
    }
    ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() }
}

fn described(call: &Call, slot: &Arc<Slot>) -> Option<DescribedGroup> {
    let told = slot.with_both(call, |Both { coordinated, is_coordinated, .. }, _| {
        is_coordinated.then(|| DescribedGroup {
            group_state: coordinated.stage().name().to_owned(),
            group_epoch: coordinated.epoch,
            assignment_epoch: coordinated.target_epoch,
            assignor_name: coordinated.assignor.name().to_owned(),
            members: members(coordinated),
            ..DescribedGroup::default()
        })
    })?;
    let of_member = |member: &Member| {
        let assigned = member.assignment.topic_partitions.iter();
        let assigned = assigned.chain(&member.target_assignment.topic_partitions);
        let names = assigned.map(|topic| topic.topic_name.clone());
        names.chain(member.subscribed_topic_names.clone()).collect::<Vec<_>>()
    };
    let topics: BTreeSet<String> = told.members.iter().flat_map(of_member).collect();
    let batches = call.batches().ok()?;
    let is_seen = |name: &String| {
        parse_topic(name).is_ok_and(|name| batches.may(&call.who, &name, Operation::Describe))
    };
    if topics.iter().filter(|name| !name.is_empty()).all(is_seen) {
        return Some(told);
    }
    Some(DescribedGroup {
        error_code: errors::TOPIC_AUTHORIZATION_FAILED,
        error_message: Some("it reads a topic that you may not see".to_owned()),
        ..DescribedGroup::default()
    })
}

fn members(group: &Coordinated) -> Vec<Member> {
    let mut names = BTreeMap::new();
    for topic in group.members.values().flat_map(|member| member.topics.values()) {
        names.insert(topic.id, topic.name.as_str());
    }
    let nothing = Parts::new();
    let told = |parts: &Parts| {
        let topics = by_topic(parts).into_iter().map(|told| TopicPartitions {
            topic_id: told.topic_id,
            topic_name: topic_number(told.topic_id)
                .and_then(|id| names.get(&id))
                .map_or_else(String::new, |name| (*name).to_owned()),
            partitions: told.partitions,
        });
        consumer_group_describe::Assignment { topic_partitions: topics.collect() }
    };
    let members = group.members.iter().map(|(id, member)| Member {
        member_id: id.clone(),
        instance_id: member.instance.clone(),
        rack_id: member.rack.clone(),
        member_epoch: member.epoch,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.names.clone(),
        subscribed_topic_regex: member.regex.clone(),
        assignment: told(&member.assigned),
        target_assignment: told(group.targets.get(id).unwrap_or(&nothing)),
        member_type: MEMBER_TYPE,
    });
    members.collect()
}
