//! Transactions of a producer: what is sent in one, and which offsets are committed with it, counts
//! whole or not at all. Both ways are spoken: since KIP-890 (`transaction.version` 2), in which a
//! batch adds its partition by itself and every end is a new epoch, and before.

use super::Producer;
use super::driver::{Command, Place};
use super::lane::Identity;
use crate::admin::Offsets;
use crate::cluster::{Cluster, Coordinates};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire_kafka::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use wire_kafka::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use wire_kafka::messages::end_txn::EndTxnRequest;
use wire_kafka::messages::init_producer_id::InitProducerIdRequest;
use wire_kafka::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

/// From these versions on an end is a new epoch, and offsets add their group by themselves.
const ENDS_WITH_EPOCH: i16 = 5;
const OFFSETS_BY_THEMSELVES: i16 = 5;

/// What a transactional producer and its driver share.
pub struct Ties {
    /// The transactional id.
    pub id: String,
    pub timeout_ms: i32,
    pub is_second: bool,
    state: Mutex<State>,
    has_content: AtomicBool,
}

struct State {
    identity: Identity,
    is_open: bool,
    /// Nothing more is added to it.
    is_ending: bool,
    registered: HashSet<Place>,
    /// Why it can only be given up.
    error: Option<Error>,
}

impl State {
    fn idle(identity: Identity) -> State {
        let registered = HashSet::new();
        State { identity, is_open: false, is_ending: false, registered, error: None }
    }
}

/// Who consumes, for offsets that are committed with a transaction: fenced by the group if it is
/// no longer one of its members.
#[derive(Debug, Clone, Default)]
pub struct GroupMember {
    pub group: String,
    pub member: String,
    /// Its epoch in the group; -1 for a group without members.
    pub epoch: i32,
}

impl GroupMember {
    /// For offsets of partitions that were given by hand.
    pub fn alone(group: &str) -> GroupMember {
        GroupMember { group: group.to_owned(), member: String::new(), epoch: -1 }
    }
}

impl Ties {
    /// Takes over the transactional id: whoever had it before is fenced, and what it left open is
    /// given up.
    pub async fn open(cluster: &Cluster, id: &str, timeout_ms: i32) -> Result<Ties> {
        let identity = take_over(cluster, id, timeout_ms).await?;
        let level = cluster.any().await?.feature("transaction.version");
        Ok(Ties {
            id: id.to_owned(),
            timeout_ms,
            is_second: level >= 2,
            state: Mutex::new(State::idle(identity)),
            has_content: AtomicBool::new(false),
        })
    }

    pub fn identity(&self) -> Identity {
        self.state.lock().identity
    }

    pub fn not_registered(&self, places: &[Place]) -> Vec<Place> {
        let state = self.state.lock();
        places.iter().filter(|place| !state.registered.contains(*place)).cloned().collect()
    }

    pub fn registered(&self, places: Vec<Place>) {
        self.state.lock().registered.extend(places);
    }

    pub fn failed(&self, error: Error) {
        self.state.lock().error.get_or_insert(error);
    }

    pub fn has_content(&self) {
        self.has_content.store(true, Ordering::Release);
    }

    /// Whether records may be sent now.
    pub fn check_open(&self) -> Result<()> {
        let state = self.state.lock();
        match &state.error {
            Some(error) => Err(error.clone()),
            None if state.is_ending => {
                Err(Error::Invalid("the transaction is being ended".to_owned()))
            }
            None if state.is_open => Ok(()),
            None => Err(Error::Invalid("no transaction was begun".to_owned())),
        }
    }
}

async fn take_over(cluster: &Cluster, id: &str, timeout_ms: i32) -> Result<Identity> {
    let request = InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: timeout_ms,
        ..InitProducerIdRequest::default()
    };
    let key = (Coordinates::Transaction, id);
    let told = cluster
        .ask_coordinator(key, (i16::MAX, &request), |told| Error::of(told.error_code, None))
        .await?;
    Ok(Identity { id: told.producer_id, epoch: told.producer_epoch })
}

/// Adds partitions to the transaction, for brokers that want it said.
pub async fn register(
    cluster: &Cluster,
    ties: &Ties,
    identity: Identity,
    places: &[Place],
) -> Result<()> {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for (name, partition) in places {
        match topics.iter_mut().find(|topic| topic.name == *name) {
            Some(topic) => topic.partitions.push(*partition),
            None => topics
                .push(AddPartitionsToTxnTopic { name: name.clone(), partitions: vec![*partition] }),
        }
    }
    let request = AddPartitionsToTxnRequest {
        transactional_id: ties.id.clone(),
        producer_id: identity.id,
        producer_epoch: identity.epoch,
        topics,
    };
    let key = (Coordinates::Transaction, ties.id.as_str());
    let told = cluster.ask_coordinator(key, (i16::MAX, &request), |told| {
        let mut parts = told.results_by_topic.iter().flat_map(|it| &it.results_by_partition);
        parts.try_for_each(|part| Error::of(part.partition_error_code, None))
    });
    told.await.map(|_| ())
}

impl Producer {
    fn ties(&self) -> Result<&Arc<Ties>> {
        self.ties.as_ref().ok_or_else(|| {
            Error::Invalid("the producer was opened without a transactional id".to_owned())
        })
    }

