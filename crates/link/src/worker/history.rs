//! The owner's log, as lagging subscriptions read it. A bounded number of reads at a time: each
//! holds what it has read until its connection takes it.

use super::line::Line;
use crate::call::Call;
use crate::wire::bounds::READS_MAX;
use crate::worker::line::gone;
use hub::branch::{Found, History, Reading, Unread};
use std::sync::Arc;
use tokio::sync::Semaphore;
use types::batch::Batch;
use types::{Key, Offset, Partition, TopicId};

pub struct RemoteHistory {
    line: Arc<Line>,
    reads: Arc<Semaphore>,
}

impl RemoteHistory {
    pub fn new(line: Arc<Line>) -> RemoteHistory {
        RemoteHistory { line, reads: Arc::new(Semaphore::new(READS_MAX)) }
    }
}

impl History for RemoteHistory {
    fn read(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Reading<Vec<Arc<Batch>>> {
        let (line, reads) = (Arc::clone(&self.line), Arc::clone(&self.reads));
        Box::pin(async move {
            let _turn = reads.acquire_owned().await.map_err(|_| Unread::Refused(gone()))?;
            let call = Call::History { topic, partition, from, bytes_max };
            let answer = line.ask::<Result<Vec<Arc<Batch>>, Unread>>(call).await;
            answer.map_err(Unread::Refused)?
        })
    }

    fn latest(&self, topic: TopicId, partition: Partition, key: Key) -> Reading<Option<Found>> {
        let (line, reads) = (Arc::clone(&self.line), Arc::clone(&self.reads));
        Box::pin(async move {
            let _turn = reads.acquire_owned().await.map_err(|_| Unread::Refused(gone()))?;
            let call = Call::Newest { topic, partition, key };
            let answer = line.ask::<Result<Option<Found>, Unread>>(call).await;
            answer.map_err(Unread::Refused)?
        })
    }
}
