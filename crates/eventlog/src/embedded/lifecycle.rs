//! What happens to a topic as a whole, and what is asked about all of them: dropping, waiting,
//! health.

use super::core::Core;
use super::partition::Partition;
use crate::{Health, LogError, Pending};
use std::future::ready;
use std::sync::Arc;
use types::{Offset, TopicId};

impl Core {
    pub fn drop_topic(&self, topic: TopicId) -> Result<(), LogError> {
        let topic = self.topics.remove(topic)?;
        self.directory.forget(topic.shared.id);
        let why = LogError::TopicUnknown;
        for partition in &topic.partitions {
            let mut state = partition.state.lock();
            state.gone = Some(why.clone());
            state.refuse_late(0, &why);
            let drafts = state.drafts.drain(..).collect();
            let spans = std::mem::take(&mut state.spans);
            let tail = std::mem::take(&mut state.tail);
            let held = std::mem::take(&mut state.held);
            drop(state);
            drop(tail);
            held.iter().for_each(|held| self.transactions.let_go(held.tail.memory_bytes()));
            self.refuse_drafts(drafts, &why);
            for span in spans {
                topic.shared.remove_bytes(span.bytes);
                self.extents.give_back(span.extent, span.generation);
            }
        }
        topic.shared.moved.notify_waiters();
        Ok(())
    }

    pub fn wait(
        self: &Arc<Self>,
        topic: TopicId,
        beyond: Vec<(types::Partition, Offset)>,
    ) -> Pending<()> {
        let topic = match self.topics.get(topic) {
            Ok(topic) => topic,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let watched = beyond
            .into_iter()
            .map(|(number, offset)| Ok((Arc::clone(topic.partition(number)?), offset)))
            .collect::<Result<Vec<(Arc<Partition>, Offset)>, LogError>>();
        let watched = match watched {
            Ok(watched) => watched,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let shared = Arc::clone(&topic.shared);
        let core = Arc::clone(self);
        Box::pin(async move {
            let mut moved = Box::pin(shared.moved.notified());
            loop {
                // Listening begins before the look, so that nothing falls between.
                moved.as_mut().enable();
                if core.is_closed() {
                    return Err(LogError::Closed);
                }
                if shared.is_dropped() {
                    return Err(LogError::TopicUnknown);
                }
                if watched.iter().any(|(partition, offset)| partition.bounds().end > *offset) {
                    return Ok(());
                }
                moved.as_mut().await;
                moved.set(shared.moved.notified());
            }
        })
    }

    pub fn health(&self) -> Health {
        let stats = self.store.stats();
        let reason = match () {
            () if self.is_closed() => Some(LogError::Closed.to_string()),
            () if self.intake.is_full() => Some(LogError::Full.to_string()),
            () => self.intake.failure().or(stats.failed),
        };
        Health {
            is_writable: reason.is_none(),
            reason,
            commits: stats.commits,
            flushes: stats.flushes,
            written_bytes: stats.bytes,
            pending_bytes: self.intake.pending_bytes() as u64,
            tail_bytes: self.tail.bytes() as u64,
            free_bytes: stats.free_bytes,
        }
    }
}
