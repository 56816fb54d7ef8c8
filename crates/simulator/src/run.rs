//! One run: the steps of a plan against a log on a simulated machine, with every checker listening.
//! The steps that need more than a few lines are in files of their own.

mod collect;
mod consuming;
mod following;
mod hub;
mod ids;
mod publish;
mod read;
mod restart;
mod retain;
mod survey;
mod transactions;
mod waiting;

use crate::book::{Book, Place};
use crate::checks::{self, Checker, Event};
use crate::live::{Live, seen};
use crate::plan::{Plan, Step};
use crate::sabotage::Sabotage;
use crate::trace::Trace;
use crate::world::{Machine, tenant};
use eventlog::{Engine, LogError};
use hub::Desk;
use ids::IdDesk;
use std::time::Duration;
use testkit::disk::{Failure, Fault, Operation};
use transactions::Clients;
use types::Retention;
use waiting::Waiting;

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub digest: u64,
    pub published: u64,
    pub acknowledged: u64,
    pub restarts: u64,
    pub faults: u64,
    pub disk_calls: u64,
    pub lines: Vec<String>,
    /// Which invariant does not hold, and how it shows.
    pub failure: Option<Failed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub checker: &'static str,
    pub text: String,
    /// The step at which it showed.
    pub step: usize,
}

/// The run ends here.
pub(crate) struct Broken {
    checker: &'static str,
    text: String,
}

type Outcome = Result<(), Broken>;

pub struct Run {
    trace: Trace,
    machine: Machine,
    live: Option<Live>,
    book: Book,
    checkers: Vec<Box<dyn Checker>>,
    waiting: Vec<Waiting>,
    ids: IdDesk,
    clients: Clients,
    desk: Option<Desk>,
    sabotage: Sabotage,
    counts: Counts,
    /// Bytes on the disk, or of one read, are not what was written: damage is to be expected.
    may_be_damaged: bool,
    /// The checkers were not told of that yet.
    is_newly_unsound: bool,
    /// A fault struck, or was waiting, since the last look.
    has_excuse: bool,
    has_failed: bool,
    /// At any time of the run.
    has_lacked_space: bool,
    /// The file that holds which offsets were given was made bad: how to make it good again.
    flipped: Option<(std::path::PathBuf, u64, u8)>,
}

#[derive(Default)]
struct Counts {
    acknowledged: u64,
    restarts: u64,
    faults: u64,
    hub_refusals: u64,
    hub_fetches: u64,
}

/// Runs the plan to its end or to the first thing that is wrong.
pub fn run(plan: &Plan, sabotage: Sabotage) -> Report {
    let trace = Trace::default();
    let mut run = Run {
        machine: Machine::new(&plan.site, &trace),
        trace,
        live: None,
        book: Book::default(),
        checkers: checks::all(),
        waiting: Vec::new(),
        ids: IdDesk::default(),
        clients: Clients::default(),
        desk: plan.site.themes.has_hub.then(Desk::set_up),
        sabotage,
        counts: Counts::default(),
        may_be_damaged: false,
        is_newly_unsound: false,
        has_excuse: false,
        has_failed: false,
        has_lacked_space: false,
        flipped: None,
    };
    let failure = run.all_steps(plan);
    Report {
        digest: run.trace.digest(),
        published: run.book.count(),
        acknowledged: run.counts.acknowledged,
        restarts: run.counts.restarts,
        faults: run.counts.faults,
        disk_calls: run.trace.calls(),
        lines: run.trace.lines(),
        failure,
    }
}

