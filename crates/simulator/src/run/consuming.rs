//! Workers of durable consumers: they fetch, acknowledge, fail, reject, ask for more time, or
//! forget what they hold.

use super::{Outcome, Run};
use crate::book::{Place, Seen};
use crate::checks::Event;
use crate::draw::Draw;
use crate::platform::consumer_of;
use crate::sabotage::Sabotage;
use port::consumers::{ConsumerAddress, Fetch, Settled, Settlement, Verdict};
use port::{Code, Hub as _, Refusal};
use std::collections::BTreeSet;
use std::time::Duration;
use stdx::Clock;
use types::Offset;

/// Rounds in which a consumer is brought to the end of its topic.
const ROUNDS_MAX: usize = 120;
const LETTERS: usize = 200;
const LEASE_OVER: Duration = Duration::from_secs(10);
const LEASE_OVER_AFTER_JUMPS: Duration = Duration::from_secs(30 * 3_600);

/// Deliveries in somebody's hands.
#[derive(Default)]
pub struct Worker {
    held: Vec<(String, Place, Offset)>,
}

impl Worker {
    pub fn forget(&mut self) {
        self.held.clear();
    }
}

fn no_consumers() -> Refusal {
    Refusal::new(Code::Internal, "the hub has no consumers")
}

impl Run {
    fn consumer(&self, consumer: u64) -> Option<ConsumerAddress> {
        let (topic, _) = self.desk.as_ref()?.topic(0)?;
        Some(ConsumerAddress { topic, name: consumer_of(consumer) })
    }

    pub(super) fn fetch(&mut self, consumer: u64, count: usize) -> Outcome {
        let (Some((node, who)), Some(at)) = (self.node(), self.consumer(consumer)) else {
            return Ok(());
        };
        if !self.is_quiet()? {
            return Ok(());
        }
        let fetch = Fetch { records_max: count, bytes_max: 1 << 20, wait: Duration::ZERO };
        let call =
            async move { node.consumers().ok_or_else(no_consumers)?.fetch(&who, &at, fetch).await };
        let leased = match self.answer(Box::pin(call))? {
            None => return Ok(()),
            Some(Err(refusal)) => return self.hub_trouble("a fetch is refused", &refusal),
            Some(Ok(leased)) => leased,
        };
        self.counts.hub_fetches += 1;
        for one in leased {
            let delivery = &one.delivery;
            let place = (delivery.origin.topic_id, delivery.partition);
            let seen = Seen::new(delivery.offset, delivery.timestamp, delivery.record.clone());
            let now = self.machine.clock.monotonic();
            let until = now + one.lease;
            let (offset, times) = (seen.offset, one.deliveries);
            self.trace.line(format!("  {consumer} leases {place:?} {offset}, {times} times"));
            self.tell(&Event::Leased { consumer, place, seen: &seen, now, until })?;
            if let Some(desk) = &mut self.desk {
                let worker = desk.workers.entry(consumer).or_default();
                worker.held.push((one.token, place, offset));
            }
        }
        Ok(())
    }

    pub(super) fn settle(&mut self, consumer: u64, seed: u64) -> Outcome {
        let draw = Draw::new(seed);
        let Some(desk) = &mut self.desk else { return Ok(()) };
        let held = std::mem::take(&mut desk.workers.entry(consumer).or_default().held);
        let mut settling = Vec::new();
        for (token, place, offset) in held {
            let verdict = match draw.below(20) {
                0..12 => Verdict::Acknowledge,
                12..15 => Verdict::Retry { delay: None, reason: None },
                15 => Verdict::Reject { reason: None },
                16 => Verdict::Extend,
                // It was dropped, or is forgotten.
                _ => continue,
            };
            settling.push((Settlement { token, verdict }, place, offset));
        }
        self.settle_these(consumer, settling)
    }

    fn settle_these(
        &mut self,
        consumer: u64,
        settling: Vec<(Settlement, Place, Offset)>,
    ) -> Outcome {
        let (Some((node, who)), Some(at)) = (self.node(), self.consumer(consumer)) else {
            return Ok(());
        };
        if settling.is_empty() || !self.is_quiet()? {
            return Ok(());
        }
        let forgets = self.sabotage == Sabotage::ForgetsAcknowledgement;
        let settlements = settling.iter().map(|(settlement, ..)| match forgets {
            true => Settlement { verdict: Verdict::Extend, ..settlement.clone() },
            false => settlement.clone(),
        });
        let settlements: Vec<Settlement> = settlements.collect();
        let call = async move {
            node.consumers().ok_or_else(no_consumers)?.settle(&who, &at, settlements).await
        };
        let outcomes = match self.answer(Box::pin(call))? {
            None => return self.settled_perhaps(consumer, &settling),
            Some(Err(refusal)) => {
                self.settled_perhaps(consumer, &settling)?;
                return self.hub_trouble("settling is refused", &refusal);
            }
            Some(Ok(outcomes)) => outcomes,
        };
        let now = self.machine.clock.monotonic();
        for ((settlement, place, offset), outcome) in settling.into_iter().zip(outcomes) {
            self.trace.line(format!("  {consumer} settles {place:?} {offset}: {outcome:?}"));
            let how = match outcome {
                Ok(how) => how,
                Err(refusal) if refusal.code() == Code::StorageFailed => {
                    self.settled_perhaps(consumer, &[(settlement, place, offset)])?;
                    continue;
                }
                Err(_) => continue,
            };
            let is_acknowledged = forgets && settlement.verdict == Verdict::Acknowledge;
            let how = if is_acknowledged { Settled::Acknowledged } else { how };
            self.tell(&Event::Settled { consumer, place, offset, how: &how, now })?;
        }
        self.look_at_position(consumer)
    }

