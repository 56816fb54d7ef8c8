//! Where a group stands: committed, asked for, given up.

use crate::call::{Call, parse_topic, topic_uuid};
use crate::errors;
use crate::groups::{At, Both, Committed};
use crate::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use crate::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use crate::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use crate::wire::Uuid;
use port::{Kind, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use types::{Operation, Partition, TopicName};

/// Bytes of what a member may note with an offset.
const METADATA_BYTES_MAX: usize = 4_096;
/// The version from which members of coordinated groups commit, with their epochs.
const MEMBER_EPOCHS: i16 = 9;
/// The version from which topics are named by their numbers.
const TOPIC_NUMBERS: i16 = 10;
/// The version from which an answer has an error of the whole group.
const GROUP_ERRORS: i16 = 2;
/// A version from which one request asks for several groups.
const SEVERAL_GROUPS: i16 = 8;

pub async fn commit(call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut new = BTreeMap::new();
    for topic in &request.topics {
        let asked = topic.partitions.iter().map(|it| Asked {
            partition_index: it.partition_index,
            offset: it.committed_offset,
            leader_epoch: it.committed_leader_epoch,
            metadata: it.committed_metadata.clone().unwrap_or_default(),
        });
        let named = call.topic(&topic.name, topic.topic_id);
        let checked = check_topic(call, named, asked, |at, committed| {
            new.insert(at, committed);
        });
        let partitions = checked.await.into_iter().map(|(partition_index, error)| {
            let error_code = of_numbered(call, error);
            OffsetCommitResponsePartition { partition_index, error_code }
        });
        let partitions = partitions.collect();
        let (name, topic_id) = (topic.name.clone(), topic.topic_id);
        topics.push(OffsetCommitResponseTopic { name, topic_id, partitions });
    }
    if let Err(error) = keep(call, &request, new).await {
        for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.error_code == errors::NONE {
                partition.error_code = error;
            }
        }
    }
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

/// Who names topics by their numbers is told that of the number.
fn of_numbered(call: &Call, error: i16) -> i16 {
    match error {
        errors::UNKNOWN_TOPIC_OR_PARTITION | errors::INVALID_TOPIC_EXCEPTION
            if call.version >= TOPIC_NUMBERS =>
        {
            errors::UNKNOWN_TOPIC_ID
        }
        error => error,
    }
}

/// What is to be committed of one partition.
pub struct Asked {
    pub partition_index: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

/// What of a topic can be committed goes to `take`; all of it is answered.
pub async fn check_topic(
    call: &Call,
    named: Result<TopicName, Refusal>,
    asked: impl Iterator<Item = Asked>,
    mut take: impl FnMut(At, Committed),
) -> Vec<(i32, i16)> {
    let found = match named {
        Ok(name) => call.hub.topic(&call.who, &name).await,
        Err(refusal) => Err(refusal),
    };
    let mut told = Vec::new();
    for Asked { partition_index, offset, leader_epoch, metadata } in asked {
        let partition = Partition::try_from(partition_index).ok();
        let error_code = match (&found, partition) {
            (Err(refusal), _) => errors::of_topic(refusal),
            (Ok(info), Some(partition)) if (partition as usize) < info.partitions.len() => {
                if metadata.len() > METADATA_BYTES_MAX {
                    errors::OFFSET_METADATA_TOO_LARGE
                } else {
                    let topic = info.id.0.cast_signed();
                    let at_ms = call.clock.now_ms();
                    let committed = Committed { offset, leader_epoch, metadata, topic, at_ms };
                    take(At { topic: info.name.clone(), partition }, committed);
                    errors::NONE
                }
            }
            (Ok(_), _) => errors::UNKNOWN_TOPIC_OR_PARTITION,
        };
        told.push((partition_index, error_code));
    }
    told
}

async fn keep(
    call: &Call,
    request: &OffsetCommitRequest,
    new: BTreeMap<At, Committed>,
) -> Result<(), i16> {
    let generation = request.generation_id_or_member_epoch;
    let is_outsider = generation < 0 && request.member_id.is_empty();
    let slot = match is_outsider {
        true => call.desk.groups.open(call, &request.group_id).await?,
        false => {
            let found = call.desk.groups.find(call, &request.group_id, Operation::Read).await?;
            found.ok_or(errors::ILLEGAL_GENERATION)?
        }
    };
    // Asked under the lock that is held while they are written: a round that begins meanwhile finds
    // them written, and who asks after it is refused.
    let mut offsets = slot.offsets.lock().await;
    slot.with_both(call, |both, _| {
        let who = (&*request.member_id, request.group_instance_id.as_deref());
        both.check_committer(who, generation, call.version >= MEMBER_EPOCHS)
    })?;
    if new.is_empty() {
        return Ok(());
    }
    offsets.commit(call, &slot.name, new).await.map_err(|refusal| errors::of_group(&refusal))
}

/// What is told of one partition: offset, epoch, note, error.
type Told = (i64, i32, Option<String>, i16);

const NOTHING: Told = (-1, -1, None, errors::NONE);
/// What is committed may change with the end of a transaction.
const UNSTABLE: Told = (-1, -1, None, errors::UNSTABLE_OFFSET_COMMIT);

/// A topic as a request names it, and its partitions.
struct Wanted {
    name: String,
    id: Uuid,
    partitions: Vec<i32>,
}

/// What is committed of a topic, partition by partition.
struct Found {
    name: String,
    id: Uuid,
    partitions: Vec<(i32, Told)>,
}

fn told(it: &Committed) -> Told {
    (it.offset, it.leader_epoch, Some(it.metadata.clone()), errors::NONE)
}

/// All of which something is kept.
fn all_of(known: &BTreeMap<At, Committed>) -> Vec<Wanted> {
    let mut all: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for at in known.keys() {
        let partition = i32::try_from(at.partition).unwrap_or(i32::MAX);
        all.entry(at.topic.as_str()).or_default().push(partition);
    }
    let wanted = all.into_iter().map(|(topic, partitions)| {
        let name = topic.to_owned();
        Wanted { name, id: Uuid::default(), partitions }
    });
    wanted.collect()
}

/// The committed offsets of these partitions, or of all.
async fn look_up(
    call: &Call,
    group: &str,
    (member, epoch): (Option<&str>, i32),
    wanted: Option<Vec<Wanted>>,
    must_be_stable: bool,
) -> Result<Vec<Found>, i16> {
    let slot = call.desk.groups.find(call, group, Operation::Describe).await?;
    if let (Some(slot), Some(member)) = (&slot, member.filter(|member| !member.is_empty())) {
        slot.with_both(call, |both, _| match both.coordinated.members.is_empty() {
            true => Ok(()),
            false => both.coordinated.check_member(member, epoch),
        })?;
    }
    let unstable = match must_be_stable {
        true => {
            let (project, now) = (call.who.project(), call.clock.monotonic());
            call.desk.transactions.pending.of_group(project, group, now)
        }
        false => BTreeSet::new(),
    };
    let (nothing, mut offsets);
    let known = match &slot {
        Some(slot) => {
            if let Err(refusal) = slot.expire(call).await {
                tracing::debug!(group, %refusal, "what it keeps too long could not be forgotten");
            }
            offsets = slot.offsets.lock().await;
            offsets.all(call, group).await.map_err(|refusal| errors::of_group(&refusal))?
        }
        None => {
            nothing = BTreeMap::new();
            &nothing
        }
    };
    let is_all = wanted.is_none();
    let wanted = wanted.unwrap_or_else(|| all_of(known));
    let mut found = Vec::with_capacity(wanted.len());
    for Wanted { name, id, partitions } in wanted {
        let topic = match if is_all { parse_topic(&name) } else { call.topic(&name, id) } {
            Ok(name) => call.hub.topic(&call.who, &name).await,
            Err(refusal) => Err(refusal),
        };
        // What is gone has no number that could be told, and what may not be seen is not named.
        let is_hidden = matches!(&topic, Err(refusal) if refusal.kind() == Kind::Forbidden);
        if is_all && (is_hidden || topic.is_err() && call.version >= TOPIC_NUMBERS) {
            continue;
        }
        let id = topic.as_ref().map_or(id, |info| topic_uuid(info.id));
        let partitions = partitions.into_iter().map(|index| {
            let told = match &topic {
                Err(refusal) => (-1, -1, None, of_numbered(call, errors::of_topic(refusal))),
                Ok(info) => {
                    let at = Partition::try_from(index)
                        .map(|partition| At { topic: info.name.clone(), partition });
                    let committed = at.as_ref().ok().and_then(|at| known.get(at));
                    match at.is_ok_and(|at| unstable.contains(&at)) {
                        true => UNSTABLE,
                        false => committed.filter(|it| it.is_of(info.id)).map_or(NOTHING, told),
                    }
                }
            };
            (index, told)
        });
        found.push(Found { partitions: partitions.collect(), name, id });
    }
    Ok(found)
}

pub async fn fetch(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version < SEVERAL_GROUPS {
        return fetch_one(call, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let wanted = group.topics.map(|topics| {
            let wanted = topics.into_iter().map(|topic| Wanted {
                name: topic.name,
                id: topic.topic_id,
                partitions: topic.partition_indexes,
            });
            wanted.collect()
        });
        let mut told = OffsetFetchResponseGroup { group_id: group.group_id, ..Default::default() };
        let who = (group.member_id.as_deref(), group.member_epoch);
        match look_up(call, &told.group_id, who, wanted, request.require_stable).await {
            Err(error) => told.error_code = error,
            Ok(found) => {
                for Found { name, id: topic_id, partitions } in found {
                    let partitions =
                        partitions.into_iter().map(|(index, it)| OffsetFetchResponsePartitions {
                            partition_index: index,
                            committed_offset: it.0,
                            committed_leader_epoch: it.1,
                            metadata: Some(it.2.unwrap_or_default()),
                            error_code: it.3,
                        });
                    let partitions = partitions.collect();
                    told.topics.push(OffsetFetchResponseTopics { name, topic_id, partitions });
                }
            }
        }
        groups.push(told);
    }
    OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }
}

async fn fetch_one(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    // The first versions have room for an error at partitions alone.
    let refused = match call.version {
        ..GROUP_ERRORS => request.topics.clone(),
        _ => None,
    };
    let wanted = request.topics.map(|topics| {
        let wanted = topics.into_iter().map(|topic| Wanted {
            name: topic.name,
            id: Uuid::default(),
            partitions: topic.partition_indexes,
        });
        wanted.collect()
    });
    let who = (None, -1);
    match look_up(call, &request.group_id, who, wanted, request.require_stable).await {
        Err(error_code) => {
            let at = |&partition_index: &i32| OffsetFetchResponsePartition {
                partition_index,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some(String::new()),
                error_code,
            };
            let topics = refused.into_iter().flatten().map(|topic| OffsetFetchResponseTopic {
                partitions: topic.partition_indexes.iter().map(at).collect(),
                name: topic.name,
            });
            OffsetFetchResponse { error_code, topics: topics.collect(), ..Default::default() }
        }
        Ok(found) => {
            let topics = found.into_iter().map(|Found { name, partitions, .. }| {
                let partitions =
                    partitions.into_iter().map(|(index, it)| OffsetFetchResponsePartition {
                        partition_index: index,
                        committed_offset: it.0,
                        committed_leader_epoch: it.1,
                        metadata: Some(it.2.unwrap_or_default()),
                        error_code: it.3,
                    });
                OffsetFetchResponseTopic { name, partitions: partitions.collect() }
            });
            OffsetFetchResponse { topics: topics.collect(), ..Default::default() }
        }
    }
}

pub async fn delete(call: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let failed = |error_code| OffsetDeleteResponse { error_code, ..Default::default() };
    let slot = match call.desk.groups.find(call, &request.group_id, Operation::Manage).await {
        Ok(Some(slot)) => slot,
        Ok(None) => return failed(errors::GROUP_ID_NOT_FOUND),
        Err(error) => return failed(error),
    };
    let mut old = Vec::new();
    let mut topics = Vec::new();
    // Members may be reading: what they read is not known here, so nothing of theirs is taken away.
    let is_free = |both: &Both| !both.has_members() && both.classic.may_commit_from_outside();
    let error_code = match slot.with_both(call, |both, _| is_free(both)) {
        true => errors::NONE,
        false => errors::GROUP_SUBSCRIBED_TO_TOPIC,
    };
    for topic in request.topics {
        let name: Option<TopicName> = parse_topic(&topic.name).ok();
        let partitions = topic.partitions.iter().map(|asked| {
            let partition = Partition::try_from(asked.partition_index).ok();
            if error_code == errors::NONE
                && let (Some(topic), Some(partition)) = (name.clone(), partition)
            {
                old.push(At { topic, partition });
            }
            OffsetDeleteResponsePartition { partition_index: asked.partition_index, error_code }
        });
        let partitions = partitions.collect();
        topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions });
    }
    let mut offsets = slot.offsets.lock().await;
    match offsets.forget(call, &slot.name, &old).await {
        Ok(()) => OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() },
        Err(refusal) => failed(errors::of_group(&refusal)),
    }
}
