//! A consumer put elsewhere. It is the only way back, and it is in the audit trail.

use super::runtime::{Runtime, ledger_key, state_record};
use crate::node::Node;
use crate::refusal::refusal_of;
use consumers::{Book, Ledger};
use port::consumers::{ConsumerAddress, ConsumerInfo, ResetTo};
use port::{Code, Identity, Refusal};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::{Offset, Partition};

impl Node {
    pub(crate) async fn reset_consumer(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        to: ResetTo,
    ) -> Result<ConsumerInfo, Refusal> {
        self.may_manage(who, &at.topic)?;
        let topic = self.existing(who, &at.topic)?;
        let runtime = self.runtime(&topic, &at.name).await?;
        let targets = self.targets(&runtime, &to).await?;
        let from: BTreeMap<Partition, Offset> = {
            let book = runtime.book.lock();
            book.ledgers().map(|(partition, ledger)| (partition, ledger.committed())).collect()
        };
        // In the trail before it is done: no reset goes unrecorded.
        let details = json!({"from": from, "to": targets});
        self.note(who, &runtime, "consumer.reset", details).await?;
        let shared = Arc::clone(&runtime);
        self.to_the_end(|node: Arc<Node>| async move { node.reset_now(&shared, &targets).await })
            .await?;
        self.describe_consumer(&runtime).await
    }

    /// Where each partition that moves goes to.
    async fn targets(
        &self,
        runtime: &Runtime,
        to: &ResetTo,
    ) -> Result<BTreeMap<Partition, Offset>, Refusal> {
        let topic = &runtime.topic;
        let mut targets = BTreeMap::new();
        match to {
            ResetTo::Start(start) => {
                for partition in 0..topic.partitions() {
                    let next = self.start_of_consumer(topic, *start, partition).await?;
                    targets.insert(partition, next);
                }
            }
            ResetTo::Positions(positions) => {
                for (index, &(partition, offset)) in positions.iter().enumerate() {
                    let bounds = self.engine.bounds(topic.id, partition).map_err(|error| {
                        refusal_of(error).field(format!("positions[{index}].partition"))
                    })?;
                    let is_twice = targets.insert(partition, offset).is_some();
                    if is_twice || !(bounds.start..=bounds.end).contains(&offset) {
                        let message = match is_twice {
                            true => format!("partition {partition} is named twice"),
                            false => format!(
                                "partition {partition} holds offsets from {} and ends before {}",
                                bounds.start, bounds.end
                            ),
                        };
                        return Err(Refusal::new(Code::InvalidRequest, message)
                            .field(format!("positions[{index}]")));
                    }
                }
            }
        }
        Ok(targets)
    }

    async fn reset_now(
        &self,
        runtime: &Runtime,
        targets: &BTreeMap<Partition, Offset>,
    ) -> Result<(), Refusal> {
        let states = self.states_of(&runtime.topic).await?;
        // Nobody reads on or writes state meanwhile.
        let mut lanes = runtime.lanes.lock().await;
        let _one_at_a_time = runtime.writer.lock().await;
        runtime.gone()?;
        let (now, now_ms) = (self.world.clock.monotonic(), self.world.clock.now_ms());
        let (generation, ledgers) = {
            let book = runtime.book.lock();
            let ledgers: Vec<Ledger> = book
                .ledgers()
                .map(|(partition, ledger)| match targets.get(&partition) {
                    Some(&next) => Ledger::starting_at(next),
                    None => ledger.clone(),
                })
                .collect();
            (book.generation.wrapping_add(1), ledgers)
        };
        let nothing = BTreeSet::new();
        let record = |(partition, ledger): (Partition, &Ledger)| {
            let kept = ledger.keep(generation, &nothing, now, now_ms);
            state_record(ledger_key(runtime.id, partition), kept.encode())
        };
        let records = (0..).zip(&ledgers).map(record).collect();
        self.engine.append(states.id, 0, records).await.map_err(refusal_of)?;
        {
            let mut book = runtime.book.lock();
            let terms = book.terms.clone();
            let moved = (0..).zip(ledgers).map(|(partition, ledger)| {
                match (targets.contains_key(&partition), book.ledger(partition)) {
                    // What was settled meanwhile is settled.
                    (false, Some(current)) => std::mem::take(current),
                    _ => ledger,
                }
            });
            let moved = moved.collect();
            *book = Book::new(terms, generation, moved);
            book.unkept();
        }
        lanes.clear();
        runtime.changed.notify_waiters();
        Ok(())
    }
}
