//! What else a run may be about: records with ids, transactions, compaction, the hub. A run has
//! some of these themes, drawn apart from its other steps, so that a seed without them is the run
//! it always was.

use super::{Plan, SLOTS, Step};
use crate::draw::Draw;
use eventlog::End;

/// One in so many seeds has a hub.
const HUB_EVERY: u64 = 4;
/// Keeps these draws apart from those of the plan itself.
const SALT: u64 = 0x7468_656d_6573_0001;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Themes {
    pub has_ids: bool,
    pub has_transactions: bool,
    /// Some topics are compacted, and the collector runs.
    pub has_compaction: bool,
    /// A hub stands over the log: one in `HUB_EVERY` seeds, since it costs as much as the log.
    pub has_hub: bool,
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
    Transact {
        seed: u64,
    },
    Begin {
        who: u64,
        seed: u64,
    },
    Append {
        who: u64,
        seed: u64,
    },
    End {
        who: u64,
        end: End,
    },
    TakeOver {
        who: u64,
    },
    /// Whoever was replaced, or is done, tries to begin again.
    Stale {
        who: u64,
        seed: u64,
    },
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

/// Work of the collector.
#[derive(Debug, Clone)]
pub enum CollectStep {
    /// So many runs at most; then the newest of each key of the slot's topic is looked at.
    Collect { runs: u64, slot: u64 },
    /// Much is replaced and collected: the space must come back.
    Churn { slot: u64, seed: u64 },
}

fn collect(draw: &Draw, slot: u64, seed: u64) -> CollectStep {
    match draw.one_in(80) {
        true => CollectStep::Churn { slot, seed },
        false => CollectStep::Collect { runs: draw.between(1, 4), slot },
    }
}

/// What is done to the hub.
#[derive(Debug, Clone)]
pub enum HubStep {
    Publish {
        seed: u64,
    },
    /// Follows, or goes on from where it was.
    Follow {
        who: u64,
        seed: u64,
    },
    /// A connection takes so many deliveries.
    Take {
        who: u64,
        count: usize,
    },
    Leave {
        who: u64,
    },
    Turn {
        budget: usize,
    },
    Fetch {
        consumer: u64,
        count: usize,
    },
    Settle {
        consumer: u64,
        seed: u64,
    },
}

const FOLLOWERS: u64 = 5;

fn hub(draw: &Draw) -> HubStep {
    let (who, consumer, seed) = (draw.below(FOLLOWERS), draw.below(2), draw.seed());
    match draw.below(100) {
        0..28 => HubStep::Publish { seed },
        28..46 => HubStep::Turn { budget: draw.pick(&[1, 5, 64]) },
        46..66 => HubStep::Take { who, count: draw.pick(&[1, 4, 100]) },
        66..76 => HubStep::Follow { who, seed },
        76..79 => HubStep::Leave { who },
        79..90 => HubStep::Fetch { consumer, count: draw.pick(&[1, 5, 20]) },
        _ => HubStep::Settle { consumer, seed },
    }
}

impl Themes {
    fn draw(draw: &Draw, seed: u64) -> Themes {
        Themes {
            has_ids: draw.one_in(2),
            has_transactions: draw.one_in(2),
            has_compaction: draw.one_in(2),
            has_hub: seed % HUB_EVERY == 1,
        }
    }

    fn step(self, draw: &Draw) -> Option<Step> {
        let (slot, seed) = (draw.below(SLOTS), draw.seed());
        match draw.below(4) {
            0 if self.has_ids && draw.one_in(2) => Some(Step::Ids(IdStep::Publish { slot, seed })),
            0 if self.has_ids => Some(Step::Ids(IdStep::Again { seed })),
            1 if self.has_transactions => Some(Step::Transaction(transaction(draw, seed))),
            2 if self.has_compaction => Some(Step::Collect(collect(draw, slot, seed))),
            _ => None,
        }
    }
}

/// Puts the steps of the seed's themes between those of the plan.
pub fn weave(mut plan: Plan) -> Plan {
    let draw = Draw::new(plan.seed ^ SALT);
    plan.site.themes = Themes::draw(&draw, plan.seed);
    let mut steps = Vec::with_capacity(2 * plan.steps.len());
    for step in std::mem::take(&mut plan.steps) {
        steps.push(step);
        if plan.site.themes.has_hub {
            steps.extend((0..draw.below(3)).map(|_| Step::Hub(hub(&draw))));
        }
        let Some(step) = plan.site.themes.step(&draw) else { continue };
        steps.push(step);
        if draw.one_in(2) {
            steps.push(Step::Commit(draw.between(1, 4)));
        }
    }
    plan.steps = steps;
    plan
}
