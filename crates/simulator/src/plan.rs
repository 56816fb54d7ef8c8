//! What a seed stands for: the machine's kind and the steps of the run. A step holds every choice
//! it needs, so that a plan with some steps left out is a plan as well: that is how a failing one
//! is made short.

mod themes;

use crate::draw::Draw;
use testkit::disk::{Failure, Operation};
pub use themes::{CollectStep, HubStep, IdStep, Themes, TransactionStep};

/// Topics by place in the plan, not by number: a topic that is made anew keeps its slot.
pub const SLOTS: u64 = 5;
/// Keys of all records.
pub const KEYS: u64 = 6;
/// An hour, the jump of a badly kept clock.
pub const HOUR_MS: i64 = 3_600_000;

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub site: Site,
    pub steps: Vec<Step>,
}

/// The machine and the sizes the log runs with.
#[derive(Debug, Clone)]
pub struct Site {
    pub seed: u64,
    /// Whether the disk offers direct writes; else everything is written and flushed.
    pub is_direct: bool,
    pub tail_bytes_max: usize,
    pub pool_extents: u32,
    pub footer_cache_bytes: u64,
    pub pending_bytes_max: usize,
    /// Records are sealed at rest, as they are unless an operator says otherwise.
    pub is_sealed: bool,
    pub themes: Themes,
}

#[derive(Debug, Clone)]
pub enum Step {
    Publish {
        slot: u64,
        partition: u64,
        seed: u64,
        count: u64,
        size: Size,
    },
    /// So many groups at most.
    Commit(u64),
    Seal,
    Shrink,
    Prepare,
    Maintain,
    Read {
        slot: u64,
        partition: u64,
        seed: u64,
    },
    ReadTime {
        slot: u64,
        partition: u64,
        seed: u64,
    },
    ReadKey {
        slot: u64,
        partition: u64,
        key: u64,
        count: usize,
    },
    Keys {
        slot: u64,
    },
    PutTopic {
        slot: u64,
        seed: u64,
    },
    DropTopic {
        slot: u64,
    },
    TenantRetention {
        tenant: u64,
        bytes_max: Option<u64>,
    },
    Advance {
        ms: u64,
    },
    Jump {
        ms: i64,
    },
    Fault {
        operation: Operation,
        nth: u64,
        failure: Failure,
    },
    /// Loses power at that change of the disk from here on.
    CrashLater {
        changes: u64,
    },
    Flip {
        seed: u64,
    },
    /// Leaves only so much space.
    Fill {
        slack_bytes: u64,
    },
    /// Gives the space back, and expects appends to succeed again.
    Free,
    Restart {
        how: End,
        trouble: Trouble,
    },
    /// Everything there is is read and compared.
    Survey,
    Ids(IdStep),
    Transaction(TransactionStep),
    Collect(CollectStep),
    Hub(HubStep),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Large,
    /// About as large as the log takes at once, or a little larger.
    Largest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Power is lost: what was not flushed may be gone, sector by sector.
    Crash,
    /// The process is killed: the machine goes on.
    Kill,
    Stop,
}

/// What happens while the log is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    Fault { operation: Operation, nth: u64, failure: Failure },
    CrashAt { changes: u64 },
}

/// How a seed's run is drawn.
#[derive(Debug, Clone)]
pub struct Sizes {
    pub steps: std::ops::Range<u64>,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { steps: 40..140 }
    }
}

impl Plan {
    /// The seed's run.
    pub fn draw(seed: u64, sizes: &Sizes) -> Plan {
        themes::weave(Plan::plain(seed, sizes))
    }

    /// The seed's run without any theme: plain publishes and reads.
    pub fn plain(seed: u64, sizes: &Sizes) -> Plan {
        let draw = Draw::new(seed);
        let site = Site {
            seed: draw.seed(),
            is_direct: !draw.one_in(3),
            tail_bytes_max: draw.pick(&[0, 20_000, 200_000, 8 << 20]),
            pool_extents: draw.pick(&[0, 1, 2]),
            footer_cache_bytes: draw.pick(&[0, 1 << 20]),
            pending_bytes_max: draw.pick(&[300_000, 4 << 20]),
            // Not drawn, so that the seeds of before are the runs they were.
            is_sealed: !seed.is_multiple_of(4),
            themes: Themes::default(),
        };
        // One flip a run: two in one commit that was never followed could pass for a torn one.
        let mood = Mood {
            faults: draw.one_in(2),
            fills: draw.one_in(4),
            flips: draw.one_in(4),
            crashes: !draw.one_in(4),
        };
        let count = draw.between(sizes.steps.start, sizes.steps.end);
        let mut steps: Vec<Step> = Vec::new();
        let mut has_flipped = false;
        for _ in 0..count {
            let step = mood.step(&draw);
            let is_flip = matches!(step, Step::Flip { .. });
            if is_flip && std::mem::replace(&mut has_flipped, is_flip) {
                continue;
            }
            let is_publish = matches!(step, Step::Publish { .. });
            steps.push(step);
            if is_publish && draw.one_in(2) {
                steps.push(Step::Commit(draw.between(1, 5)));
            }
        }
        Plan { seed, site, steps }
    }
}

