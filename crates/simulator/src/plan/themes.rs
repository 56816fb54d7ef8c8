//! What else a run may be about: records with ids, transactions, compaction, the hub. A run has
//! some of these themes, drawn apart from its other steps, so that a seed without them is the run
//! it always was.

use super::{Plan, SLOTS, Step};
use crate::draw::Draw;
use eventlog::End;

/// Keeps these draws apart from those of the plan itself.
const SALT: u64 = 0x7468_656d_6573_0001;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Themes {
    pub has_ids: bool,
    pub has_transactions: bool,
}

/// Records with ids.
#[derive(Debug, Clone)]
pub enum IdStep {
    /// A call with ids that were not used before, and now and then one that was.
    Publish { slot: u64, seed: u64 },
    /// One of the last calls once more, as whoever got no answer does.
    Again { seed: u64 },
}

/// Transactions: in one call, or of one of some producers.
#[derive(Debug, Clone)]
pub enum TransactionStep {
    Transact { seed: u64 },
    Begin { who: u64, seed: u64 },
    Append { who: u64, seed: u64 },
    End { who: u64, end: End },
    TakeOver { who: u64 },
    /// Whoever was replaced, or is done, tries to begin again.
    Stale { who: u64, seed: u64 },
}

/// Producers at the same time.
const PRODUCERS: u64 = 3;

fn transaction(draw: &Draw, seed: u64) -> TransactionStep {
    let who = draw.below(PRODUCERS);
    match draw.below(100) {
        0..25 => TransactionStep::Transact { seed },
        25..45 => TransactionStep::Begin { who, seed },
        45..70 => TransactionStep::Append { who, seed },
        70..88 => {
            let end = if draw.one_in(3) { End::Abort } else { End::Commit };
            TransactionStep::End { who, end }
        }
        88..93 => TransactionStep::TakeOver { who },
        _ => TransactionStep::Stale { who, seed },
    }
}

impl Themes {
    fn draw(draw: &Draw) -> Themes {
        Themes { has_ids: draw.one_in(2), has_transactions: draw.one_in(2) }
    }

    fn step(self, draw: &Draw) -> Option<Step> {
        let (slot, seed) = (draw.below(SLOTS), draw.seed());
        match draw.below(4) {
            0 if self.has_ids && draw.one_in(2) => Some(Step::Ids(IdStep::Publish { slot, seed })),
            0 if self.has_ids => Some(Step::Ids(IdStep::Again { seed })),
            1 if self.has_transactions => Some(Step::Transaction(transaction(draw, seed))),
            _ => None,
        }
    }
}

/// Puts the steps of the seed's themes between those of the plan.
pub fn weave(mut plan: Plan) -> Plan {
    let draw = Draw::new(plan.seed ^ SALT);
    plan.site.themes = Themes::draw(&draw);
    let mut steps = Vec::with_capacity(2 * plan.steps.len());
    for step in std::mem::take(&mut plan.steps) {
        steps.push(step);
        let Some(step) = plan.site.themes.step(&draw) else { continue };
        steps.push(step);
        if draw.one_in(2) {
            steps.push(Step::Commit(draw.between(1, 4)));
        }
    }
    plan.steps = steps;
    plan
}
