//! Deliveries acknowledged together with records that are published: whoever reads one topic and
//! writes others does both or neither, whatever happens to him, to the server or to the power.

use super::runtime::{Runtime, Writing};
use super::settle::refusal_of_token;
use crate::node::Node;
use crate::publish::Prepared;
use crate::publish::placed;
use crate::refusal::refusal_of;
use consumers::Place;
use eventlog::Together;
use port::consumers::{ConsumerAddress, SETTLE_MAX};
use port::{Code, Identity, Placed, Refusal};
use std::sync::Arc;
use types::{Partition, Record, TopicId, TopicName};

impl Node {
    pub(crate) async fn settle_and_publish(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        tokens: Vec<String>,
        publishes: Vec<(TopicName, Vec<Record>)>,
    ) -> Result<Vec<Vec<Placed>>, Refusal> {
        let runtime = self.consumer_for(who, at).await?;
        runtime.touch(self);
        if !(1..=SETTLE_MAX).contains(&tokens.len()) {
            let message = "a transaction acknowledges at least one delivery, and not too many";
            return Err(Refusal::new(Code::InvalidRequest, message)
                .field("acknowledge.tokens")
                .hint(format!("1 to {SETTLE_MAX}")));
        }
        let Prepared { counts, records, held: _held } =
            self.prepare_together(who, publishes).await?;
        // To the end even when the caller leaves: what is under way must be known here.
        let work = |node: Arc<Node>| async move {
            node.settle_and_publish_now(&runtime, &tokens, records).await
        };
        let mut placed = self.to_the_end(work).await?.into_iter();
        Ok(counts.into_iter().map(|count| placed.by_ref().take(count).collect()).collect())
    }

    async fn settle_and_publish_now(
        &self,
        runtime: &Runtime,
        tokens: &[String],
        mut records: Vec<(TopicId, Partition, Record)>,
    ) -> Result<Vec<Placed>, Refusal> {
        let states = self.states_of(&runtime.topic).await?;
        let _one_at_a_time = runtime.writer.lock().await;
        runtime.gone()?;
        let count = records.len();
        let places = self.take_up(runtime, tokens)?;
        let writing = Writing::new(&runtime.book);
        let state = runtime.state(self, &places);
        records.extend(state.into_iter().map(|record| (states.id, 0, record)));
        let outcome = self.engine.publish(records, Together::Always).await;
        let mut book = runtime.book.lock();
        let until = self.world.clock.monotonic() + book.terms.ack_wait;
        for place in &places {
            if let Some(ledger) = book.ledger(place.partition) {
                match outcome {
                    Ok(_) => ledger.acknowledge(place.offset),
                    // Still in the caller's hands: he may try again.
                    Err(_) => ledger.extend(place.offset, until),
                }
            }
        }
        drop(book);
        runtime.changed.notify_waiters();
        let placements = outcome.map_err(refusal_of)?;
        writing.done();
        // The states came last, and nobody asks where they lie.
        Ok(placements.into_iter().take(count).map(placed).collect())
    }

    /// All of the deliveries, or none: nobody else may settle them from now on.
    fn take_up(&self, runtime: &Runtime, tokens: &[String]) -> Result<Vec<Place>, Refusal> {
        let mut book = runtime.book.lock();
        book.turn(self.world.clock.monotonic(), &*self.world.rng);
        let mut places = Vec::with_capacity(tokens.len());
        for (index, text) in tokens.iter().enumerate() {
            let at = |refusal: Refusal| refusal.field(format!("acknowledge.tokens[{index}]"));
            let token = self.open_token(runtime, &book, text).map_err(at)?;
            book.check(token.due).map_err(|refused| at(refusal_of_token(refused)))?;
            places.push(token.due.place);
        }
        places.sort_unstable();
        places.dedup();
        for place in &places {
            if let Some(ledger) = book.ledger(place.partition) {
                ledger.settle(place.offset);
            }
        }
        Ok(places)
    }
}
