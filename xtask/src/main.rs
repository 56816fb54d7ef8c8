//! Every chore of the project, as `cargo xtask NAME`. It knows the tree and the tools it calls,
//! and nothing of what they build.

mod bench;
mod dev;
mod faults;
mod generate;
mod interop;
mod new_protocol;
mod packages;
mod peers;
mod run;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds everything and runs it on embedded defaults.
    Dev(dev::Dev),
    /// Installs what tests need, then formats, lints and tests everything.
    Test(test::Test),
    /// What CI runs: the same as `test`.
    Ci,
    /// Checks the rules of the tree: arrows, sizes, headers, names.
    Tidy,
    /// Runs the benches and records their results.
    Bench(bench::Bench),
    /// Runs the log under simulated faults, seed by seed.
    Simulate(faults::Simulate),
    /// Kills a loaded server again and again, and looks for what was acknowledged.
    Kill9(faults::Kill9),
    /// What a night is for: 10,000 seeds, 200 rounds of kill -9, full disks, every bit flip.
    Nightly,
    /// Takes clients of others through a server of ours; needs the network for their packages.
    Interop(interop::Interop),
    /// Writes the generated reference pages; with `--check` only compares.
    Gen(generate::Gen),
    /// Makes the folder of a new protocol that compiles and passes the conformance skeleton.
    NewProtocol(new_protocol::NewProtocol),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Dev(dev) => dev.run(),
        Chore::Test(test) => test.run(),
        Chore::Ci => test::Test::default().run(),
        Chore::Tidy => tidy::run(),
        Chore::Bench(bench) => bench.run(),
        Chore::Simulate(simulate) => simulate.run(),
        Chore::Kill9(kill9) => kill9.run(),
        Chore::Nightly => faults::nightly(),
        Chore::Interop(interop) => interop.run(),
        Chore::Gen(generate) => generate.run(),
        Chore::NewProtocol(new) => new.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\n{message}");
            ExitCode::FAILURE
        }
    }
}
