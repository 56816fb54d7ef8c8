//! Where a partition begins and ends, and which record was the first after a time.

use crate::call::{Call, LEADER_EPOCH, parse_partition};
use crate::errors;
use crate::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use port::{Place, Refusal};
use types::{Partition, TopicName};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The first record that has the greatest timestamp (KIP-734).
const NEWEST: i64 = -3;
/// Where what is not elsewhere begins (KIP-405): all is here.
const EARLIEST_LOCAL: i64 = -4;
/// Where what is elsewhere ends (KIP-1005): there is nothing.
const LATEST_ELSEWHERE: i64 = -5;

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

pub async fn answer(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = find(call, &topic.name, asked).await;
            partitions.push(found.unwrap_or_else(|error_code| ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                error_code,
                ..ListOffsetsPartitionResponse::default()
            }));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

async fn find(
    call: &Call,
    name: &str,
    asked: &ListOffsetsPartition,
) -> Result<ListOffsetsPartitionResponse, i16> {
    if asked.current_leader_epoch > LEADER_EPOCH {
        return Err(errors::UNKNOWN_LEADER_EPOCH);
    }
    let refused = |refusal: Refusal| errors::of_topic(&refusal);
    let name = call.topic(name, Default::default()).map_err(refused)?;
    let partition = parse_partition(asked.partition_index)?;
    let (offset, timestamp) = match asked.timestamp {
        LATEST => (signed(bounds(call, name, partition).await?.1), -1),
        EARLIEST | EARLIEST_LOCAL => (signed(bounds(call, name, partition).await?.0), -1),
        NEWEST => {
            let batches = call.batches().map_err(refused)?;
            let found = batches.newest(&call.who, &name, partition).await;
            found.map_err(refused)?.map_or((-1, -1), |(offset, time)| (signed(offset), time))
        }
        LATEST_ELSEWHERE => {
            bounds(call, name, partition).await?;
            return Ok(ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                ..ListOffsetsPartitionResponse::default()
            });
        }
        time if time >= 0 => {
            let batches = call.batches().map_err(refused)?;
            let found = batches.offset_at(&call.who, &name, partition, time).await;
            found.map_err(refused)?.map_or((-1, -1), |(offset, time)| (signed(offset), time))
        }
        _ => return Err(errors::UNSUPPORTED_VERSION),
    };
    Ok(ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        error_code: errors::NONE,
        timestamp,
        offset,
        leader_epoch: LEADER_EPOCH,
    })
}

/// The oldest offset kept and the next to be given, for who may read the topic.
async fn bounds(call: &Call, topic: TopicName, partition: Partition) -> Result<(u64, u64), i16> {
    let refused = |refusal: Refusal| errors::of_topic(&refusal);
    let place = Place { topic, partition, offset: 0 };
    let read = call.batches().map_err(refused)?.read_batches(&call.who, &place, 0).await;
    read.map(|read| (read.bounds.start, read.bounds.end)).map_err(refused)
}

/// Where an epoch's records end (KIP-320): there was only ever one, so at the end of all.
pub async fn of_epochs(
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = end_of_epoch(call, &topic.topic, asked).await;
            partitions.push(found.unwrap_or_else(|error_code| EpochEndOffset {
                partition: asked.partition,
                error_code,
                ..EpochEndOffset::default()
            }));
        }
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() }
}

async fn end_of_epoch(
    call: &Call,
    name: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, i16> {
    if asked.current_leader_epoch > LEADER_EPOCH {
        return Err(errors::UNKNOWN_LEADER_EPOCH);
    }
    let refused = |refusal: Refusal| errors::of_topic(&refusal);
    let name = call.topic(name, Default::default()).map_err(refused)?;
    let partition = parse_partition(asked.partition)?;
    let (_, end) = bounds(call, name, partition).await?;
    let mut found = EpochEndOffset { partition: asked.partition, ..EpochEndOffset::default() };
    if (0..=LEADER_EPOCH).contains(&asked.leader_epoch) {
        found.leader_epoch = LEADER_EPOCH;
        found.end_offset = signed(end);
    }
    Ok(found)
}
