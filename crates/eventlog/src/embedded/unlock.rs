//! Whether a tenant's records may be read and written at all: its keys are there, are missing, or
//! were shredded. Asked at each call, answered from memory until the keys change, and then what is
//! kept in memory of a shredded tenant goes too. It must not know how keys are kept.

use super::core::Core;
use super::draft::{Acknowledge, Flight};
use super::hasher::KeyHasher;
use super::topic::{Shared, Topic};
use crate::LogError;
use parking_lot::Mutex;
use std::sync::atomic::Ordering;
use storage::{DataKeys, ExtentRef, KeyError};
use types::TenantId;

/// What was learned of a tenant's keys, and in which epoch of theirs.
#[derive(Default)]
pub struct TenantLock(Mutex<Option<(u64, Result<KeyHasher, LogError>)>>);

impl TenantLock {
    fn open(&self, tenant: TenantId, keys: &dyn DataKeys) -> Result<KeyHasher, LogError> {
        // Before the question: an answer older than the epoch is asked for again.
        let epoch = keys.epoch();
        if let Some((known, answer)) = &*self.0.lock()
            && *known == epoch
        {
            return answer.clone();
        }
        let answer = keys.index_secret(tenant);
        // What may be over in a moment is not worth remembering.
        let is_lasting = !matches!(answer, Err(KeyError::Unavailable(_)));
        let answer = answer.map(KeyHasher::Keyed).map_err(LogError::from);
        *self.0.lock() = is_lasting.then(|| (epoch, answer.clone()));
        answer
    }
}

impl TenantLock {
    /// Somebody has asked before, so that asking again makes no key.
    fn is_known(&self) -> bool {
        self.0.lock().is_some()
    }

    /// The last answer was that the tenant was shredded, which is final.
    pub fn is_shredded(&self) -> bool {
        matches!(&*self.0.lock(), Some((_, Err(LogError::Shredded))))
    }
}

impl From<KeyError> for LogError {
    fn from(error: KeyError) -> LogError {
        match error {
            KeyError::Shredded(_) => LogError::Shredded,
            other => LogError::NoKey(other.to_string()),
        }
    }
}

impl Core {
    /// How the topic's keys are hashed, or why nothing of its tenant may be read or written.
    pub fn unlock(&self, shared: &Shared) -> Result<KeyHasher, LogError> {
        match &self.world.keys {
            Some(keys) => shared.lock.open(shared.tenant_id, &**keys),
            None => Ok(KeyHasher::Plain),
        }
    }

    /// Forgets what is in memory under keys that are gone. Cheap when no key changed.
    pub fn look_at_keys(&self) {
        let Some(keys) = &self.world.keys else { return };
        let epoch = keys.epoch();
        if self.keys_seen.swap(epoch, Ordering::AcqRel) == epoch {
            return;
        }
        self.store.forget_keys();
        for topic in self.topics.all() {
            let is_asked = topic.shared.lock.is_known() || self.holds_sealed(&topic);
            if is_asked && self.unlock(&topic.shared) == Err(LogError::Shredded) {
                self.forget_records(&topic);
            }
        }
    }

    /// Whether anything the topic has stored is under its tenant's keys: then there are some.
    fn holds_sealed(&self, topic: &Topic) -> bool {
        topic.partitions.iter().any(|partition| {
            let newest = partition.state.lock().spans.back().copied();
            newest.is_some_and(|span| {
                let (id, generation) = (span.extent, span.generation);
                self.store.is_sealed(ExtentRef { id, generation })
            })
        })
    }

    /// Drops recent batches and listings of a topic that nobody may read any more. Its space on the
    /// device is given back by the next maintenance.
    fn forget_records(&self, topic: &Topic) {
        self.directory.forget(topic.shared.id);
        for partition in &topic.partitions {
            self.tail.forget(partition);
            let mut state = partition.state.lock();
            let tail = std::mem::take(&mut state.tail);
            state.seen = None;
            drop(state);
            drop(tail);
        }
        topic.shared.moved.notify_waiters();
    }

    /// Nothing of the group was written, since one tenant has no key. Its appends are refused, the
    /// others come again in their order.
    pub fn refuse_keyless(&self, flights: Vec<Flight>, tenant: TenantId, error: &KeyError) {
        tracing::warn!(%tenant, %error, "appends are refused: they cannot be sealed");
        let why = LogError::from(error.clone());
        let mut carried = self.intake.carried.lock();
        let flights = flights.into_iter().chain(carried.drain(..));
        // What is decided may change with what is refused: decisions are written anew.
        let (decisions, flights): (Vec<Flight>, Vec<Flight>) =
            flights.partition(|flight| !flight.decisions.is_empty());
        let (theirs, others): (Vec<Flight>, Vec<Flight>) =
            flights.into_iter().partition(|flight| flight.partition.shared.tenant_id == tenant);
        carried.extend(others);
        drop(carried);
        self.decide_again(decisions, tenant, &why);
        for flight in theirs {
            match flight.acknowledge {
                Acknowledge::AfterFlush => self.roll_back(&flight.partition, &why),
                Acknowledge::AtAppend => self.lose_relaxed(&flight, &why),
            }
            self.refuse_flight(flight, &why);
        }
    }

    /// Relaxed records that were acknowledged and cannot be stored.
    fn lose_relaxed(&self, flight: &Flight, why: &LogError) {
        let mut state = flight.partition.state.lock();
        state.unstored_records -= flight.batch.count() as usize;
        let offsets = flight.batch.base_offset()..flight.batch.next_offset();
        state.tail.retain(|tail| !offsets.contains(&tail.batch.base_offset()));
        drop(state);
        tracing::error!(?offsets, %why, "relaxed records are lost");
    }
}
