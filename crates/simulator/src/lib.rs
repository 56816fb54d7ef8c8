//! The log under every fault at once, repeatable: storage and event log run on a simulated disk and
//! clock, one thread does the work of all, and everything random comes from one seed. Checkers
//! listen, each for one invariant.
//! This crate must not know how the log works inside: it opens, drives, publishes, reads and
//! breaks things, and compares what it was told.
#![forbid(unsafe_code)]

mod bits;
mod book;
mod campaign;
mod checks;
mod draw;
mod live;
mod plan;
mod platform;
mod ring;
mod run;
mod sabotage;
mod shrink;
mod trace;
mod world;

pub use bits::{Bits, Every};
pub use campaign::{Campaign, Totals, explain, run_safely, show};
pub use plan::{Plan, Sizes, Step};
pub use run::{Failed, Report, run};
pub use sabotage::Sabotage;

#[cfg(test)]
mod tests;
