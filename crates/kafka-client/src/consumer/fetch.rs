//! One fetch: what is asked, and what the answer's batches are worth to a reader of committed
//! records. Control batches and what was given up are passed over; offsets are not: they are a gap.

use crate::batches::{self, Head, Record};
use crate::cluster::Cluster;
use crate::{Error, Result};
use bytes::{Bytes, BytesMut};
use std::collections::HashSet;
use wire_kafka::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchTopic, PartitionData,
};

const READ_COMMITTED: i8 = 1;

/// A record where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub record: Record,
}

/// What is asked of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// How long a broker may wait for how much.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub wait_ms: i32,
    pub bytes_max: i32,
    pub partition_bytes_max: i32,
}

pub(crate) fn request(asked: &[Asked], amount: Amount) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for one in asked {
        let part = FetchPartition {
            partition: one.partition,
            fetch_offset: one.offset,
            partition_max_bytes: amount.partition_bytes_max,
            ..FetchPartition::default()
        };
        match topics.iter_mut().find(|topic| topic.topic == one.topic) {
            Some(topic) => topic.partitions.push(part),
            None => topics.push(FetchTopic {
                topic: one.topic.clone(),
                partitions: vec![part],
                ..FetchTopic::default()
            }),
        }
    }
    FetchRequest {
        max_wait_ms: amount.wait_ms,
        min_bytes: 1,
        max_bytes: amount.bytes_max,
        isolation_level: READ_COMMITTED,
        topics,
        ..FetchRequest::default()
    }
}

/// A batch as it was stored, and whether its records count.
#[derive(Debug, Clone)]
pub struct Stored {
    pub bytes: Bytes,
    pub head: Head,
    /// Neither a control batch nor of a transaction that was given up.
    pub counts: bool,
}

/// Sorts out the batches of an answer (KIP-98): a producer is out from the first offset of a
/// transaction that it gave up to the marker that says so.
///
/// # Errors
/// When a batch is damaged.
pub(crate) fn stored(data: PartitionData) -> Result<Vec<Stored>> {
    let bytes = match data.records.map(|records| records.0) {
        None => return Ok(Vec::new()),
        Some(parts) if parts.len() == 1 => parts.into_iter().next().unwrap_or_default(),
        Some(parts) => {
            let mut whole = BytesMut::new();
            parts.iter().for_each(|part| whole.extend_from_slice(part));
            whole.freeze()
        }
    };
    let mut aborted: Vec<AbortedTransaction> = data.aborted_transactions.unwrap_or_default();
    aborted.sort_by_key(|it| std::cmp::Reverse(it.first_offset));
    let mut out: HashSet<i64> = HashSet::new();
    let mut found = Vec::new();
    for bytes in batches::split(bytes) {
        let head = Head::read(&bytes)?;
        while aborted.last().is_some_and(|next| next.first_offset < head.next_offset())
            && let Some(next) = aborted.pop()
        {
            out.insert(next.producer_id);
        }
        if head.is_control() && batches::is_abort(&bytes)? {
            out.remove(&head.producer_id);
        }
        let is_out = head.is_transactional() && out.contains(&head.producer_id);
        found.push(Stored { counts: !head.is_control() && !is_out && head.count > 0, bytes, head });
    }
    Ok(found)
}

/// The records from an offset on, and where to go on.
pub(crate) fn messages(
    topic: &str,
    (partition, from): (i32, i64),
    stored: &[Stored],
) -> Result<(Vec<Message>, i64)> {
    let mut found = Vec::new();
    let mut next = from;
    for batch in stored {
        next = next.max(batch.head.next_offset());
        if !batch.counts {
            continue;
        }
        for (offset, record) in batches::records(&batch.bytes)? {
            if offset >= from {
                found.push(Message { topic: topic.to_owned(), partition, offset, record });
            }
        }
    }
    Ok((found, next))
}

/// The stored batches of one partition from an offset on, and where what is acknowledged ends.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub batches: Vec<Stored>,
    /// No transaction that is open lies before.
    pub stable_end: i64,
    pub start: i64,
}

/// Fetches once, whole batches as they are stored.
///
/// # Errors
/// `OFFSET_OUT_OF_RANGE` where nothing can lie, or what else the broker refuses.
pub async fn fetch(cluster: &Cluster, asked: &Asked, amount: Amount) -> Result<Fetched> {
    let leader = cluster.leader(&asked.topic, asked.partition).await?;
    let request = request(std::slice::from_ref(asked), amount);
    let told = cluster.node(leader).await?.ask(&request).await?;
    Error::of(told.error_code, None)?;
    let data = told.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let data = data.ok_or_else(|| Error::Malformed("no answer for a partition".to_owned()))?;
    Error::of(data.error_code, None)?;
    let (stable_end, start) = (data.last_stable_offset, data.log_start_offset);
    // Unpacking is not done here; checksums of what was asked for are quick.
    Ok(Fetched { batches: stored(data)?, stable_end, start })
}
