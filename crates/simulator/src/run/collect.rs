//! The collector at work, and whether it gives back the space of what nobody needs.

use super::{Outcome, Run};
use crate::checks::{Event, Moment};
use crate::draw::Draw;
use crate::plan::{CollectStep, KEYS};
use crate::sabotage::Sabotage;
use eventlog::Engine;
use stdx::Clock;

/// Runs of the collector in one step.
const RUNS_MAX: usize = 12;
/// Calls of one churn, and the records of each: together more than `GROWTH_BYTES_MAX`.
const CALLS: u64 = 30;
const RECORDS: u64 = 3;
const RECORD_BYTES: usize = 80_000;
/// What the disk may have more of afterwards: the extents that are open, made ahead, and the last
/// ones, of which little is of no use yet.
const GROWTH_BYTES_MAX: u64 = 5 << 20;

impl Run {
    pub(super) fn collecting(&mut self, step: &CollectStep) -> Outcome {
        match step {
            CollectStep::Collect { runs, slot } => self.collect_garbage(*runs, *slot),
            CollectStep::Churn { slot, seed } => self.churn(*slot, *seed),
        }
    }

    fn collect_once(&mut self) -> bool {
        if self.sabotage == Sabotage::KeepsAll {
            return false;
        }
        self.live.as_mut().is_some_and(|live| live.driver.collect())
    }

    fn collect_garbage(&mut self, runs: u64, slot: u64) -> Outcome {
        let mut has_run = false;
        for _ in 0..runs {
            if !self.collect_once() {
                break;
            }
            has_run = true;
        }
        self.look_at_faults();
        if !has_run || self.machine.disk.is_crashed() {
            return Ok(());
        }
        self.trace.line("  collected".to_owned());
        self.survey_all()?;
        (0..KEYS).try_for_each(|key| self.read_key(slot, key, key, 1))
    }

    /// Much is written of few keys; when all that is replaced is collected, the disk has little
    /// more than before.
    fn churn(&mut self, slot: u64, seed: u64) -> Outcome {
        let Some(spec) = self.machine.topics.get(&slot) else { return Ok(()) };
        let Some(place) = self.place(slot, seed) else { return Ok(()) };
        let is_hidden = self.may_hide(place);
        if !spec.config.cleanup.compacts() || is_hidden || self.has_failed {
            return Ok(());
        }
        let before = self.machine.disk.allocated();
        let faults = self.counts.faults;
        let draw = Draw::new(seed);
        let acknowledged = self.counts.acknowledged;
        for _ in 0..CALLS {
            let now = self.machine.clock.now_ms();
            let (numbers, records) =
                self.book.make_of_key(place, (draw.below(KEYS), RECORDS, RECORD_BYTES), now);
            self.send(place, numbers, records)?;
            self.commit(4)?;
            self.hands(|live| live.driver.seal())?;
        }
        for _ in 0..RUNS_MAX {
            self.hands(|live| live.driver.seal() | live.driver.shrink())?;
            self.maintain()?;
            if !self.collect_once() {
                break;
            }
        }
        self.maintain()?;
        while self.live.as_mut().is_some_and(|live| live.driver.shrink()) {}
        self.look_at_faults();
        let is_calm = self.counts.faults == faults
            && self.counts.acknowledged - acknowledged >= CALLS * RECORDS
            && !self.may_be_damaged
            && !self.machine.disk.is_crashed();
        if !self.machine.disk.is_crashed() {
            self.survey_all()?;
        }
        let grown = self.machine.disk.allocated().saturating_sub(before);
        self.trace.line(format!("  churned: {grown} bytes more, calm: {is_calm}"));
        if !is_calm {
            return Ok(());
        }
        let outcome = match grown > GROWTH_BYTES_MAX {
            true => Err(format!("{grown} bytes of what was replaced did not come back")),
            false => Ok(()),
        };
        self.tell(&Event::SpaceReturned { outcome: &outcome })
    }

    fn send(
        &mut self,
        place: crate::book::Place,
        numbers: Vec<u64>,
        records: Vec<types::Record>,
    ) -> Outcome {
        let Some(answer) = self.with_log(|log| log.append(place.0, place.1, records)) else {
            return Ok(());
        };
        let asked = super::waiting::Appending { place, numbers, answer };
        self.waiting.push(super::waiting::Waiting::Append(asked));
        self.hear(Moment::AtOnce)?;
        self.collect(Moment::AtOnce)
    }
}
