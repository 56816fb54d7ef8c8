//! What every engine of the log promises: the one embedded here, and others behind the same trait.
//! Calls do no IO on the caller; what may take long is a future that owns all it needs.

use crate::LogError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use types::{
    Batch, Key, Offset, Partition, Producer, ProjectId, Record, Retention, TenantId, TimestampMs,
    TopicConfig, TopicId,
};

/// A topic as the log needs to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSpec {
    pub id: TopicId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub config: TopicConfig,
}

/// Where an append came to lie: its records have `base_offset` and the following offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// What records without a timestamp of their own got.
    pub timestamp: TimestampMs,
}

/// Which records of one `publish` are stored all or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// All of them, unless they are for one topic that is not durable: there each partition is for
    /// itself, and nobody waits for the device.
    IfStored,
    /// All of them, stored before the answer. `Unsupported` with a topic that stores nothing.
    Always,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Commit,
    Abort,
}

/// Where one record came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub partition: Partition,
    pub offset: Offset,
    /// What it got if it had none of its own.
    pub timestamp: TimestampMs,
    /// Its id was seen before: this is the place of the first one, and nothing was stored.
    pub is_duplicate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest offset still kept.
    pub start: Offset,
    /// The offset after the newest acknowledged record.
    pub end: Offset,
}

/// Who numbers batches in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    pub producer: Producer,
    /// Of its last record stored; `None` when that is forgotten.
    pub last_sequence: Option<i32>,
    pub seen_at: TimestampMs,
    /// Where its open transaction begins in the partition.
    pub open_since: Option<Offset>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub record: Record,
}

/// What operators and readiness probes ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The last append that ended was stored, or none has ended yet.
    pub is_writable: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Groups written since opening, one flush each.
    pub commits: u64,
    pub flushes: u64,
    /// Bytes written since opening, padding included.
    pub written_bytes: u64,
    /// Appends waiting for the device.
    pub pending_bytes: u64,
    /// Recent batches kept in memory.
    pub tail_bytes: u64,
    /// Free space of the device.
    pub free_bytes: u64,
}

/// The answer of a call that may take long.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send>>;

/// Told of every batch, in offset order per partition, when it becomes visible: durable topics
/// after the flush, others at the append. Must be quick. It may ask the engine anything but must
/// not append from within. A batch may be told whose offsets leave a gap to the one before.
pub trait Observer: Send + Sync + 'static {
    fn committed(&self, topic: TopicId, partition: Partition, batch: &Arc<Batch>);
}

