//! The proofs under faults that take longer than a test may: simulated ones by the seed, and real
//! ones on a real server.

use crate::run::{Outcome, cargo, step};

/// Seeds of a night.
const NIGHTLY_SEEDS: u64 = 10_000;
const NIGHTLY_ROUNDS: u64 = 200;
/// After each of which what was metered is compared with the log.
const NIGHTLY_METERED_ROUNDS: u64 = 50;

#[derive(clap::Args)]
pub struct Simulate {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Only this one, with its whole trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Stops after so many minutes, however many seeds are left.
    #[arg(long)]
    minutes: Option<u64>,
}

impl Simulate {
    pub fn run(&self) -> Outcome {
        let mut command = cargo();
        command.args(["run", "--release", "--quiet", "--package", "simulator", "--"]);
        command.args(["--seeds", &self.seeds.to_string(), "--from", &self.from.to_string()]);
        if let Some(seed) = self.seed {
            command.args(["--seed", &seed.to_string()]);
        }
        if let Some(minutes) = self.minutes {
            command.args(["--minutes", &minutes.to_string()]);
        }
        step(&mut command)
    }
}

#[derive(clap::Args)]
pub struct Kill9 {
    /// How often the server is killed.
    #[arg(long, default_value_t = NIGHTLY_ROUNDS)]
    rounds: u64,
    /// Repeats the choices of a run; the output says which it was.
    #[arg(long)]
    seed: Option<u64>,
}

impl Kill9 {
    pub fn run(&self) -> Outcome {
        step(cargo().args(["build", "--package", "server"]))?;
        let mut command = cargo();
        command.args(["test", "--package", "e2e", "--test", "e2e"]);
        command.args(["kill9::acknowledged", "--", "--nocapture"]);
        command.env("MAINSTEM_KILL9_ROUNDS", self.rounds.to_string());
        if let Some(seed) = self.seed {
            command.env("MAINSTEM_KILL9_SEED", seed.to_string());
        }
        step(&mut command)
    }
}

/// Every proof that is too long for a test, one after the other.
pub fn nightly() -> Outcome {
    let simulate = Simulate { seeds: NIGHTLY_SEEDS, from: 1, seed: None, minutes: None };
    simulate.run()?;
    let whole = ["run", "--release", "--quiet", "--package", "simulator", "--", "--every-bit"];
    step(cargo().args(whole))?;
    Kill9 { rounds: NIGHTLY_ROUNDS, seed: None }.run()?;
    let mut metered = cargo();
    metered.args(["test", "--package", "e2e", "--test", "e2e"]);
    metered.args(["kill9::metered", "--", "--nocapture"]);
    metered.env("MAINSTEM_METERED_ROUNDS", NIGHTLY_METERED_ROUNDS.to_string());
    step(&mut metered)?;
    step(cargo().args(["test", "--package", "e2e", "--test", "e2e", "full_disk"]))?;
    // In tests the store itself runs on both databases; here all that stands on it does.
    let mut other = cargo();
    other.args(["test", "--package", "control", "--package", "e2e", "--no-fail-fast"]);
    step(other.env("MAINSTEM_TEST_DATABASE", "postgres"))
}