impl Run {
    fn all_steps(&mut self, plan: &Plan) -> Option<Failed> {
        let failed = |broken: Broken, step| {
            Some(Failed { checker: broken.checker, text: broken.text, step })
        };
        self.prepare_sabotage();
        if let Err(broken) = self.open() {
            return failed(broken, 0);
        }
        for (index, step) in plan.steps.iter().enumerate() {
            self.trace.line(format!("{index}: {step:?}"));
            let outcome = self.step(step).and_then(|()| self.after_step());
            if let Err(broken) = outcome {
                return failed(broken, index);
            }
        }
        self.trace.line("end".to_owned());
        match self.finish() {
            Ok(()) => None,
            Err(broken) => failed(broken, plan.steps.len()),
        }
    }

    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Publish { slot, partition, seed, count, size } => {
                self.publish(*slot, *partition, (*seed, *count, *size))
            }
            Step::Commit(groups) => self.commit(*groups),
            Step::Seal => self.hands(|live| live.driver.seal()),
            Step::Shrink => self.hands(|live| live.driver.shrink()),
            Step::Prepare => self.hands(|live| live.driver.prepare()),
            Step::Maintain => self.maintain(),
            Step::Read { slot, partition, seed } => self.read(*slot, *partition, *seed),
            Step::ReadTime { slot, partition, seed } => self.read_time(*slot, *partition, *seed),
            Step::ReadKey { slot, partition, key, count } => {
                self.read_key(*slot, *partition, *key, *count)
            }
            Step::Keys { slot } => self.keys(*slot),
            Step::PutTopic { slot, seed } => {
                let spec = self.machine.put(*slot, *seed);
                self.with_log(|log| log.put_topic(spec.clone())).map_or(Ok(()), |it| {
                    it.or_else(|error| self.trouble("a topic cannot be made", &error))
                })
            }
            Step::DropTopic { slot } => self.drop_topic(*slot),
            Step::TenantRetention { tenant: number, bytes_max } => {
                self.machine.tenant_bytes_max.remove(number);
                bytes_max.map(|bytes| self.machine.tenant_bytes_max.insert(*number, bytes));
                let bounds = Retention { bytes_max: *bytes_max, ..Retention::default() };
                self.with_log(|log| log.set_tenant_retention(tenant(*number), bounds));
                Ok(())
            }
            Step::Advance { ms } => {
                self.machine.clock.advance(Duration::from_millis(*ms));
                Ok(())
            }
            Step::Jump { ms } => {
                let now = stdx::Clock::now_ms(&*self.machine.clock);
                self.machine.clock.set_now_ms(now + ms);
                self.tell(&Event::ClockJumped)
            }
            Step::Fault { operation, nth, failure } => {
                let fault = Fault { operation: *operation, nth: *nth, failure: *failure };
                self.machine.disk.inject(fault);
                Ok(())
            }
            Step::CrashLater { changes } => {
                self.machine.disk.crash_at(self.machine.disk.changes() + changes);
                Ok(())
            }
            Step::Flip { seed } => {
                self.flip(*seed);
                Ok(())
            }
            Step::Fill { slack_bytes } => {
                self.has_lacked_space = true;
                let disk = &self.machine.disk;
                disk.set_capacity(disk.allocated() + slack_bytes);
                Ok(())
            }
            Step::Free => self.free(),
            Step::Restart { how, trouble } => self.restart(*how, *trouble),
            Step::Survey => self.survey_all(),
            Step::Ids(step) => self.ids(step),
            Step::Transaction(step) => self.transaction(step),
            Step::Collect(step) => self.collecting(step),
            Step::Hub(step) => self.hub(step),
        }
    }

    /// Tells every checker.
    fn tell(&mut self, event: &Event<'_>) -> Outcome {
        if std::mem::take(&mut self.is_newly_unsound) {
            self.tell(&Event::Unsound)?;
        }
        for checker in &mut self.checkers {
            if let Err(text) = checker.see(event, &self.book) {
                self.trace.line(format!("WRONG: {}: {text}", checker.name()));
                return Err(Broken { checker: checker.name(), text });
            }
        }
        Ok(())
    }

    fn with_log<T>(&self, work: impl FnOnce(&eventlog::EmbeddedLog) -> T) -> Option<T> {
        self.live.as_ref().map(|live| work(&live.log))
    }

    /// Work of the log's threads that acknowledges nothing.
    fn hands(&mut self, work: impl FnOnce(&mut Live) -> bool) -> Outcome {
        if self.live.as_mut().is_some_and(work) {
            self.trace.line("  done".to_owned());
        }
        Ok(())
    }

    /// Notes the faults that struck.
    fn look_at_faults(&mut self) -> Vec<(Operation, Failure)> {
        let struck = self.machine.disk.take_struck();
        self.counts.faults += struck.len() as u64;
        self.has_excuse |= !struck.is_empty();
        let lacks_space = |failure: &Failure| matches!(failure, Failure::Full | Failure::ShortFull);
        self.has_lacked_space |= struck.iter().any(|(_, failure)| lacks_space(failure));
        if struck.iter().any(|(_, failure)| *failure == Failure::Stale) {
            self.may_be_damaged();
        }
        struck
    }

    fn may_be_damaged(&mut self) {
        self.is_newly_unsound |= !self.may_be_damaged;
        self.may_be_damaged = true;
    }

    /// An error that blames the disk. It needs a reason.
    fn trouble(&mut self, what: &str, error: &LogError) -> Outcome {
        self.look_at_faults();
        self.trace.line(format!("  {what}: {error}"));
        let is_blame = matches!(error, LogError::Failed(_) | LogError::Damaged { .. });
        let has_excuse = self.has_excuse
            || self.may_be_damaged
            || self.has_failed
            || self.machine.disk.is_crashed()
            || !is_blame;
        self.tell(&Event::Trouble { what, error, has_excuse })
    }

    /// What the observer was told since the last look.
    fn hear(&mut self, moment: checks::Moment) -> Outcome {
        // A stale read may be why.
        self.look_at_faults();
        self.collect_parts()?;
        let Some(live) = &self.live else { return Ok(()) };
        for (place, batch) in live.witness.take() {
            if self.machine.spec(place.0).is_none() {
                // The hub's own.
                continue;
            }
            let mut seen = seen(&batch);
            self.sabotage.told(&mut seen);
            self.trace.line(format!("  told {place:?} {}", batch.base_offset()));
            self.tell(&Event::Told { place, seen: &seen, moment })?;
        }
        Ok(())
    }

    /// What holds after every step; a machine that lost power meanwhile is started again.
    fn after_step(&mut self) -> Outcome {
        self.look_at_faults();
        if self.machine.disk.is_crashed() {
            return self.after_power_loss();
        }
        for place in self.places() {
            let Some(bounds) = self.bounds(place) else { continue };
            let is_held = self.may_hide(place);
            self.tell(&Event::Bounds { place, bounds, is_held })?;
        }
        Ok(())
    }

    fn bounds(&mut self, place: Place) -> Option<std::ops::Range<u64>> {
        let bounds = self.with_log(|log| log.bounds(place.0, place.1))?.ok()?;
        Some(self.sabotage.bounds(bounds.start..bounds.end))
    }

    /// All partitions of all topics.
    fn places(&self) -> Vec<Place> {
        let specs = self.machine.topics.values();
        specs.flat_map(|spec| (0..spec.config.partitions).map(|it| (spec.id, it))).collect()
    }

    /// A partition of the slot's topic, if it has a topic.
    fn place(&self, slot: u64, partition: u64) -> Option<Place> {
        let spec = self.machine.topics.get(&slot)?;
        Some((spec.id, (partition % u64::from(spec.config.partitions)) as u32))
    }
}

/// The two files without which a log must not be opened, since what they hold is nowhere else: the
/// refusal says which one is damaged and what to do.
pub fn names_a_file(error: &eventlog::LogError) -> bool {
    let text = error.to_string();
    text.contains("checkpoint") || text.contains("file `state` is damaged")
}
