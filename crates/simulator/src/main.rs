//! Runs seeds and says which fail, with the shortest run that still fails.

use clap::Parser;
use simulator::{Campaign, Sizes};
use std::process::ExitCode;
use std::time::Duration;

/// The log under simulated faults, seed by seed.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
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
    /// Instead of seeds: flips every bit of a small log, one at a time.
    #[arg(long)]
    every_bit: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.every_bit {
        return simulator::Bits::flip(simulator::Every::Bit).tell();
    }
    let sizes = Sizes::default();
    if let Some(seed) = arguments.seed {
        return simulator::show(seed, &sizes);
    }
    let time_max = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    Campaign { from: arguments.from, seeds: arguments.seeds, time_max, sizes }.run()
}
