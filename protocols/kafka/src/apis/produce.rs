//! Producing. What a client sends in one request goes to its partitions each by itself; every
//! acknowledgement waits until the records are as safe as their topic promises, whatever `acks`
//! says beyond none at all.

use crate::call::Call;
use crate::errors;
use crate::groups::At;
use crate::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use crate::records::{self, BadRecords};
use crate::transactions::Way;
use bytes::Bytes;
use futures_util::future::join_all;
use port::{BatchPlaced, Code, Kind, Refusal};
use std::time::Duration;
use tokio::time::Instant;
use types::batch::RecordView;
use types::{BadBatch, Batch, Offset, Partition, TopicName};

/// From this version on the first batch begins the transaction (KIP-890).
const IMPLICIT: i16 = 12;
/// A produce that comes too fast waits so long at most until it is refused.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether there is room again.
const WAIT_MIN: Duration = Duration::from_millis(5);

/// What is wrong with one partition's part.
struct Fault {
    error: i16,
    message: String,
    /// Of which records of the batch, as far as it is theirs: the others may be sent again.
    records: Vec<i32>,
}

impl Fault {
    fn new(error: i16, message: impl Into<String>) -> Fault {
        Fault { error, message: message.into(), records: Vec::new() }
    }

    /// Why this part was refused. A client sends again what it is not told of, so where a key is
    /// missing every record without one is told.
    async fn of_part(refusal: &Refusal, part: &PartitionProduceData) -> Fault {
        let mut fault = Fault::new(errors::of_topic(refusal), refusal.to_string());
        let Some((first, what)) = refusal.field_name().and_then(record_at) else { return fault };
        // Nobody has kept it.
        let Ok(batch) = read(part).await else { return fault };
        let is_bad = |index: usize, view: &RecordView<'_>| match what {
            "key" => view.key.is_none(),
            _ => index == first,
        };
        let bad = batch.views().enumerate().filter(|(index, view)| is_bad(*index, view));
        fault.records = bad.filter_map(|(index, _)| i32::try_from(index).ok()).collect();
        fault
    }
}

/// Of a field such as `records[3].key`, which record and what of it.
fn record_at(field: &str) -> Option<(usize, &str)> {
    let (index, part) = field.strip_prefix("records[")?.split_once("].")?;
    Some((index.parse().ok()?, part))
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::new(errors::of_topic(&refusal), refusal.to_string())
    }
}

impl From<BadRecords> for Fault {
    fn from(bad: BadRecords) -> Fault {
        let error = match &bad {
            BadRecords::Batch(BadBatch::TooLarge) => errors::MESSAGE_TOO_LARGE,
            BadRecords::Batch(BadBatch::Magic(_)) => errors::UNSUPPORTED_FOR_MESSAGE_FORMAT,
            BadRecords::Batch(BadBatch::Checksum | BadBatch::Length | BadBatch::Unpack) => {
                errors::CORRUPT_MESSAGE
            }
            BadRecords::Batch(_) | BadRecords::Count => errors::INVALID_RECORD,
        };
        Fault::new(error, bad.to_string())
    }
}

/// # Errors
/// When something went wrong and the client does not want to be told: its connection ends, so that
/// it hears of it at all.
pub async fn answer(
    call: &Call,
    request: ProduceRequest,
) -> Result<Option<ProduceResponse>, Refusal> {
    if !matches!(request.acks, -1..=1) {
        return Ok(Some(refused(&request, errors::INVALID_REQUIRED_ACKS)));
    }
    let deadline = Instant::now()
        + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).min(WAIT_MAX);
    // Whoever came before enters the log before.
    let turn = call.turnstile.lock().await;
    let entered = enter_all(call, &request, deadline).await;
    drop(turn);
    let done = entered.into_iter().map(|(place, part, outcome)| async move {
        let placed = match outcome {
            Ok(pending) => Ok(pending.await),
            Err(fault) => Err(fault),
        };
        (place, part, placed)
    });
    let mut answers = Vec::new();
    for (place, part, placed) in join_all(done).await {
        let placed = match placed {
            Ok(Ok(placed)) => Ok(placed),
            Ok(Err(refusal)) => Err(Fault::of_part(&refusal, part).await),
            Err(fault) => Err(fault),
        };
        answers.push((place, told(part.index, placed)));
    }
    let mut responses: Vec<TopicProduceResponse> = request
        .topic_data
        .into_iter()
        .map(|topic| TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: Vec::with_capacity(topic.partition_data.len()),
        })
        .collect();
    let mut fault = None;
    for (topic, told) in answers {
        if told.error_code != errors::NONE {
            fault = told.error_message.clone();
        }
        if let Some(response) = responses.get_mut(topic) {
            response.partition_responses.push(told);
        }
    }
    if request.acks != 0 {
        return Ok(Some(ProduceResponse { responses, ..ProduceResponse::default() }));
    }
    match fault {
        None => Ok(None),
        Some(why) => Err(Refusal::new(Code::InvalidRequest, format!("unacknowledged: {why}"))),
    }
}

/// A part that is in its place in the log or refused, with its topic's place in the request.
type Entered<'a> = (usize, &'a PartitionProduceData, Result<Pending<'a>, Fault>);

/// One after the other: what a batch grows to is the log's to bound before the next one is
/// decompressed.
async fn enter_all<'a>(
    call: &'a Call,
    request: &'a ProduceRequest,
    deadline: Instant,
) -> Vec<Entered<'a>> {
    let mut entered = Vec::new();
    for (place, topic) in request.topic_data.iter().enumerate() {
        let name = call.topic(&topic.name, topic.topic_id);
        for part in &topic.partition_data {
            let outcome = match verify(&name, part).await {
                Ok(bound) => bind(call, request.transactional_id.as_deref(), bound).await,
                Err(fault) => Err(fault),
            };
            let outcome = match outcome {
                Ok(bound) => Ok(enter(call, bound, deadline).await),
                Err(fault) => Err(fault),
            };
            entered.push((place, part, outcome));
        }
    }
    entered
}

