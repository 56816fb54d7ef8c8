//! Transactions (KIP-98, KIP-447, KIP-890): producers that begin and end them, what they touch, and
//! how they stand.

use crate::apis::offsets;
use crate::call::{Call, parse_topic};
use crate::errors;
use crate::groups::At;
use crate::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use crate::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
};
use crate::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};
use crate::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use crate::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::messages::list_transactions::{self, ListTransactionsRequest, ListTransactionsResponse};
use crate::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use crate::pattern;
use crate::transactions::{Entry, SHELF, Slot, Standing, Way};
use port::transactions::TRANSACTION_MAX;
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Operation, Partition, Producer};

/// From these versions on a client hears its new epoch at each end (KIP-890).
const END_IMPLICIT: i16 = 5;
const OFFSETS_IMPLICIT: i16 = 5;
/// Before these a producer that was replaced is told so by another number.
const INIT_FENCED: i16 = 4;
const FENCED: i16 = 2;

fn way(call: &Call, implicit_from: i16) -> Way {
    if call.version >= implicit_from { Way::Implicit } else { Way::Explicit }
}

/// The error as this version of the client knows it.
fn told(call: &Call, fenced_from: i16, error: i16) -> i16 {
    match error {
        errors::PRODUCER_FENCED if call.version < fenced_from => errors::INVALID_PRODUCER_EPOCH,
        error => error,
    }
}

pub async fn init(
    call: &Call,
    id: String,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    match sign_in(call, id, request).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            ..InitProducerIdResponse::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: told(call, INIT_FENCED, error),
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    }
}

async fn sign_in(
    call: &Call,
    id: String,
    request: &InitProducerIdRequest,
) -> Result<Producer, i16> {
    let timeout = u64::try_from(request.transaction_timeout_ms).map(Duration::from_millis);
    let timeout = timeout.ok().filter(|it| !it.is_zero() && *it <= TRANSACTION_MAX);
    let timeout = timeout.ok_or(errors::INVALID_TRANSACTION_TIMEOUT)?;
    let refused = |refusal| errors::of_transaction(&refusal);
    let slot = call.desk.transactions.open(call, &id).await?;
    let mut held = slot.entry.lock().await;
    let by = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let batches = call.batches().map_err(refused)?;
    let entry = match held.take() {
        None => {
            let producer = batches.new_producer(&call.who).map_err(refused)?;
            Entry::new(producer, timeout, call.clock.now_ms())
        }
        Some(entry) => {
            let entry = held.insert(entry);
            if by.id >= 0 && entry.from == Some(by) && entry.open.is_none() {
                // Its answer was lost (KIP-360).
                return Ok(entry.told);
            }
            if by.id >= 0 {
                entry.check(by, Way::Implicit)?;
            }
            let producer = call.desk.transactions.take_over(call, (&slot, entry)).await?;
            let mut entry = Entry::new(producer, timeout, call.clock.now_ms());
            entry.from = (by.id >= 0).then_some(by);
            entry
        }
    };
    let kept = vec![slot.kept(&entry, Standing::None)];
    let told = entry.told;
    // Whatever becomes of the rest, the log knows this producer.
    held.replace(entry);
    batches.keep(&call.who, SHELF, kept).await.map_err(refused)?;
    Ok(told)
}

