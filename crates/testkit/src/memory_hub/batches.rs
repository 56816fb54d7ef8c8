//! What adapters keep, and producers with their transactions, in memory. The rest of whole batches
//! needs the log: a test that appends and reads them does so against the real hub.

use super::{Call, MemoryHub};
use bytes::Bytes;
use port::{
    Answer, BatchPlaced, Batches, BatchesRead, Code, Identity, PartitionInfo, Place, ProducerState,
    Refusal, TopicInfo, Transactions,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use types::acl::Named;
use types::{Batch, Offset, Operation, Partition, Producer, TimestampMs, TopicId, TopicName};

/// By project and adapter.
pub(super) type Shelves = BTreeMap<(types::ProjectId, &'static str), BTreeMap<Bytes, Bytes>>;

/// The epoch that is taken from a producer, and whether its transaction is open.
#[derive(Clone, Copy, Default)]
pub(super) struct Producing {
    epoch: i16,
    is_open: bool,
}

fn ready<'a, T: Send + 'a>(answer: Result<T, Refusal>) -> Answer<'a, T> {
    Box::pin(std::future::ready(answer))
}

fn without_log<'a, T: Send + 'a>() -> Answer<'a, T> {
    ready(Err(Refusal::new(Code::Unsupported, "this hub has no whole batches")))
}

impl MemoryHub {
    fn keep_now(
        &self,
        who: &Identity,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<(), Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, Call::Append)?;
        let kept = state.shelves.entry((who.project(), shelf)).or_default();
        for (key, value) in entries {
            match value {
                Some(value) => drop(kept.insert(key, value)),
                None => drop(kept.remove(&key)),
            }
        }
        Ok(())
    }

    fn kept_now(
        &self,
        who: &Identity,
        shelf: &'static str,
        prefix: &[u8],
        after: Option<&Bytes>,
    ) -> Result<Vec<(Bytes, Bytes)>, Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, Call::Read)?;
        let kept = state.shelves.entry((who.project(), shelf)).or_default();
        let wanted = kept
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| *key > after));
        Ok(wanted.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl Batches for MemoryHub {
    fn append_batch<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _partition: Partition,
        _batch: Batch,
        _at: Option<Offset>,
    ) -> Answer<'a, BatchPlaced> {
        without_log()
    }

    fn read_batches<'a>(
        &'a self,
        _who: &'a Identity,
        _place: &'a Place,
        _bytes_max: usize,
    ) -> Answer<'a, BatchesRead> {
        without_log()
    }

    fn offset_at<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _partition: Partition,
        _time: TimestampMs,
    ) -> Answer<'a, Option<(Offset, TimestampMs)>> {
        without_log()
    }

    fn drop_before<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _partition: Partition,
        _before: Option<Offset>,
    ) -> Answer<'a, PartitionInfo> {
        without_log()
    }

    fn newest<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _partition: Partition,
    ) -> Answer<'a, Option<(Offset, TimestampMs)>> {
        without_log()
    }

    fn stored_bytes(&self, _who: &Identity, _topic: &TopicName) -> Result<Vec<u64>, Refusal> {
        Err(Refusal::new(Code::Unsupported, "this hub stores nothing"))
    }

    fn producers(
        &self,
        _who: &Identity,
        _topic: &TopicName,
        _partition: Partition,
    ) -> Result<Vec<ProducerState>, Refusal> {
        Err(Refusal::new(Code::Unsupported, "this hub has no whole batches"))
    }

    fn wait_behind<'a>(&'a self, _who: &'a Identity, _places: Vec<Place>) -> Answer<'a, ()> {
        without_log()
    }

    fn topic_on_use<'a>(
        &'a self,
        _who: &'a Identity,
        _name: &'a TopicName,
        _partitions: u32,
    ) -> Answer<'a, TopicInfo> {
        without_log()
    }

    fn check_name(
        &self,
        _who: &Identity,
        _name: (Named, &str),
        _operation: Operation,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    fn may(&self, _who: &Identity, _topic: &TopicName, _operation: Operation) -> bool {
        true
    }

    fn topic_numbered(&self, who: &Identity, id: TopicId) -> Option<TopicName> {
        let state = self.state();
        let mut topics = state.projects.get(&who.project())?.topics.iter();
        topics.find(|(_, topic)| topic.id() == id).map(|(name, _)| name.clone())
    }

    fn handed_out(&self, _who: &Identity, _batches: &[Arc<Batch>]) {}

    fn new_producer(&self, _who: &Identity) -> Result<Producer, Refusal> {
        let mut state = self.state();
        let id = i64::try_from(state.producers.len()).unwrap_or(i64::MAX);
        state.producers.insert(id, Producing::default());
        Ok(Producer { id, epoch: 0 })
    }

    fn keep<'a>(
        &'a self,
        who: &'a Identity,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Answer<'a, ()> {
        ready(self.keep_now(who, shelf, entries))
    }

    fn kept<'a>(
        &'a self,
        who: &'a Identity,
        shelf: &'static str,
        prefix: &'a [u8],
        after: Option<Bytes>,
        limit: usize,
    ) -> Answer<'a, Vec<(Bytes, Bytes)>> {
        let found = self.kept_now(who, shelf, prefix, after.as_ref());
        ready(found.map(|mut found| {
            found.truncate(limit);
            found
        }))
    }
}

impl MemoryHub {
    /// What was open is over; the producer goes on in the epoch.
    fn end_epoch(&self, id: i64, epoch: i16) -> Producer {
        self.state().producers.insert(id, Producing { epoch, is_open: false });
        Producer { id, epoch }
    }

    fn producing(&self, id: i64) -> Option<Producing> {
        self.state().producers.get(&id).copied()
    }

    /// As a restart of the log does: what is open is given up.
    pub fn restart_transactions(&self) {
        for producing in self.state().producers.values_mut().filter(|it| it.is_open) {
            *producing = Producing { epoch: producing.epoch + 1, is_open: false };
        }
    }
}

impl Transactions for MemoryHub {
    fn producer_now(&self, _who: &Identity, id: i64) -> Result<Option<Producer>, Refusal> {
        Ok(self.producing(id).map(|now| Producer { id, epoch: now.epoch }))
    }

    fn take_over<'a>(&'a self, _who: &'a Identity, producer: Producer) -> Answer<'a, Producer> {
        let known = self.producing(producer.id).map_or(0, |now| now.epoch);
        ready(Ok(self.end_epoch(producer.id, known.max(producer.epoch) + 1)))
    }

    fn begin(&self, _who: &Identity, producer: Producer, _: Duration) -> Result<(), Refusal> {
        if self.producing(producer.id).is_some_and(|now| now.epoch > producer.epoch) {
            return Err(Refusal::new(Code::ProducerFenced, "a newer producer has the same id"));
        }
        let open = Producing { epoch: producer.epoch, is_open: true };
        self.state().producers.insert(producer.id, open);
        Ok(())
    }

    fn append_part<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _partition: Partition,
        _batch: Batch,
    ) -> Answer<'a, BatchPlaced> {
        without_log()
    }

    fn commit<'a>(
        &'a self,
        who: &'a Identity,
        producer: Producer,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Answer<'a, Producer> {
        match self.producing(producer.id) {
            Some(now) if now.is_open && now.epoch == producer.epoch => {}
            _ => {
                let message = "the transaction is not open";
                return ready(Err(Refusal::new(Code::TransactionNotOpen, message)));
            }
        }
        let kept = self.keep_now(who, shelf, entries);
        ready(kept.map(|()| self.end_epoch(producer.id, producer.epoch + 1)))
    }
}
