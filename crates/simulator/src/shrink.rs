//! Makes a failing run short: steps are left out, first many at once and then one by one, as long
//! as the same invariant still breaks.

use crate::campaign::run_safely;
use crate::plan::Plan;
use crate::run::Report;
use crate::sabotage::Sabotage;

/// Runs at most; each takes some milliseconds.
const RUNS_MAX: usize = 600;

/// The shortest plan found, and what it shows.
pub fn shrink(plan: &Plan, sabotage: Sabotage) -> (Plan, Report) {
    let mut best = plan.clone();
    let mut report = run_safely(&best, sabotage);
    let Some(failed) = report.failure.clone() else { return (best, report) };
    best.steps.truncate(failed.step + 1);
    let mut runs = 0;
    let mut width = best.steps.len().div_ceil(2).max(1);
    loop {
        let mut has_shrunk = false;
        let mut at = 0;
        while at < best.steps.len() && runs < RUNS_MAX {
            let mut candidate = best.clone();
            let until = (at + width).min(candidate.steps.len());
            candidate.steps.drain(at..until);
            runs += 1;
            let found = run_safely(&candidate, sabotage);
            if found.failure.as_ref().is_some_and(|it| it.checker == failed.checker) {
                (best, report, has_shrunk) = (candidate, found, true);
            } else {
                at = until;
            }
        }
        if runs >= RUNS_MAX || (width == 1 && !has_shrunk) {
            return (best, report);
        }
        width = width.div_ceil(2).max(1);
    }
}