pub async fn add_partitions(
    call: &Call,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let mut places = Vec::new();
    let mut results = Vec::with_capacity(request.topics.len());
    let mut has_fault = false;
    for topic in &request.topics {
        let found = match parse_topic(&topic.name) {
            Ok(name) => call.hub.topic(&call.who, &name).await,
            Err(refusal) => Err(refusal),
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for &partition_index in &topic.partitions {
            let partition = Partition::try_from(partition_index).ok();
            let partition_error_code = match (&found, partition) {
                (Err(refusal), _) => errors::of_topic(refusal),
                (Ok(info), Some(partition)) if (partition as usize) < info.partitions.len() => {
                    places.push(At { topic: info.name.clone(), partition });
                    errors::NONE
                }
                (Ok(_), _) => errors::UNKNOWN_TOPIC_OR_PARTITION,
            };
            has_fault |= partition_error_code != errors::NONE;
            partitions
                .push(AddPartitionsToTxnPartitionResult { partition_index, partition_error_code });
        }
        let (name, results_by_partition) = (topic.name.clone(), partitions);
        results.push(AddPartitionsToTxnTopicResult { name, results_by_partition });
    }
    let added = match has_fault {
        true => Err(errors::OPERATION_NOT_ATTEMPTED),
        false => add_all(call, &request, places).await,
    };
    if let Err(error) = added {
        let error = told(call, FENCED, error);
        for result in results.iter_mut().flat_map(|topic| &mut topic.results_by_partition) {
            if result.partition_error_code == errors::NONE {
                result.partition_error_code = error;
            }
        }
    }
    AddPartitionsToTxnResponse { results_by_topic: results, ..Default::default() }
}

async fn add_all(
    call: &Call,
    request: &AddPartitionsToTxnRequest,
    places: Vec<At>,
) -> Result<(), i16> {
    let by = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let all = &call.desk.transactions;
    let slot = all.find(call, &request.transactional_id, Operation::Publish).await?;
    let slot = slot.ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
    let mut entry = slot.entry.lock().await;
    let entry = entry.as_mut().ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
    all.begin(call, (&slot, entry), by, Way::Explicit).await?;
    // The client has said so with this request.
    places.iter().try_for_each(|at| entry.join(at, Way::Implicit))
}

pub async fn add_offsets(call: &Call, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let by = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let all = &call.desk.transactions;
    let added = async {
        crate::groups::check(call, &request.group_id, Operation::Read)?;
        let slot = all.find(call, &request.transactional_id, Operation::Publish).await?;
        let slot = slot.ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
        let mut entry = slot.entry.lock().await;
        let entry = entry.as_mut().ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
        all.begin(call, (&slot, entry), by, Way::Explicit).await?;
        if let Some(open) = &mut entry.open {
            open.offsets.entry(request.group_id.clone()).or_default();
        }
        Ok(())
    };
    let error_code = added.await.map_or_else(|it| told(call, FENCED, it), |()| errors::NONE);
    AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() }
}

pub async fn commit_offsets(
    call: &Call,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let mut new = BTreeMap::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let asked = topic.partitions.iter().map(|it| offsets::Asked {
            partition_index: it.partition_index,
            offset: it.committed_offset,
            leader_epoch: it.committed_leader_epoch,
            metadata: it.committed_metadata.clone().unwrap_or_default(),
        });
        let checked =
            offsets::check_topic(call, parse_topic(&topic.name), asked, |at, committed| {
                new.insert(at, committed);
            });
        let partitions = checked.await.into_iter().map(|(partition_index, error_code)| {
            TxnOffsetCommitResponsePartition { partition_index, error_code }
        });
        let partitions = partitions.collect();
        topics.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions });
    }
    if let Err(error) = stage(call, &request, new).await {
        // Told so in all versions.
        let error = told(call, i16::MAX, error);
        for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.error_code == errors::NONE {
                partition.error_code = error;
            }
        }
    }
    TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() }
}

async fn stage(
    call: &Call,
    request: &TxnOffsetCommitRequest,
    new: BTreeMap<At, crate::groups::Committed>,
) -> Result<(), i16> {
    let by = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let way = way(call, OFFSETS_IMPLICIT);
    let all = &call.desk.transactions;
    let slot = all.find(call, &request.transactional_id, Operation::Publish).await?;
    let slot = slot.ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
    let mut entry = slot.entry.lock().await;
    let entry = entry.as_mut().ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
    let group = call.desk.groups.open(call, &request.group_id).await?;
    group.with_both(call, |both, _| {
        if request.generation_id < 0 && request.member_id.is_empty() {
            return Ok(());
        }
        let who = (&*request.member_id, request.group_instance_id.as_deref());
        let checked = both.check_committer(who, request.generation_id, true);
        // Producers know this one (KIP-848, "TxnOffsetCommit").
        checked.map_err(|error| match error {
            errors::STALE_MEMBER_EPOCH => errors::ILLEGAL_GENERATION,
            error => error,
        })
    })?;
    all.begin(call, (&slot, entry), by, way).await?;
    slot.mark(call, entry).await.map_err(|it| errors::of_transaction(&it))?;
    let open = entry.open.as_mut().ok_or(errors::INVALID_TXN_STATE)?;
    if way == Way::Explicit && !open.offsets.contains_key(&request.group_id) {
        return Err(errors::INVALID_TXN_STATE);
    }
    let whose = (call.who.project(), slot.name.as_str());
    all.pending.stage(whose, &request.group_id, new.keys(), open.until);
    open.offsets.entry(request.group_id.clone()).or_default().extend(new);
    Ok(())
}

