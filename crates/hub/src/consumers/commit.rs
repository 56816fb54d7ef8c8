//! A consumer that does not fetch: it streams the topic over any face from where it stands, and
//! says now and then how far it has come. Nothing is leased, so nothing comes again by itself.

use super::runtime::Runtime;
use crate::node::Node;
use crate::refusal::refusal_of;
use crate::topic::Topic;
use port::consumers::{ConsumerAddress, ConsumerInfo};
use port::{Code, Identity, Refusal};
use types::limits::CURSOR_POSITIONS_MAX;
use types::{ConsumerName, Position, Positions};

impl Node {
    /// Where the consumer stands: before the oldest record that is not acknowledged.
    pub(crate) async fn committed_of(
        &self,
        who: &Identity,
        topic: &Topic,
        name: &ConsumerName,
    ) -> Result<Positions, Refusal> {
        let at = ConsumerAddress { topic: topic.name.clone(), name: name.clone() };
        let runtime = self.consumer_for(who, &at).await?;
        runtime.gone()?;
        let book = runtime.book.lock();
        let position = |(partition, ledger): (_, &consumers::Ledger)| Position {
            topic: topic.id,
            partition,
            next: ledger.committed(),
        };
        Ok(book.ledgers().map(position).collect())
    }

    pub(crate) async fn commit_consumer(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        cursors: Vec<String>,
    ) -> Result<ConsumerInfo, Refusal> {
        let runtime = self.consumer_for(who, at).await?;
        runtime.gone()?;
        if cursors.is_empty() || cursors.len() > CURSOR_POSITIONS_MAX {
            let message = format!("1 to {CURSOR_POSITIONS_MAX} cursors say how far");
            return Err(Refusal::new(Code::InvalidRequest, message).field("cursors"));
        }
        let opened = self.open_cursors(runtime.topic.project, &cursors);
        let reached = opened.map_err(|refusal| refusal.field("cursors"))?;
        self.acknowledge_to(&runtime, &reached)?;
        runtime.touch(self);
        runtime.changed.notify_waiters();
        self.keep(&runtime).await?;
        self.describe_consumer(&runtime).await
    }

    fn acknowledge_to(&self, runtime: &Runtime, reached: &Positions) -> Result<(), Refusal> {
        let topic = &runtime.topic;
        let mut is_of_topic = false;
        for partition in 0..topic.partitions() {
            let Some(next) = reached.get(topic.id, partition) else {
                continue;
            };
            is_of_topic = true;
            // A restored log may end before a cursor of its former life.
            let end = self.engine.bounds(topic.id, partition).map_err(refusal_of)?.end;
            if let Some(ledger) = runtime.book.lock().ledger(partition) {
                ledger.acknowledge_to(next.min(end));
            }
        }
        if is_of_topic {
            return Ok(());
        }
        let message = format!("no cursor is of the topic `{}`", topic.name);
        Err(Refusal::new(Code::InvalidRequest, message).field("cursors"))
    }
}
