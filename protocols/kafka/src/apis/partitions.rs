//! Changing the partitions of a topic: more of them, which is refused, and fewer records in them.

use crate::call::{Call, parse_partition, parse_topic};
use crate::errors;
use crate::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use crate::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use port::{Kind, Refusal};
use types::{Offset, TopicName};

/// All records there are when the request comes.
const TO_THE_END: i64 = -1;

pub async fn create(call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let is_twice = request.topics.iter().filter(|other| other.name == asked.name).count() > 1;
        let (error_code, message) = match is_twice {
            true => (errors::INVALID_REQUEST, "the topic is asked for twice".to_owned()),
            false => why_not_more(call, asked).await,
        };
        let error_message = Some(message);
        results.push(CreatePartitionsTopicResult {
            name: asked.name.clone(),
            error_code,
            error_message,
        });
    }
    CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
}

/// The number of partitions stays as it was made: the newest record of a key is looked for in the
/// key's partition, by every protocol, and records do not move. So there is always a reason.
async fn why_not_more(call: &Call, asked: &CreatePartitionsTopic) -> (i16, String) {
    if call.may_administer().is_err() {
        let message = "changing topics takes the right `admin:write`";
        return (errors::TOPIC_AUTHORIZATION_FAILED, message.to_owned());
    }
    let found = match parse_topic(&asked.name) {
        Ok(name) => call.hub.topic(&call.who, &name).await,
        Err(refusal) => Err(refusal),
    };
    let count = match found {
        Ok(topic) => topic.partitions.len(),
        Err(refusal) => return (errors::of_topic(&refusal), refusal.to_string()),
    };
    let message = match usize::try_from(asked.count) {
        Ok(wanted) if wanted == count => format!("the topic has {count} partitions already"),
        Ok(wanted) if wanted > count => format!(
            "the number of partitions ({count}) is fixed when a topic is made, so that a key keeps \
             its partition: make a topic with {wanted} and copy the records"
        ),
        _ => format!("the topic has {count} partitions, and cannot have fewer"),
    };
    (errors::INVALID_PARTITIONS, message)
}

pub async fn delete_records(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = parse_topic(&topic.name).map_err(|refusal| errors::of_topic(&refusal));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let dropped = match &name {
                Ok(name) => drop_before(call, name, asked.partition_index, asked.offset).await,
                Err(error) => Err(*error),
            };
            let (low_watermark, error_code) = match dropped {
                Ok(start) => (i64::try_from(start).unwrap_or(i64::MAX), errors::NONE),
                Err(error) => (-1, error),
            };
            let partition_index = asked.partition_index;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index,
                low_watermark,
                error_code,
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

/// Answers where the partition begins now.
async fn drop_before(
    call: &Call,
    topic: &TopicName,
    index: i32,
    offset: i64,
) -> Result<Offset, i16> {
    let partition = parse_partition(index)?;
    let before = match offset {
        TO_THE_END => None,
        _ => Some(Offset::try_from(offset).map_err(|_| errors::OFFSET_OUT_OF_RANGE)?),
    };
    let refused = |refusal: Refusal| match (refusal.kind(), refusal.field_name()) {
        (Kind::Invalid, Some("offset")) => errors::OFFSET_OUT_OF_RANGE,
        _ => errors::of_topic(&refusal),
    };
    let batches = call.batches().map_err(refused)?;
    let bounds = batches.drop_before(&call.who, topic, partition, before).await;
    bounds.map(|bounds| bounds.start).map_err(refused)
}
