//! Publishers that give their records ids, and publish again what they got no answer for; or got
//! one, and have forgotten it.

use super::transactions::is_certain;
use super::waiting::Waiting;
use super::{Outcome, Run};
use crate::book::{Id, Place};
use crate::checks::{Event, Moment};
use crate::draw::Draw;
use crate::plan::IdStep;
use eventlog::{Engine, LogError, Pending, Placement, Together};
use stdx::Clock;
use types::{Durability, Partition, TopicId};

/// Calls that may be made again.
const CALLS_MAX: usize = 16;

/// What publishers with ids remember.
#[derive(Default)]
pub struct IdDesk {
    calls: Vec<Call>,
    next: u64,
}

/// What is published, by id and partition.
#[derive(Clone)]
struct Call {
    topic: TopicId,
    items: Vec<(u64, Partition)>,
}

/// A call that has no answer yet.
pub struct Asked {
    topic: TopicId,
    /// By record: its id, partition and number.
    items: Vec<(u64, Partition, u64)>,
    /// A refusal means that nothing was appended.
    is_whole: bool,
    pub answer: Pending<Vec<Placement>>,
}

impl Asked {
    /// Whether any of its records goes there.
    pub fn is_for(&self, place: Place) -> bool {
        self.topic == place.0 && self.items.iter().any(|item| item.1 == place.1)
    }
}

impl Run {
    pub(super) fn ids(&mut self, step: &IdStep) -> Outcome {
        let call = match step {
            IdStep::Publish { slot, seed } => self.new_call(*slot, *seed),
            IdStep::Again { seed } => {
                let count = self.ids.calls.len() as u64;
                let index = Draw::new(*seed).below(count.max(1)) as usize;
                self.ids.calls.get(index).cloned()
            }
        };
        match call {
            Some(call) => self.publish_call(&call),
            None => Ok(()),
        }
    }

    fn new_call(&mut self, slot: u64, seed: u64) -> Option<Call> {
        let spec = self.machine.topics.get(&slot)?;
        let (topic, partitions) = (spec.id, u64::from(spec.config.partitions));
        let draw = Draw::new(seed);
        let home = draw.below(partitions);
        let is_spread = draw.one_in(3);
        let known: Vec<u64> = self
            .ids
            .calls
            .iter()
            .filter(|call| call.topic == topic)
            .flat_map(|call| call.items.iter().map(|(id, _)| *id))
            .collect();
        let mut items = Vec::new();
        for _ in 0..draw.between(1, 6) {
            let id = if !known.is_empty() && draw.one_in(6) {
                draw.pick(&known)
            } else {
                self.ids.next += 1;
                self.ids.next
            };
            let partition = if is_spread { draw.below(partitions) } else { home };
            items.push((id, partition as Partition));
        }
        let call = Call { topic, items };
        if self.ids.calls.len() >= CALLS_MAX {
            self.ids.calls.remove(0);
        }
        self.ids.calls.push(call.clone());
        Some(call)
    }

    fn publish_call(&mut self, call: &Call) -> Outcome {
        let topic = call.topic;
        let Some(spec) = self.machine.spec(topic) else { return Ok(()) };
        let window_ms = spec.config.idempotency_window_ms;
        let is_durable = spec.config.durability == Durability::Durable;
        let now = self.machine.clock.now_ms();
        let draw = Draw::new(self.book.count());
        let (mut items, mut records) = (Vec::new(), Vec::new());
        for &(id, partition) in &call.items {
            let of = Id { number: id, window_ms };
            let (number, record) = self.book.make_with_id((topic, partition), &draw, of, now);
            items.push((id, partition, number));
            let record = self.sabotage.with_id(record);
            self.book.put_record(number, &record);
            records.push((topic, partition, record));
        }
        let Some(answer) = self.with_log(|log| log.publish(records, Together::IfStored)) else {
            return Ok(());
        };
        let is_single = call.items.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let asked = Asked { topic, items, is_whole: is_durable || is_single, answer };
        self.waiting.push(Waiting::Ids(asked));
        self.collect(Moment::AtOnce)?;
        self.hear(Moment::AtOnce)
    }

    pub(super) fn answered_ids(
        &mut self,
        asked: &Asked,
        answer: Result<Vec<Placement>, LogError>,
        moment: Moment,
    ) -> Outcome {
        // What the call showed at once was shown before it was answered.
        self.hear(moment)?;
        match answer {
            Ok(placements) => {
                for (item, placement) in asked.items.iter().zip(placements) {
                    self.placed(asked.topic, *item, placement, moment)?;
                }
                Ok(())
            }
            Err(error) => {
                let numbers: Vec<u64> = asked.items.iter().map(|(_, _, number)| *number).collect();
                self.trace.line(format!("  refused ids {numbers:?}: {error}"));
                if !is_certain(&error) {
                    let places = asked.items.iter().map(|item| (asked.topic, item.1));
                    self.clients.lose(places.collect());
                }
                if asked.is_whole {
                    self.tell(&Event::Refused { numbers: &numbers, error: &error })?;
                }
                match error {
                    LogError::Failed(_) => self.trouble("a publish with ids failed", &error),
                    _ => Ok(()),
                }
            }
        }
    }

    fn placed(
        &mut self,
        topic: TopicId,
        (id, _, number): (u64, Partition, u64),
        placement: Placement,
        moment: Moment,
    ) -> Outcome {
        let placement = self.sabotage.placement(placement);
        let place: Place = (topic, placement.partition);
        let offset = placement.offset;
        if placement.is_duplicate {
            self.trace.line(format!("  id {id} is at {place:?} {offset} already"));
            return self.tell(&Event::Duplicate { place, offset, id });
        }
        self.counts.acknowledged += 1;
        self.trace.line(format!("  id {id} is now at {place:?} {offset}: {number}"));
        let numbers = &[number];
        self.tell(&Event::Acknowledged { place, offset, numbers, moment })
    }
}