    /// Begins a transaction; what is sent from now on is part of it.
    ///
    /// # Errors
    /// When one is open, or the producer has no transactional id.
    pub fn begin(&self) -> Result<()> {
        let mut state = self.ties()?.state.lock();
        if state.is_open || state.error.is_some() {
            return Err(Error::Invalid("a transaction is open".to_owned()));
        }
        state.is_open = true;
        Ok(())
    }

    /// Commits offsets of a consumer with the transaction.
    ///
    /// # Errors
    /// When no transaction is open, or the group does not know the member in this epoch: then it
    /// can only be aborted.
    pub async fn send_offsets(&self, offsets: &Offsets, member: &GroupMember) -> Result<()> {
        let ties = self.ties()?;
        ties.check_open()?;
        if offsets.is_empty() {
            return Ok(());
        }
        let sent = self.stage(ties, offsets, member).await;
        if let Err(error) = &sent {
            ties.failed(error.clone());
        }
        sent
    }

    async fn stage(&self, ties: &Ties, offsets: &Offsets, member: &GroupMember) -> Result<()> {
        let identity = ties.identity();
        ties.has_content();
        let mut newest = i16::MAX;
        if !ties.is_second {
            newest = OFFSETS_BY_THEMSELVES - 1;
            let request = AddOffsetsToTxnRequest {
                transactional_id: ties.id.clone(),
                producer_id: identity.id,
                producer_epoch: identity.epoch,
                group_id: member.group.clone(),
            };
            let key = (Coordinates::Transaction, ties.id.as_str());
            self.cluster
                .ask_coordinator(key, (i16::MAX, &request), |it| Error::of(it.error_code, None))
                .await?;
        }
        let mut topics: Vec<TxnOffsetCommitRequestTopic> = Vec::new();
        for ((name, partition), committed) in offsets {
            let part = TxnOffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                committed_metadata: Some(committed.metadata.clone()),
            };
            match topics.last_mut().filter(|topic| topic.name == *name) {
                Some(topic) => topic.partitions.push(part),
                None => topics.push(TxnOffsetCommitRequestTopic {
                    name: name.clone(),
                    partitions: vec![part],
                }),
            }
        }
        let request = TxnOffsetCommitRequest {
            transactional_id: ties.id.clone(),
            group_id: member.group.clone(),
            producer_id: identity.id,
            producer_epoch: identity.epoch,
            generation_id: member.epoch,
            member_id: member.member.clone(),
            topics,
            ..TxnOffsetCommitRequest::default()
        };
        let key = (Coordinates::Group, member.group.as_str());
        let told = self.cluster.ask_coordinator(key, (newest, &request), |told| {
            let mut parts = told.topics.iter().flat_map(|topic| &topic.partitions);
            parts.try_for_each(|part| Error::of(part.error_code, None))
        });
        told.await.map(|_| ())
    }

    /// Waits for all that was sent in the transaction, and commits it: an answer without an error
    /// is a promise that all of it counts.
    ///
    /// # Errors
    /// When something in it failed, or the transaction is gone; then `abort` it.
    pub async fn commit(&self) -> Result<()> {
        let ties = self.ties()?;
        ties.check_open()?;
        ties.state.lock().is_ending = true;
        self.flush().await?;
        let failed = ties.state.lock().error.clone();
        if let Some(error) = failed {
            return Err(error);
        }
        if let Err(error) = self.end(ties, true).await {
            ties.failed(error.clone());
            return Err(error);
        }
        Ok(())
    }

    /// Gives the transaction up: nothing of it is ever seen.
    ///
    /// # Errors
    /// When none is open, or another producer has taken over the transactional id.
    pub async fn abort(&self) -> Result<()> {
        let ties = self.ties()?;
        {
            let mut state = ties.state.lock();
            if !state.is_open {
                return Err(Error::Invalid("no transaction was begun".to_owned()));
            }
            state.is_ending = true;
        }
        self.wait_for(Command::Discard).await?;
        self.end(ties, false).await
    }

    async fn end(&self, ties: &Ties, committed: bool) -> Result<()> {
        let identity = ties.identity();
        let had_error = ties.state.lock().error.is_some();
        let mut next = identity;
        if ties.has_content.load(Ordering::Acquire) {
            let request = EndTxnRequest {
                transactional_id: ties.id.clone(),
                producer_id: identity.id,
                producer_epoch: identity.epoch,
                committed,
            };
            let newest = if ties.is_second { i16::MAX } else { ENDS_WITH_EPOCH - 1 };
            let key = (Coordinates::Transaction, ties.id.as_str());
            let told = self
                .cluster
                .ask_coordinator(key, (newest, &request), |it| Error::of(it.error_code, None))
                .await;
            match told {
                Ok(told) if ties.is_second && told.producer_id >= 0 => {
                    next = Identity { id: told.producer_id, epoch: told.producer_epoch };
                }
                Ok(_) => {}
                // The transaction is gone with the broker's memory of it: what it was is given up,
                // and we begin anew.
                Err(error) if !committed && is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if had_error && next == identity {
            // Under another epoch nothing that is late can touch the next transaction.
            next = take_over(&self.cluster, &ties.id, ties.timeout_ms).await?;
        }
        if next != identity {
            self.command(Command::Rename(next)).await?;
        }
        let mut state = ties.state.lock();
        *state = State::idle(next);
        ties.has_content.store(false, Ordering::Release);
        Ok(())
    }
}

fn is_gone(error: &Error) -> bool {
    use wire_kafka::errors as codes;
    matches!(error.code(), Some(codes::INVALID_PRODUCER_ID_MAPPING | codes::INVALID_TXN_STATE))
}