/// Which kinds of trouble a run has: a run with all of them shows little of each.
struct Mood {
    faults: bool,
    fills: bool,
    flips: bool,
    crashes: bool,
}

impl Mood {
    fn step(&self, draw: &Draw) -> Step {
        let slot = draw.below(SLOTS);
        let partition = draw.below(3);
        match draw.below(100) {
            0..38 => publish(draw, slot, partition),
            38..46 => Step::Commit(draw.between(1, 8)),
            46..49 => Step::Seal,
            49..51 => Step::Shrink,
            51..54 => Step::Prepare,
            54..58 => Step::Maintain,
            58..66 => read(draw, slot, partition),
            66..69 => Step::PutTopic { slot, seed: draw.seed() },
            69 => Step::DropTopic { slot },
            70..72 => Step::TenantRetention {
                tenant: draw.below(2),
                bytes_max: draw.one_in(2).then(|| draw.between(50_000, 2_000_000)),
            },
            72..75 => Step::Advance { ms: draw.pick(&[1, 50, 150, 5_000, 60_000]) },
            75 => Step::Jump { ms: draw.pick(&[-HOUR_MS, HOUR_MS]) },
            76..84 if self.faults => fault(draw),
            84 if self.crashes => Step::CrashLater { changes: draw.between(1, 40) },
            85..87 if self.flips => Step::Flip { seed: draw.seed() },
            87..89 if self.fills => Step::Fill { slack_bytes: draw.below(3 << 20) },
            89..91 if self.fills => Step::Free,
            91..95 => Step::Survey,
            95..98 => self.restart(draw),
            _ => Step::Commit(1),
        }
    }

    fn restart(&self, draw: &Draw) -> Step {
        let how = match draw.below(4) {
            0 => End::Stop,
            1 => End::Kill,
            _ if self.crashes => End::Crash,
            _ => End::Stop,
        };
        let trouble = match draw.below(4) {
            0 if self.crashes => Trouble::CrashAt { changes: draw.between(1, 30) },
            1 if self.faults => match fault(draw) {
                // What was read wrong once at opening cannot be told from what is not there.
                Step::Fault { failure: Failure::Stale, .. } => Trouble::None,
                Step::Fault { operation, nth, failure } => {
                    Trouble::Fault { operation, nth, failure }
                }
                _ => Trouble::None,
            },
            _ => Trouble::None,
        };
        Step::Restart { how, trouble }
    }
}

fn publish(draw: &Draw, slot: u64, partition: u64) -> Step {
    let size = match draw.below(20) {
        0 => Size::Largest,
        1..5 => Size::Large,
        _ => Size::Small,
    };
    let count = if size == Size::Small { draw.between(1, 8) } else { draw.between(1, 4) };
    Step::Publish { slot, partition, seed: draw.seed(), count, size }
}

fn read(draw: &Draw, slot: u64, partition: u64) -> Step {
    let seed = draw.seed();
    match draw.below(6) {
        0..2 => Step::Read { slot, partition, seed },
        2 => Step::ReadTime { slot, partition, seed },
        3 => Step::Keys { slot },
        4 => Step::ReadKey { slot, partition, key: draw.below(KEYS), count: 1 },
        _ => {
            let count = draw.between(2, 5) as usize;
            Step::ReadKey { slot, partition, key: draw.below(KEYS), count }
        }
    }
}

fn fault(draw: &Draw) -> Step {
    // Half of them where it hurts most.
    let operation = match draw.below(4) {
        0 => Operation::Write,
        1 => Operation::Flush,
        _ => draw.pick(&Operation::ALL),
    };
    let failure = match operation {
        Operation::Read => draw.pick(&[Failure::Io, Failure::Stale]),
        Operation::Write => {
            draw.pick(&[Failure::Io, Failure::Full, Failure::Short, Failure::ShortFull])
        }
        _ => draw.pick(&[Failure::Io, Failure::Io, Failure::Full]),
    };
    Step::Fault { operation, nth: draw.between(1, 12), failure }
}
