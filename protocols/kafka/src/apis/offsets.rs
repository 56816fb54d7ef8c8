//! Where a group stands: committed, asked for, given up.

use crate::call::{Call, parse_topic};
use crate::errors;
use crate::groups::{At, Committed};
use crate::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
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
use std::collections::BTreeMap;
use types::{Partition, TopicName};

/// Bytes of what a member may note with an offset.
const METADATA_BYTES_MAX: usize = 4_096;
/// A version from which one request asks for several groups.
const SEVERAL_GROUPS: i16 = 8;

pub async fn commit(call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut new = Vec::new();
    for topic in &request.topics {
        let partitions = check(call, topic, &mut new).await;
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

/// What of a topic can be committed goes to `new`; all of it is answered.
async fn check(
    call: &Call,
    topic: &OffsetCommitRequestTopic,
    new: &mut Vec<(At, Committed)>,
) -> Vec<OffsetCommitResponsePartition> {
    let found = match parse_topic(&topic.name) {
        Ok(name) => call.hub.topic(&call.who, &name).await,
        Err(refusal) => Err(refusal),
    };
    let mut told = Vec::with_capacity(topic.partitions.len());
    for asked in &topic.partitions {
        let metadata = asked.committed_metadata.clone().unwrap_or_default();
        let partition = Partition::try_from(asked.partition_index).ok();
        let error_code = match (&found, partition) {
            (Err(refusal), _) => errors::of_topic(refusal),
            (Ok(info), Some(partition)) if (partition as usize) < info.partitions.len() => {
                if metadata.len() > METADATA_BYTES_MAX {
                    errors::OFFSET_METADATA_TOO_LARGE
                } else {
                    let committed = Committed {
                        offset: asked.committed_offset,
                        leader_epoch: asked.committed_leader_epoch,
                        metadata,
                        topic: info.id.0.cast_signed(),
                        at_ms: call.clock.now_ms(),
                    };
                    new.push((At { topic: info.name.clone(), partition }, committed));
                    errors::NONE
                }
            }
            (Ok(_), _) => errors::UNKNOWN_TOPIC_OR_PARTITION,
        };
        let partition_index = asked.partition_index;
        told.push(OffsetCommitResponsePartition { partition_index, error_code });
    }
    told
}

async fn keep(
    call: &Call,
    request: &OffsetCommitRequest,
    new: Vec<(At, Committed)>,
) -> Result<(), i16> {
    let slot = call.desk.groups.open(call, &request.group_id).await?;
    let generation = request.generation_id_or_member_epoch;
    // Asked under the lock that is held while they are written: a round that begins meanwhile finds
    // them written, and who asks after it is refused.
    let mut offsets = slot.offsets.lock().await;
    slot.with(call, |group, _| {
        if generation < 0 && request.member_id.is_empty() {
            return match group.may_commit_from_outside() {
                true => Ok(()),
                false => Err(errors::UNKNOWN_MEMBER_ID),
            };
        }
        let instance = request.group_instance_id.as_deref();
        group.check_member(&request.member_id, instance, generation)
    })?;
    if new.is_empty() {
        return Ok(());
    }
    offsets.commit(call, &slot.name, new).await.map_err(|refusal| errors::of_group(&refusal))
}

/// What is told of one partition: offset, epoch, note, error.
type Told = (i64, i32, Option<String>, i16);

const NOTHING: Told = (-1, -1, None, errors::NONE);

/// The committed offsets of these partitions, or of all.
async fn look_up(
    call: &Call,
    group: &str,
    wanted: Option<Vec<(String, Vec<i32>)>>,
) -> Result<BTreeMap<String, Vec<(i32, Told)>>, i16> {
    let slot = call.desk.groups.open(call, group).await?;
    let mut offsets = slot.offsets.lock().await;
    let known = offsets.all(call, &slot.name).await.map_err(|it| errors::of_group(&it))?;
    let wanted = wanted.unwrap_or_else(|| {
        let mut all: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for at in known.keys() {
            let partition = i32::try_from(at.partition).unwrap_or(i32::MAX);
            all.entry(at.topic.as_str()).or_default().push(partition);
        }
        all.into_iter().map(|(topic, partitions)| (topic.to_owned(), partitions)).collect()
    });
    let mut found: BTreeMap<String, Vec<(i32, Told)>> = BTreeMap::new();
    for (name, partitions) in wanted {
        let topic = match parse_topic(&name) {
            Ok(name) => call.hub.topic(&call.who, &name).await,
            Err(refusal) => Err(refusal),
        };
        for index in partitions {
            let told = match &topic {
                Err(refusal) => (-1, -1, None, errors::of_topic(refusal)),
                Ok(info) => {
                    let at = Partition::try_from(index)
                        .map(|partition| At { topic: info.name.clone(), partition });
                    let committed = at.ok().and_then(|at| known.get(&at));
                    committed.filter(|it| it.is_of(info.id)).map_or(NOTHING, |it| {
                        (it.offset, it.leader_epoch, Some(it.metadata.clone()), errors::NONE)
                    })
                }
            };
            found.entry(name.clone()).or_default().push((index, told));
        }
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
            topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
        });
        let mut told = OffsetFetchResponseGroup { group_id: group.group_id, ..Default::default() };
        match look_up(call, &told.group_id, wanted).await {
            Err(error) => told.error_code = error,
            Ok(found) => {
                for (name, partitions) in found {
                    let partitions =
                        partitions.into_iter().map(|(index, it)| OffsetFetchResponsePartitions {
                            partition_index: index,
                            committed_offset: it.0,
                            committed_leader_epoch: it.1,
                            metadata: Some(it.2.unwrap_or_default()),
                            error_code: it.3,
                        });
                    let partitions = partitions.collect();
                    told.topics.push(OffsetFetchResponseTopics {
                        name,
                        partitions,
                        ..Default::default()
                    });
                }
            }
        }
        groups.push(told);
    }
    OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }
}

async fn fetch_one(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let wanted = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
    });
    match look_up(call, &request.group_id, wanted).await {
        Err(error_code) => OffsetFetchResponse { error_code, ..Default::default() },
        Ok(found) => {
            let topics = found.into_iter().map(|(name, partitions)| {
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
    let slot = match call.desk.groups.find(call, &request.group_id).await {
        Ok(Some(slot)) => slot,
        Ok(None) => return failed(errors::GROUP_ID_NOT_FOUND),
        Err(error) => return failed(error),
    };
    let mut old = Vec::new();
    let mut topics = Vec::new();
    // Members may be reading: what they read is not known here, so nothing of theirs is taken away.
    let error_code = match slot.with(call, |group, _| group.may_commit_from_outside()) {
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
