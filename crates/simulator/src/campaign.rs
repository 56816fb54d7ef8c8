//! Many seeds, one after the other, and what is shown of them: the count, the time, and of each
//! failure the seed and the shortest run that still fails the same way.

use crate::plan::{Plan, Sizes};
use crate::run::{Failed, Report, run};
use crate::sabotage::Sabotage;
use crate::shrink::shrink;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Failures after which no further seed is run.
const FAILURES_MAX: usize = 5;
const THREADS_MAX: usize = 2;

#[derive(Debug, Clone)]
pub struct Campaign {
    pub from: u64,
    pub seeds: u64,
    pub time_max: Option<Duration>,
    pub sizes: Sizes,
}

/// What all seeds together did.
#[derive(Debug, Default, Clone)]
pub struct Totals {
    pub seeds: u64,
    pub published: u64,
    pub acknowledged: u64,
    pub restarts: u64,
    pub faults: u64,
    pub disk_calls: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.published += report.published;
        self.acknowledged += report.acknowledged;
        self.restarts += report.restarts;
        self.faults += report.faults;
        self.disk_calls += report.disk_calls;
    }
}

/// As `run`, but a panic inside is a failure like any other.
pub fn run_safely(plan: &Plan, sabotage: Sabotage) -> Report {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(plan, sabotage)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_else(|| "a panic without words".to_owned());
        let failure = Failed { checker: "nothing panics", text, step: plan.steps.len() };
        Report { failure: Some(failure), ..Report::default() }
    })
}

impl Campaign {
    /// Runs the seeds and answers what they did and which failed, in the order of the seeds.
    pub fn survey(&self) -> (Totals, Vec<(u64, Report)>) {
        let started = Instant::now();
        let next = AtomicU64::new(self.from);
        let found = Mutex::new((Totals::default(), Vec::new()));
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let is_late = self.time_max.is_some_and(|time| started.elapsed() > time);
                if seed >= self.from.saturating_add(self.seeds) || is_late {
                    return;
                }
                let report = run_safely(&Plan::draw(seed, &self.sizes), Sabotage::None);
                // A panic is caught before the lock is taken.
                let Ok(mut found) = found.lock() else { return };
                found.0.add(&report);
                if report.failure.is_some() {
                    found.1.push((seed, report));
                }
                if found.1.len() >= FAILURES_MAX {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            (0..THREADS_MAX).for_each(|_| drop(scope.spawn(work)));
        });
        let (totals, mut failed) = found.into_inner().unwrap_or_else(|it| it.into_inner());
        failed.sort_by_key(|(seed, _)| *seed);
        (totals, failed)
    }

    /// Runs the seeds and prints what came of it.
    pub fn run(&self) -> ExitCode {
        let started = Instant::now();
        let (totals, failed) = self.survey();
        for (seed, _) in &failed {
            println!("{}", explain(*seed, &self.sizes));
        }
        let took = started.elapsed();
        println!(
            "{} seeds from {} in {:.1} s ({:.1} ms each): {} failed; {} records published, {} \
             acknowledged, {} openings, {} faults, {} calls of the disk",
            totals.seeds,
            self.from,
            took.as_secs_f64(),
            took.as_secs_f64() * 1_000.0 / totals.seeds.max(1) as f64,
            failed.len(),
            totals.published,
            totals.acknowledged,
            totals.restarts,
            totals.faults,
            totals.disk_calls,
        );
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A failing seed in words: what is wrong, and the shortest run that shows it.
pub fn explain(seed: u64, sizes: &Sizes) -> String {
    let plan = Plan::draw(seed, sizes);
    let (short, report) = shrink(&plan, Sabotage::None);
    let Some(failed) = &report.failure else { return format!("seed {seed} passes") };
    format!(
        "seed {seed} FAILS: {}: {}\n  site {:?}\n  {} of {} steps still show it:\n{}\n  again: \
         cargo xtask simulate --seed {seed}",
        failed.checker,
        failed.text,
        short.site,
        short.steps.len(),
        plan.steps.len(),
        report.lines.join("\n"),
    )
}

/// One seed with everything that happened in it.
pub fn show(seed: u64, sizes: &Sizes) -> ExitCode {
    let report = run_safely(&Plan::draw(seed, sizes), Sabotage::None);
    println!("{}\nseed {seed}, digest {:016x}", report.lines.join("\n"), report.digest);
    match &report.failure {
        None => ExitCode::SUCCESS,
        Some(failed) => {
            println!("FAILS at step {}: {}: {}", failed.step, failed.checker, failed.text);
            println!("{}", explain(seed, sizes));
            ExitCode::FAILURE
        }
    }
}