pub trait Engine: Send + Sync + 'static {
    /// Creates the topic or changes its configuration. The number of partitions may grow, never
    /// shrink (the old number stays in force then).
    fn put_topic(&self, spec: TopicSpec) -> Result<(), LogError>;

    /// Forgets the topic and its records. Waiting appends and long polls answer `TopicUnknown`.
    fn drop_topic(&self, topic: TopicId) -> Result<(), LogError>;

    /// The records enter their partition, in call order and as a whole, before this returns; the
    /// future answers when they are acknowledged. Dropping it does not undo.
    fn append(
        &self,
        topic: TopicId,
        partition: Partition,
        records: Vec<Record>,
    ) -> Pending<Appended>;

    /// Appends records, each to its partition, all or nothing as `together` says. Those whose id
    /// (the header `ms-id`) the topic saw within its window, in any partition or earlier in this
    /// call, are not stored again: they are answered with the first one's place, when that one is
    /// durable. Calls with ids enter in call order; one that has to look
    /// for an id on the device does so when it is polled, and those after it wait.
    fn publish(
        &self,
        records: Vec<(TopicId, Partition, Record)>,
        together: Together,
    ) -> Pending<Vec<Placement>>;

    /// Appends a batch as its sender made it; only its offset is set. If it is numbered
    /// (`Stamp::sequence`), one of its producer's last five batches sent again is answered with its
    /// first place; `OutOfOrder` when it is not the next, `Fenced` when a newer epoch was seen. If
    /// it is part of a transaction, that must be open (`TransactionUnknown`). With `at` its first
    /// record gets that offset and those before it that nobody has stay nobody's, those that it has
    /// left out as well; `OffsetTaken` when it lies before the end.
    fn append_batch(
        &self,
        topic: TopicId,
        partition: Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Pending<Appended>;

    /// A producer that nobody was before and nobody else will be, over restarts too.
    fn new_producer(&self) -> Producer;

    /// The producer in its next epoch: what the former one has open is given up, and it is
    /// `Fenced` from now on, over restarts too. `Fenced` if that has happened to this one.
    fn take_over(&self, producer: Producer) -> Pending<Producer>;

    /// The producer in the epoch that is taken from it now; `None`: it has begun nothing, or was
    /// not heard of for long.
    fn producer_now(&self, id: i64) -> Option<Producer>;

    /// Opens the producer's transaction. It is given up when it is not ended within the time (15
    /// minutes at most), and by a restart. Readers see nothing of a partition behind the first
    /// record of an open transaction, and what is given up never.
    fn begin(&self, producer: Producer, within: Duration) -> Result<(), LogError>;

    /// Says that the open transaction will append there. Appending says it too.
    fn add(&self, producer: Producer, topic: TopicId, partition: Partition)
    -> Result<(), LogError>;

    /// Appends as part of the producer's open transaction; answers when the records are stored.
    fn append_in(
        &self,
        producer: Producer,
        topic: TopicId,
        partition: Partition,
        records: Vec<Record>,
    ) -> Pending<Appended>;

    /// Ends the producer's transaction, for all its partitions, also over a crash; answers the
    /// producer in the epoch of its next transaction (KIP-890), so that a late call of this one
    /// cannot touch it. Asked again the same way it answers the same; of a commit that was answered
    /// or not before the log was opened, too. After an error of a commit
    /// an abort tells the next epoch.
    fn end(&self, producer: Producer, end: End) -> Pending<Producer>;

    /// Appends to several partitions, of one topic or several: all of it or nothing, whenever the
    /// process ends, and readers of a partition see its part when all is durable. Answers in the
    /// order of the parts. The records enter their partitions before this returns. `Unsupported`
    /// for a topic that stores nothing, unless there is only one part.
    fn transact(&self, parts: Vec<(TopicId, Partition, Vec<Record>)>) -> Pending<Vec<Appended>>;

    /// Whole batches in order, from the one that holds `from` (its earlier records included) or
    /// the first one after it: at least one if any, up to about `bytes_max` together. Empty at
    /// the end. `OffsetGone` when `from` is before the start.
    fn read(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Pending<Vec<Arc<Batch>>>;

    fn bounds(&self, topic: TopicId, partition: Partition) -> Result<Bounds, LogError>;

    /// Gives up every record before the offset, which becomes the partition's start; answers when
    /// that is on the device. Asked for what is gone already it answers what there is.
    /// `OffsetAhead` behind the end.
    fn drop_before(&self, topic: TopicId, partition: Partition, before: Offset) -> Pending<Bounds>;

    /// The greatest timestamp of the records kept; `None` without records.
    fn newest_time(&self, topic: TopicId, partition: Partition) -> Pending<Option<TimestampMs>>;

    /// Bytes that the partition's records take on the device.
    fn partition_bytes(&self, topic: TopicId, partition: Partition) -> Result<u64, LogError>;

    /// Who numbers batches in the partition and is still known, by number.
    fn producers_of(
        &self,
        topic: TopicId,
        partition: Partition,
    ) -> Result<Vec<ProducerState>, LogError>;

    /// Where a reader that wants `next` must go back to, if what it has seen before that is no
    /// more: the log was restored to an earlier moment, or lost its end. Offsets are never given
    /// twice, so what lies behind is new. `None` when nothing of the kind is known.
    fn lost_behind(&self, topic: TopicId, partition: Partition, next: Offset) -> Option<Offset> {
        let _ = (topic, partition, next);
        None
    }

    /// The first record kept whose timestamp is `time` or later; the end when there is none.
    fn offset_at(&self, topic: TopicId, partition: Partition, time: TimestampMs)
    -> Pending<Offset>;

    /// The newest record of the key; `None` when there is none or it is a tombstone.
    fn latest(&self, topic: TopicId, partition: Partition, key: Key) -> Pending<Option<Found>>;

    /// The newest `count` records of the key, tombstones included, oldest first; fewer of the
    /// newest when together they reach 8 MiB of key, value and headers.
    fn last_of_key(
        &self,
        topic: TopicId,
        partition: Partition,
        key: Key,
        count: usize,
    ) -> Pending<Vec<Found>>;

    /// Keys whose newest record is not a tombstone, of all partitions, in byte order, after
    /// `after`; and whether there are more.
    fn keys(&self, topic: TopicId, after: Option<Key>, limit: usize) -> Pending<(Vec<Key>, bool)>;

    /// Resolves when a partition has a visible end beyond the offset given with it. The caller
    /// adds its own timeout.
    fn wait(&self, topic: TopicId, beyond: Vec<(Partition, Offset)>) -> Pending<()>;

    /// Once, before traffic; a second observer is refused.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// Bytes the topic's records take on the device; 0 for an unknown topic.
    fn stored_bytes(&self, topic: TopicId) -> u64;

    fn tenant_bytes(&self, tenant: TenantId) -> u64;

    /// The oldest records of the tenant's topics go when together they pass a bound. Topics that
    /// are only compacted count and give nothing.
    fn set_tenant_retention(&self, tenant: TenantId, bounds: Retention);

    /// As for a tenant, for one project of it.
    fn set_project_retention(&self, project: ProjectId, bounds: Retention);

    fn health(&self) -> Health;
}
