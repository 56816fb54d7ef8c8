//! `port::Transactions` over the log's. What is kept for the adapter goes into the transaction
//! just before its end: readers of the shelf wait only for the flush.

use crate::batches::{KEPT_AT_ONCE, shelved};
use crate::node::Node;
use crate::refusal::refusal_of;
use bytes::Bytes;
use eventlog::End;
use port::{Answer, BatchPlaced, Identity, Refusal, Transactions};
use rules::scopes;
use std::task::Poll;
use std::time::Duration;
use types::{Batch, Partition, Producer, Scope, TopicName};

impl Node {
    fn may_bind(&self, who: &Identity) -> Result<(), Refusal> {
        self.admit(who)?;
        scopes::require(who.claims().scopes, Scope::EventsPublish)
    }

    async fn commit_with(
        &self,
        who: &Identity,
        producer: Producer,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<Producer, Refusal> {
        self.may_bind(who)?;
        let mut records = shelved(entries)?;
        let mut stored = Vec::new();
        if !records.is_empty() {
            let topic = self.shelf(who, shelf).await?.id;
            // They enter the log in this order; the end waits for all of them.
            while !records.is_empty() {
                let rest = records.split_off(records.len().min(KEPT_AT_ONCE));
                let mut entered = self.engine.append_in(producer, topic, 0, records);
                // What is refused at once is in no transaction: without it there is nothing to end.
                match futures_util::poll!(&mut entered) {
                    Poll::Ready(outcome) => drop(outcome.map_err(refusal_of)?),
                    Poll::Pending => stored.push(entered),
                }
                records = rest;
            }
        }
        let ended = self.engine.end(producer, End::Commit);
        for stored in stored {
            stored.await.map_err(refusal_of)?;
        }
        ended.await.map_err(refusal_of)
    }
}

impl Transactions for Node {
    fn producer_now(&self, who: &Identity, id: i64) -> Result<Option<Producer>, Refusal> {
        self.may_bind(who)?;
        Ok(self.engine.producer_now(id))
    }

    fn take_over<'a>(&'a self, who: &'a Identity, producer: Producer) -> Answer<'a, Producer> {
        Box::pin(async move {
            self.may_bind(who)?;
            let known =
                self.engine.producer_now(producer.id).filter(|now| now.epoch > producer.epoch);
            self.engine.take_over(known.unwrap_or(producer)).await.map_err(refusal_of)
        })
    }

    fn begin(&self, who: &Identity, producer: Producer, within: Duration) -> Result<(), Refusal> {
        self.may_bind(who)?;
        self.engine.begin(producer, within).map_err(refusal_of)
    }

    fn append_part<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        batch: Batch,
    ) -> Answer<'a, BatchPlaced> {
        Box::pin(async move {
            let placed = self.append_whole(who, topic, partition, batch, None).await;
            self.noted(who, "record.publish", topic, placed)
        })
    }

    fn commit<'a>(
        &'a self,
        who: &'a Identity,
        producer: Producer,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Answer<'a, Producer> {
        Box::pin(self.commit_with(who, producer, shelf, entries))
    }
}