    /// The log may have stored them before the answer went with the power or the disk.
    fn settled_perhaps(
        &mut self,
        consumer: u64,
        settling: &[(Settlement, Place, Offset)],
    ) -> Outcome {
        settling
            .iter()
            .filter(|(settlement, ..)| settlement.verdict == Verdict::Acknowledge)
            .try_for_each(|&(_, place, offset)| {
                self.tell(&Event::SettledPerhaps { consumer, place, offset })
            })
    }

    /// What is on the disk by now, as the consumer's owner is told.
    fn look_at_position(&mut self, consumer: u64) -> Outcome {
        let (Some((node, who)), Some(at)) = (self.node(), self.consumer(consumer)) else {
            return Ok(());
        };
        let Some((_, topic)) = self.desk.as_ref().and_then(|desk| desk.topic(0)) else {
            return Ok(());
        };
        let call = async move { node.consumers().ok_or_else(no_consumers)?.get(&who, &at).await };
        match self.answer(Box::pin(call))? {
            None => Ok(()),
            Some(Err(refusal)) => self.hub_trouble("a consumer is not shown", &refusal),
            Some(Ok(info)) => {
                for position in info.partitions {
                    let place = (topic, position.partition);
                    let committed = self.sabotage.committed(position.committed);
                    self.trace.line(format!("  {consumer} is at {committed} of {place:?}"));
                    self.tell(&Event::Committed { consumer, place, committed })?;
                }
                Ok(())
            }
        }
    }

    /// Everything is fetched and acknowledged until nothing comes any more.
    pub(super) fn finish_consuming(&mut self) -> Outcome {
        let all: Vec<u64> =
            self.desk.iter().flat_map(|desk| desk.workers.keys().copied()).collect();
        for consumer in all {
            let (mut idle, mut rounds) = (0, 0);
            let (refusals, fetches) = (self.counts.hub_refusals, self.counts.hub_fetches);
            for _ in 0..ROUNDS_MAX {
                // A lease is kept by the clock on the wall, which may have been set back since.
                let wait = if idle == 0 { LEASE_OVER } else { LEASE_OVER_AFTER_JUMPS };
                self.machine.clock.advance(wait);
                self.fetch(consumer, 100)?;
                rounds += 1;
                let Some(desk) = &mut self.desk else { return Ok(()) };
                let held = std::mem::take(&mut desk.workers.entry(consumer).or_default().held);
                idle = if held.is_empty() { idle + 1 } else { 0 };
                if idle >= 3 {
                    break;
                }
                let done = |(token, place, offset): (String, Place, Offset)| {
                    (Settlement { token, verdict: Verdict::Acknowledge }, place, offset)
                };
                self.settle_these(consumer, held.into_iter().map(done).collect())?;
            }
            let is_served =
                self.counts.hub_refusals == refusals && self.counts.hub_fetches - fetches == rounds;
            if is_served && idle >= 3 && self.is_quiet()? {
                self.look_at_letters(consumer)?;
            }
        }
        Ok(())
    }

    fn look_at_letters(&mut self, consumer: u64) -> Outcome {
        let (Some((node, who)), Some(at)) = (self.node(), self.consumer(consumer)) else {
            return Ok(());
        };
        let Some((_, topic)) = self.desk.as_ref().and_then(|desk| desk.topic(0)) else {
            return Ok(());
        };
        let call = async move {
            let consumers = node.consumers().ok_or_else(no_consumers)?;
            let (mut letters, mut cursor) = (BTreeSet::new(), None);
            loop {
                let page = consumers.dead_letters(&who, &at, cursor, LETTERS).await?;
                for letter in page.letters {
                    letters.insert(((topic, letter.partition), letter.offset));
                }
                if page.is_end {
                    return Ok::<_, Refusal>(letters);
                }
                cursor = Some(page.next_cursor);
            }
        };
        match self.answer(Box::pin(call))? {
            None => Ok(()),
            Some(Err(refusal)) => self.hub_trouble("dead letters are not shown", &refusal),
            Some(Ok(letters)) => {
                self.trace.line(format!("  {consumer} has {} dead letters", letters.len()));
                self.tell(&Event::AllConsumed { consumer, letters: &letters })
            }
        }
    }
}
