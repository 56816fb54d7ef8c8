//! Whole batches put at offsets of their own, as a copy of another log needs it.

use crate::cluster::Cluster;
use crate::{Error, Result};
use bytes::Bytes;
use wire_kafka::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

/// Where a batch came to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub base_offset: i64,
}

/// Appends one whole batch to a partition, its first record at `at_offset`: what lies between the
/// partition's end and it becomes a gap. That is an extension (a tagged field of Produce) which
/// brokers that do not know it pass over; the answer tells where the batch is. It is tried once,
/// since whether it was stored can be seen from the partition's end.
///
/// # Errors
/// When the broker refuses it, or does not answer.
pub async fn place(
    cluster: &Cluster,
    (topic, partition): (&str, i32),
    batch: Bytes,
    at_offset: i64,
) -> Result<Placed> {
    let leader = cluster.leader(topic, partition).await?;
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: i32::try_from(cluster.settings.request_ms_max).unwrap_or(i32::MAX),
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(batch),
                at_offset,
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let told = cluster.node(leader).await?.ask(&request).await?;
    let part = told.responses.into_iter().flat_map(|topic| topic.partition_responses).next();
    let part = part.ok_or_else(|| Error::Malformed("no answer for a partition".to_owned()))?;
    let message = part.error_message.or_else(|| {
        part.record_errors.into_iter().find_map(|error| error.batch_index_error_message)
    });
    Error::of(part.error_code, message)?;
    Ok(Placed { base_offset: part.base_offset })
}
