//! Consuming: whole batches from an offset on, waiting for them when there are too few. Sessions
//! (KIP-227) are answered with none, which every client takes. Records of transactions that are
//! open or were given up are never handed out, whatever isolation is asked for.

use crate::call::{Call, LEADER_EPOCH};
use crate::errors;
use crate::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use crate::wire::{Records, Uuid};
use bytes::Bytes;
use port::{Place, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::batch::{Packing, write_gap};
use types::{Batch, Partition, TopicName};

/// Longest wait of one fetch.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A request that goes on with a session, of which there are none.
const NO_SESSION: i32 = 0;
/// The first version whose clients know zstd.
const ZSTD_FROM: i16 = 10;
/// Memory of the batches of one answer; a batch that is compressed takes more than it sends.
const MEMORY_BYTES_MAX: usize = 64 << 20;
/// What is said of a partition beside its records, with its share of the topic's name.
const PARTITION_BYTES: usize = 300;

/// What a turn over all partitions has found.
#[derive(Default)]
struct Turn {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    has_error: bool,
    /// Where to wait for more.
    ends: Vec<Place>,
    /// What is handed out if this is the answer.
    batches: Vec<Arc<Batch>>,
    memory_bytes: usize,
}

impl Turn {
    fn answer(self, call: &Call) -> (FetchResponse, usize) {
        if let Ok(batches) = call.batches() {
            batches.handed_out(&call.who, &self.batches);
        }
        let partitions: usize = self.topics.iter().map(|topic| topic.partitions.len()).sum();
        let answer = FetchResponse { responses: self.topics, ..FetchResponse::default() };
        (answer, partitions * PARTITION_BYTES)
    }
}

/// The answer, and about how many bytes it has beside the records.
pub async fn answer(call: &Call, request: FetchRequest) -> (FetchResponse, usize) {
    if request.session_id != NO_SESSION {
        let error_code = errors::FETCH_SESSION_ID_NOT_FOUND;
        return (FetchResponse { error_code, ..FetchResponse::default() }, 0);
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait.min(WAIT_MAX);
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0);
    let bytes_max = bytes_max.clamp(1, call.desk.config.fetch_bytes_max);
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0).min(bytes_max);
    let names: Vec<Result<TopicName, Refusal>> =
        request.topics.iter().map(|topic| call.topic(&topic.topic, topic.topic_id)).collect();
    loop {
        let mut turn = collect(call, &request, &names, bytes_max).await;
        let is_full = turn.bytes >= bytes_min || turn.memory_bytes >= MEMORY_BYTES_MAX;
        let is_done = is_full || turn.has_error || turn.ends.is_empty();
        if is_done || Instant::now() >= deadline {
            return turn.answer(call);
        }
        let Ok(batches) = call.batches() else {
            return turn.answer(call);
        };
        // What was found is not held while it waits: it may be much.
        let ends = std::mem::take(&mut turn.ends);
        drop(turn);
        let woken = batches.wait_behind(&call.who, ends);
        if let Ok(Err(_)) = tokio::time::timeout_at(deadline, woken).await {
            // Nobody would wake it: the client asks again, and hears then what is wrong.
            return collect(call, &request, &names, bytes_max).await.answer(call);
        }
    }
}

async fn collect(
    call: &Call,
    request: &FetchRequest,
    names: &[Result<TopicName, Refusal>],
    bytes_max: usize,
) -> Turn {
    let mut turn = Turn::default();
    for (topic, name) in request.topics.iter().zip(names) {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let data = match name {
                Ok(name) => one(call, name, asked, bytes_max, &mut turn).await,
                Err(refusal) if topic.topic_id != Uuid::default() => {
                    let mut data = failed(asked, refusal);
                    data.error_code = errors::UNKNOWN_TOPIC_ID;
                    data
                }
                Err(refusal) => failed(asked, refusal),
            };
            turn.has_error |= data.error_code != errors::NONE;
            partitions.push(data);
        }
        let (topic, topic_id) = (topic.topic.clone(), topic.topic_id);
        turn.topics.push(FetchableTopicResponse { topic, topic_id, partitions });
    }
    turn
}

fn failed(asked: &FetchPartition, refusal: &Refusal) -> PartitionData {
    let error_code = errors::of_topic(refusal);
    let error = errors::name(error_code);
    metrics::counter!(port::metric::KAFKA_ERRORS, "api" => "Fetch", "error" => error).increment(1);
    bare(asked, error_code)
}

fn bare(asked: &FetchPartition, error_code: i16) -> PartitionData {
    PartitionData {
        partition_index: asked.partition,
        error_code,
        high_watermark: -1,
        // Clients of some languages take no records only when there is an empty set of them.
        records: Some(Records::default()),
        ..PartitionData::default()
    }
}

/// The batch as it is stored, but in the open for a client that may not know its codec (KIP-110).
fn shown(call: &Call, batch: &Batch) -> Bytes {
    match batch.packing() {
        Some(Packing::Zstd) if call.version < ZSTD_FROM => batch.unpacked().bytes().clone(),
        _ => batch.bytes().clone(),
    }
}

async fn one(
    call: &Call,
    name: &TopicName,
    asked: &FetchPartition,
    bytes_max: usize,
    turn: &mut Turn,
) -> PartitionData {
    if asked.current_leader_epoch > LEADER_EPOCH {
        return bare(asked, errors::UNKNOWN_LEADER_EPOCH);
    }
    let (Ok(partition), Ok(offset)) =
        (Partition::try_from(asked.partition), u64::try_from(asked.fetch_offset))
    else {
        return bare(asked, errors::OFFSET_OUT_OF_RANGE);
    };
    let place = Place { topic: name.clone(), partition, offset };
    let wanted = usize::try_from(asked.partition_max_bytes).unwrap_or(0);
    // The first batch is handed out however large it is (KIP-74), or nobody would get behind it.
    let left = match turn.memory_bytes {
        ..MEMORY_BYTES_MAX => bytes_max.saturating_sub(turn.bytes),
        _ => 0,
    };
    let read = match call.batches() {
        Ok(batches) => batches.read_batches(&call.who, &place, wanted.min(left)).await,
        Err(refusal) => Err(refusal),
    };
    let mut read = match read {
        Ok(read) => read,
        Err(refusal) => return failed(asked, &refusal),
    };
    let (start, end) = (read.bounds.start, read.bounds.end);
    let in_range = (start..=end).contains(&offset);
    let signed = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    let (mut batches, mut bytes) = (Vec::with_capacity(read.batches.len()), 0);
    for batch in &read.batches {
        let shown = shown(call, batch);
        bytes += shown.len();
        batches.push(shown);
        if bytes >= left {
            // In the open they are more than was read.
            break;
        }
    }
    read.batches.truncate(batches.len());
    if batches.is_empty() && wanted.min(left) > 0 && (start..end).contains(&offset) {
        // Nothing is left up to the end: without a sign of it the client would ask for it for ever.
        batches.push(Bytes::copy_from_slice(&write_gap(offset, end)));
    }
    turn.memory_bytes += read.batches.iter().map(|batch| batch.memory_bytes()).sum::<usize>();
    turn.batches.extend(read.batches);
    turn.bytes += bytes;
    turn.ends.push(Place { offset: end.max(offset), ..place });
    PartitionData {
        error_code: if in_range { errors::NONE } else { errors::OFFSET_OUT_OF_RANGE },
        high_watermark: signed(end),
        last_stable_offset: signed(end),
        log_start_offset: signed(start),
        records: Some(Records(batches)),
        ..bare(asked, errors::NONE)
    }
}