fn refused(request: &ProduceRequest, error_code: i16) -> ProduceResponse {
    let responses = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic
            .partition_data
            .iter()
            .map(|part| PartitionProduceResponse {
                index: part.index,
                error_code,
                base_offset: -1,
                ..PartitionProduceResponse::default()
            })
            .collect(),
    });
    ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() }
}

/// What a part of a request holds, and where it is to go.
async fn verify(
    name: &Result<TopicName, Refusal>,
    part: &PartitionProduceData,
) -> Result<Bound, Fault> {
    let name = name.as_ref().map_err(|refusal| Fault::from(refusal.clone()))?;
    let partition = Partition::try_from(part.index).map_err(|_| {
        Fault::new(errors::UNKNOWN_TOPIC_OR_PARTITION, "partitions are counted from 0")
    })?;
    if part.at_offset < -1 {
        let message = "offsets are counted from 0; -1 leaves it to the log";
        return Err(Fault::new(errors::INVALID_REQUEST, message));
    }
    Ok(Bound {
        at: At { topic: name.clone(), partition },
        batch: read(part).await?,
        offset: u64::try_from(part.at_offset).ok(),
        is_part_of_transaction: false,
    })
}

async fn read(part: &PartitionProduceData) -> Result<Batch, Fault> {
    let bytes: Bytes = part.records.clone().unwrap_or_default();
    if !records::is_slow(&bytes) {
        return Ok(records::batch(bytes)?);
    }
    // What takes long must not hold up the other connections of this thread.
    let read = tokio::task::spawn_blocking(move || records::batch(bytes)).await;
    Ok(read.map_err(|error| Fault::from(Refusal::internal(&error)))??)
}

/// A batch as it enters the log.
struct Bound {
    at: At,
    batch: Batch,
    /// Where its first record shall lie.
    offset: Option<Offset>,
    is_part_of_transaction: bool,
}

async fn bind(call: &Call, id: Option<&str>, bound: Bound) -> Result<Bound, Fault> {
    if !bound.batch.stamp().is_some_and(|stamp| stamp.is_transactional) {
        return Ok(bound);
    }
    let Bound { at, batch, offset, .. } = bound;
    if offset.is_some() {
        let message = "a batch of a transaction lies where the log puts it";
        return Err(Fault::new(errors::INVALID_REQUEST, message));
    }
    let way = if call.version >= IMPLICIT { Way::Implicit } else { Way::Explicit };
    let bound = match id {
        Some(id) => call.desk.transactions.enter(call, (id, way), &at, batch).await,
        None => Err(errors::INVALID_TXN_STATE),
    };
    let bound = bound.map(|batch| Bound { at, batch, offset, is_part_of_transaction: true });
    bound.map_err(|error| {
        let error = match error {
            errors::PRODUCER_FENCED => errors::INVALID_PRODUCER_EPOCH,
            error => error,
        };
        let why = match error {
            errors::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
                "the transactional id may not be used, as scopes and access lists say"
            }
            _ => "the producer has no such transaction open",
        };
        Fault::new(error, why)
    })
}

type Pending<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<BatchPlaced, Refusal>> + Send + 'a>>;

/// Begins an append: when this answers, the batch is in its place in the log, or refused. A
/// producer that is too fast is held here rather than refused, and everything behind it on its
/// connection with it.
async fn enter<'a>(call: &'a Call, bound: Bound, deadline: Instant) -> Pending<'a> {
    loop {
        let (At { topic, partition }, again) = (bound.at.clone(), bound.batch.clone());
        let (offset, is_part) = (bound.offset, bound.is_part_of_transaction);
        let mut pending: Pending<'a> = Box::pin(async move {
            let batches = call.batches()?;
            match is_part {
                true => batches.append_part(&call.who, &topic, partition, again).await,
                false => batches.append_batch(&call.who, &topic, partition, again, offset).await,
            }
        });
        match futures_util::poll!(&mut pending) {
            std::task::Poll::Pending => return pending,
            std::task::Poll::Ready(Err(refusal))
                if refusal.kind() == Kind::RateLimited && Instant::now() < deadline =>
            {
                let wait = refusal.wait().unwrap_or_default().max(WAIT_MIN);
                tokio::time::sleep_until((Instant::now() + wait).min(deadline)).await;
            }
            std::task::Poll::Ready(outcome) => {
                return Box::pin(std::future::ready(outcome));
            }
        }
    }
}

fn told(index: i32, placed: Result<BatchPlaced, Fault>) -> PartitionProduceResponse {
    let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    match placed {
        Ok(placed) => PartitionProduceResponse {
            index,
            base_offset: offset(placed.base_offset),
            log_start_offset: offset(placed.start),
            ..PartitionProduceResponse::default()
        },
        Err(Fault { error, message, records }) => {
            let error_name = errors::name(error);
            metrics::counter!(
                port::metric::KAFKA_ERRORS, "api" => "Produce", "error" => error_name
            )
            .increment(1);
            let record_errors = records.into_iter().map(|batch_index| BatchIndexAndErrorMessage {
                batch_index,
                batch_index_error_message: Some(message.clone()),
            });
            let record_errors = record_errors.collect();
            PartitionProduceResponse {
                index,
                error_code: error,
                base_offset: -1,
                error_message: Some(message),
                record_errors,
                ..PartitionProduceResponse::default()
            }
        }
    }
}
