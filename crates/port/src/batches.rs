//! The log at the seam for those who speak in whole batches: what they append and read is stored
//! and handed out as it is, and producers may number their batches or bind them together. All the
//! checks of a publish and a read are behind these calls, too.

use crate::hub::{Answer, PartitionInfo, TopicInfo};
use crate::{Identity, Refusal, Transactions};
use bytes::Bytes;
use std::sync::Arc;
use types::acl::Named;
use types::{Batch, Offset, Operation, Partition, Producer, TimestampMs, TopicId, TopicName};

/// Bytes that one read answers at most, give or take a batch.
pub const BATCHES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of one value that a protocol keeps at most.
pub const KEPT_BYTES_MAX: usize = 256 * 1024;

/// One partition and an offset in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub topic: TopicName,
    pub partition: Partition,
    pub offset: Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlaced {
    /// The batch's first record; the first one's if the batch was sent before.
    pub base_offset: Offset,
    /// The oldest record still kept in the partition.
    pub start: Offset,
}

/// Who numbers batches in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    pub producer: Producer,
    /// Of its last record stored; `None` when that is forgotten.
    pub last_sequence: Option<i32>,
    pub seen_at: TimestampMs,
    /// Where its open transaction begins in the partition.
    pub open_since: Option<Offset>,
}

#[derive(Debug, Clone)]
pub struct BatchesRead {
    /// In offset order, from the one that holds the offset asked for.
    pub batches: Vec<Arc<Batch>>,
    /// As they were before the look: where no batch was found, there is none before this end.
    pub bounds: PartitionInfo,
}

/// Everything that can be done with whole batches. `Hub::batches` answers it.
pub trait Batches: Transactions {
    /// Appends a batch as its sender made it; the work enters the log when the future is first
    /// polled. A numbered batch that was sent before is not stored again. `Conflict` when it is
    /// not the next of its producer, or a newer epoch of it was seen. With `at` its first record
    /// gets that offset, for copies that keep those of their source: it takes the right to manage
    /// the topic, and is `InvalidRequest` at `at` when the partition's end is behind it.
    fn append_batch<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Answer<'a, BatchPlaced>;

    /// Whole batches from the one that holds the offset on: at least one if any, up to about
    /// `bytes_max` together. Answers at once. Whoever may read only some keys of the topic is
    /// refused. Where the offset is outside of what is kept, `bounds` say so.
    fn read_batches<'a>(
        &'a self,
        who: &'a Identity,
        place: &'a Place,
        bytes_max: usize,
    ) -> Answer<'a, BatchesRead>;

    /// These were handed out to a client: they count as delivered.
    fn handed_out(&self, who: &Identity, batches: &[Arc<Batch>]);

    /// The first record kept whose timestamp is `time` or later, and its timestamp.
    fn offset_at<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        time: TimestampMs,
    ) -> Answer<'a, Option<(Offset, TimestampMs)>>;

    /// Gives up every record of the partition before the offset, or all there are; answers the
    /// bounds when that is stored. It takes the right to manage the topic. `InvalidRequest` at
    /// `offset` when that was not given yet.
    fn drop_before<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        before: Option<Offset>,
    ) -> Answer<'a, PartitionInfo>;

    /// The first record kept that has the greatest timestamp, and that; for who may read.
    fn newest<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
    ) -> Answer<'a, Option<(Offset, TimestampMs)>>;

    /// Bytes on the device of each partition of the topic, for who may see it.
    fn stored_bytes(&self, who: &Identity, topic: &TopicName) -> Result<Vec<u64>, Refusal>;

    /// Who numbers batches in the partition, for who may read.
    fn producers(
        &self,
        who: &Identity,
        topic: &TopicName,
        partition: Partition,
    ) -> Result<Vec<ProducerState>, Refusal>;

    /// Resolves when one of the partitions has a record at its offset or behind it. The caller adds
    /// its own timeout.
    fn wait_behind<'a>(&'a self, who: &'a Identity, places: Vec<Place>) -> Answer<'a, ()>;

    /// The topic, made as a first publish or follow makes it if it is not there, but with so many
    /// partitions.
    fn topic_on_use<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        partitions: u32,
    ) -> Answer<'a, TopicInfo>;

    /// Whether the client may do this with the topic as a whole, as scopes and access lists say.
    fn may(&self, who: &Identity, topic: &TopicName, operation: Operation) -> bool;

    /// Refuses what the client may not do with what Kafka's clients call so, as scopes and access
    /// lists say.
    fn check_name(
        &self,
        who: &Identity,
        name: (Named, &str),
        operation: Operation,
    ) -> Result<(), Refusal>;

    /// The topic with this number, if it is one of the project's.
    fn topic_numbered(&self, who: &Identity, id: TopicId) -> Option<TopicName>;

    /// A producer that nobody was before.
    fn new_producer(&self, who: &Identity) -> Result<Producer, Refusal>;

    /// What the adapter keeps for the project under these keys, in a compacted topic of the
    /// platform's: all of it, stored, or nothing. `None` forgets. `shelf` is the adapter's `NAME`.
    fn keep<'a>(
        &'a self,
        who: &'a Identity,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Answer<'a, ()>;

    /// What is kept under keys that begin so, in their order, after `after`; at most `limit`.
    fn kept<'a>(
        &'a self,
        who: &'a Identity,
        shelf: &'static str,
        prefix: &'a [u8],
        after: Option<Bytes>,
        limit: usize,
    ) -> Answer<'a, Vec<(Bytes, Bytes)>>;
}