pub async fn end(call: &Call, request: EndTxnRequest) -> EndTxnResponse {
    let by = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let how = (request.committed, way(call, END_IMPLICIT));
    match call.desk.transactions.end(call, &request.transactional_id, by, how).await {
        Ok(producer) => EndTxnResponse {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            ..EndTxnResponse::default()
        },
        Err(error) => {
            EndTxnResponse { error_code: told(call, FENCED, error), ..EndTxnResponse::default() }
        }
    }
}

/// How a transaction stands, in Kafka's words.
fn state(entry: &Entry) -> &'static str {
    match (&entry.open, entry.ended) {
        (Some(_), _) => "Ongoing",
        (None, Some(ended)) if ended.is_commit => "CompleteCommit",
        (None, Some(_)) => "CompleteAbort",
        (None, None) => "Empty",
    }
}

pub async fn describe(
    call: &Call,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for transactional_id in request.transactional_ids {
        let all = &call.desk.transactions;
        let found = match all.find(call, &transactional_id, Operation::Describe).await {
            Ok(Some(slot)) => one(call, &slot).await.ok_or(errors::TRANSACTIONAL_ID_NOT_FOUND),
            Ok(None) => Err(errors::TRANSACTIONAL_ID_NOT_FOUND),
            Err(error) => Err(error),
        };
        transaction_states.push(found.unwrap_or_else(|error_code| TransactionState {
            error_code,
            transactional_id,
            ..TransactionState::default()
        }));
    }
    DescribeTransactionsResponse { transaction_states, ..Default::default() }
}

/// `None` before its first producer.
async fn one(call: &Call, slot: &Slot) -> Option<TransactionState> {
    let mut entry = slot.entry.lock().await;
    let entry = entry.as_mut()?;
    call.desk.transactions.look(call, (slot, entry));
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let batches = call.batches().ok()?;
    let is_seen = |at: &&At| batches.may(&call.who, &at.topic, Operation::Describe);
    for at in entry.open.iter().flat_map(|open| &open.partitions).filter(is_seen) {
        let partition = i32::try_from(at.partition).unwrap_or(i32::MAX);
        topics.entry(at.topic.to_string()).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| TopicData { topic, partitions });
    Some(TransactionState {
        error_code: errors::NONE,
        transactional_id: slot.name.clone(),
        transaction_state: state(entry).to_owned(),
        transaction_timeout_ms: i32::try_from(entry.timeout.as_millis()).unwrap_or(i32::MAX),
        transaction_start_time_ms: entry.open.as_ref().map_or(-1, |open| open.began_ms),
        producer_id: entry.told.id,
        producer_epoch: entry.told.epoch,
        topics: topics.collect(),
    })
}

pub async fn list(call: &Call, request: ListTransactionsRequest) -> ListTransactionsResponse {
    const STATES: [&str; 4] = ["Empty", "Ongoing", "CompleteCommit", "CompleteAbort"];
    let failed = |error_code| ListTransactionsResponse { error_code, ..Default::default() };
    let pattern = match request.transactional_id_pattern.filter(|it| !it.is_empty()) {
        Some(text) => match pattern::whole(&text) {
            Ok(pattern) => Some(pattern),
            Err(_) => return failed(errors::INVALID_REGULAR_EXPRESSION),
        },
        None => None,
    };
    let slots = match call.desk.transactions.list(call).await {
        Ok(slots) => slots,
        Err(error) => return failed(error),
    };
    let now_ms = call.clock.now_ms();
    let mut transaction_states = Vec::new();
    for slot in slots {
        let Some(found) = one(call, &slot).await else { continue };
        let is_asked =
            |filters: &[String]| filters.is_empty() || filters.contains(&found.transaction_state);
        let producers = &request.producer_id_filters;
        let lasts = match found.transaction_start_time_ms {
            began if began >= 0 => now_ms.saturating_sub(began),
            _ => -1,
        };
        if is_asked(&request.state_filters)
            && (producers.is_empty() || producers.contains(&found.producer_id))
            && (request.duration_filter < 0 || lasts >= request.duration_filter)
            && pattern.as_ref().is_none_or(|it| it.is_match(&found.transactional_id))
        {
            transaction_states.push(list_transactions::TransactionState {
                transactional_id: found.transactional_id,
                producer_id: found.producer_id,
                transaction_state: found.transaction_state,
            });
        }
    }
    let unknown = request.state_filters.into_iter().filter(|it| !STATES.contains(&it.as_str()));
    ListTransactionsResponse {
        unknown_state_filters: unknown.collect(),
        transaction_states,
        ..ListTransactionsResponse::default()
    }
}
