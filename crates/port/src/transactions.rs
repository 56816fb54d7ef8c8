//! Transactions at the seam, for adapters whose clients begin and end them in calls of their own.
//! Whose producer is whose is the adapter's to know: it keeps that for the project.

use crate::hub::Answer;
use crate::{BatchPlaced, Identity, Refusal};
use bytes::Bytes;
use std::time::Duration;
use types::{Batch, Partition, Producer, TopicName};

/// A transaction is given up after so long at most.
pub const TRANSACTION_MAX: Duration = Duration::from_secs(15 * 60);

/// What a producer can do with its transaction. Every end is a new epoch of the producer
/// (KIP-890), so that what arrives late can touch no later one. Whoever calls may publish.
pub trait Transactions: Send + Sync {
    /// The producer in the epoch that the log takes from it; `None`: the log knows none.
    fn producer_now(&self, who: &Identity, id: i64) -> Result<Option<Producer>, Refusal>;

    /// The producer in an epoch after this one and after all that the log knows: what it has open
    /// is given up, and whoever has a former epoch is `ProducerFenced`, over restarts too.
    fn take_over<'a>(&'a self, who: &'a Identity, producer: Producer) -> Answer<'a, Producer>;

    /// Opens the producer's transaction. It is given up when it is not ended within the time, and
    /// by a restart.
    fn begin(&self, who: &Identity, producer: Producer, within: Duration) -> Result<(), Refusal>;

    /// Appends a batch of the open transaction; see `Batches::append_batch`.
    fn append_part<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        batch: Batch,
    ) -> Answer<'a, BatchPlaced>;

    /// Commits what was appended and keeps the entries (`Batches::keep`), all of it or nothing.
    /// Answers the producer as it goes on. Asked again it answers the same. `TransactionNotOpen`
    /// or `ProducerFenced` when nothing of the kind can be committed any more.
    fn commit<'a>(
        &'a self,
        who: &'a Identity,
        producer: Producer,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Answer<'a, Producer>;
}
