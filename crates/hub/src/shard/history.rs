//! Where lagging subscriptions read from: the log beside them, or the log of the process that owns
//! it. Only what a pump needs, so that a shard works wherever it runs.

use crate::branch::{Found, Unread};
use crate::refusal::refusal_of;
use eventlog::{Engine, LogError};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use types::batch::Batch;
use types::{Key, Offset, Partition, TopicId};

/// What was read, or why not.
pub type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Unread>> + Send>>;

/// See `eventlog::Engine` for what the calls promise.
pub trait History: Send + Sync + 'static {
    /// Whole batches in order from the one that holds `from`.
    fn read(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Reading<Vec<Arc<Batch>>>;

    /// The newest record of the key.
    fn latest(&self, topic: TopicId, partition: Partition, key: Key) -> Reading<Option<Found>>;
}

/// The log of this process.
pub struct Log(pub Arc<dyn Engine>);

impl History for Log {
    fn read(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Reading<Vec<Arc<Batch>>> {
        let batches = self.0.read(topic, partition, from, bytes_max);
        Box::pin(async move { batches.await.map_err(unread) })
    }

    fn latest(&self, topic: TopicId, partition: Partition, key: Key) -> Reading<Option<Found>> {
        let found = self.0.latest(topic, partition, key);
        Box::pin(async move {
            let found = found.await.map_err(unread)?;
            Ok(found.map(|found| Found {
                offset: found.offset,
                timestamp: found.timestamp,
                record: found.record,
            }))
        })
    }
}

fn unread(error: LogError) -> Unread {
    match error {
        LogError::OffsetGone { start } => Unread::Gone { start },
        error => Unread::Refused(refusal_of(error)),
    }
}
