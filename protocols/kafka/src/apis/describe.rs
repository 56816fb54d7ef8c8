//! What partitions are and hold: page by page, by bytes on the device, by who writes to them.

use crate::apis::metadata;
use crate::apis::permitted;
use crate::apis::placement::LOG_DIR;
use crate::call::{Call, LEADER_EPOCH, NODE_ID, parse_partition, parse_topic, topic_uuid};
use crate::errors;
use crate::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use crate::messages::describe_topic_partitions::{
    CursorTold, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use port::{Refusal, TopicInfo};
use types::TopicName;

/// Partitions of one answer at most, as with Kafka (`max.request.partition.size.limit`).
const PARTITIONS_MAX: usize = 2_000;

type Named = (String, Result<TopicInfo, Refusal>);

pub async fn topic_partitions(
    call: &Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let (from, first) = match &request.cursor {
        Some(cursor) => (&*cursor.topic_name, usize::try_from(cursor.partition_index).unwrap_or(0)),
        None => ("", 0),
    };
    let mut names: Vec<String> = request.topics.into_iter().map(|topic| topic.name).collect();
    let is_all = names.is_empty();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| &**name >= from);
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut left = limit.clamp(1, PARTITIONS_MAX);
    let mut answer = DescribeTopicPartitionsResponse::default();
    for (name, found) in look_up(call, names, is_all, from).await {
        if left == 0 {
            answer.next_cursor = Some(CursorTold { topic_name: name, partition_index: 0 });
            break;
        }
        let topic = match found {
            Ok(topic) => topic,
            Err(refusal) => {
                answer.topics.push(DescribeTopicPartitionsResponseTopic {
                    error_code: errors::of_topic(&refusal),
                    name: Some(name),
                    ..DescribeTopicPartitionsResponseTopic::default()
                });
                continue;
            }
        };
        let first = if name == from { first } else { 0 };
        let end = topic.partitions.len().min(first.saturating_add(left));
        left -= end.saturating_sub(first);
        let mut told = page(&topic, first..end);
        told.topic_authorized_operations = permitted::on_topic(call, &topic.name);
        answer.topics.push(told);
        if end < topic.partitions.len() {
            let partition_index = i32::try_from(end).unwrap_or(i32::MAX);
            answer.next_cursor = Some(CursorTold { topic_name: name, partition_index });
            break;
        }
    }
    answer
}

/// The topics of these names, or all from one on; in the order of their names.
async fn look_up(call: &Call, names: Vec<String>, is_all: bool, from: &str) -> Vec<Named> {
    if is_all {
        // Nobody sees a topic he may not see.
        let all = metadata::all(call).await.unwrap_or_default();
        let named = all.into_iter().map(|topic| (topic.name.as_str().to_owned(), Ok(topic)));
        return named.filter(|(name, _)| &**name >= from).collect();
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let topic = match parse_topic(&name) {
            Ok(name) => call.hub.topic(&call.who, &name).await,
            Err(refusal) => Err(refusal),
        };
        found.push((name, topic));
    }
    found
}

fn page(topic: &TopicInfo, range: std::ops::Range<usize>) -> DescribeTopicPartitionsResponseTopic {
    let partitions = range.map(|index| DescribeTopicPartitionsResponsePartition {
        partition_index: i32::try_from(index).unwrap_or(i32::MAX),
        leader_id: NODE_ID,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        // Java's client does not take them absent.
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..DescribeTopicPartitionsResponsePartition::default()
    });
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.as_str().to_owned()),
        topic_id: topic_uuid(topic.id),
        is_internal: topic.name.is_internal(),
        partitions: partitions.collect(),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

pub async fn log_dirs(call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked = match request.topics {
        Some(asked) => asked,
        None => match metadata::all(call).await {
            Ok(topics) => topics.iter().map(whole).collect(),
            Err(refusal) => {
                let error_code = errors::of_cluster(&refusal);
                return DescribeLogDirsResponse { error_code, ..Default::default() };
            }
        },
    };
    let mut topics = Vec::with_capacity(asked.len());
    for topic in asked {
        // As with Kafka, what is not there is left out.
        let Ok(name) = parse_topic(&topic.topic) else { continue };
        match sizes(call, &name, &topic.partitions) {
            Ok(partitions) => topics.push(DescribeLogDirsTopic { name: topic.topic, partitions }),
            Err(refusal) => tracing::debug!(%refusal, "a Kafka client may not see a topic"),
        }
    }
    let dir = DescribeLogDirsResult { log_dir: LOG_DIR.to_owned(), topics, ..Default::default() };
    DescribeLogDirsResponse { results: vec![dir], ..DescribeLogDirsResponse::default() }
}

fn whole(topic: &TopicInfo) -> DescribableLogDirTopic {
    let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let (topic, partitions) = (topic.name.as_str().to_owned(), (0..count).collect());
    DescribableLogDirTopic { topic, partitions }
}

fn sizes(
    call: &Call,
    name: &TopicName,
    wanted: &[i32],
) -> Result<Vec<DescribeLogDirsPartition>, Refusal> {
    let bytes = call.batches()?.stored_bytes(&call.who, name)?;
    let size = |&partition_index: &i32| {
        let bytes = bytes.get(usize::try_from(partition_index).ok()?)?;
        Some(DescribeLogDirsPartition {
            partition_index,
            partition_size: i64::try_from(*bytes).unwrap_or(i64::MAX),
            ..DescribeLogDirsPartition::default()
        })
    };
    Ok(wanted.iter().filter_map(size).collect())
}

pub async fn producers(
    call: &Call,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions =
            topic.partition_indexes.iter().map(|&partition_index| {
                match producers_of(call, &topic.name, partition_index) {
                    Ok(active_producers) => PartitionResponse {
                        partition_index,
                        active_producers,
                        ..PartitionResponse::default()
                    },
                    Err((error_code, message)) => PartitionResponse {
                        partition_index,
                        error_code,
                        error_message: Some(message),
                        ..PartitionResponse::default()
                    },
                }
            });
        let partitions = partitions.collect();
        topics.push(TopicResponse { name: topic.name, partitions });
    }
    DescribeProducersResponse { topics, ..DescribeProducersResponse::default() }
}

fn producers_of(call: &Call, name: &str, index: i32) -> Result<Vec<ProducerState>, (i16, String)> {
    let refused = |refusal: Refusal| (errors::of_topic(&refusal), refusal.to_string());
    let partition =
        parse_partition(index).map_err(|error| (error, "there is no such partition".to_owned()))?;
    let name = parse_topic(name).map_err(refused)?;
    let batches = call.batches().map_err(refused)?;
    let known = batches.producers(&call.who, &name, partition).map_err(refused)?;
    let told = |known: port::ProducerState| ProducerState {
        producer_id: known.producer.id,
        producer_epoch: i32::from(known.producer.epoch),
        last_sequence: known.last_sequence.unwrap_or(-1),
        last_timestamp: known.seen_at,
        current_txn_start_offset: known
            .open_since
            .map_or(-1, |offset| i64::try_from(offset).unwrap_or(i64::MAX)),
        ..ProducerState::default()
    };
    Ok(known.into_iter().map(told).collect())
}
