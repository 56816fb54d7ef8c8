//! What the standard library lacks and every layer above needs: the world (clock, disk, randomness)
//! behind traits, so that time and faults are simulated in tests, and small data structures.
//! This crate must not know anything about Mainstem: no topic, no tenant, no protocol.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod clock;
pub mod disk;
pub mod memory;
pub mod open_files;
pub mod patch;
pub mod rng;
pub mod wheel;

pub use clock::{Clock, SystemClock};
pub use disk::{Disk, File, SystemDisk};
pub use rng::{Rng, SystemRng};

#[cfg(test)]
mod tests;
