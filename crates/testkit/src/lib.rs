//! What tests share: a fake clock, disk and random source, a hub in memory, and the contract suite
//! that every protocol passes. Only ever a dev-dependency.
#![forbid(unsafe_code)]

pub mod authenticator;
pub mod clock;
pub mod conformance;
pub mod disk;
pub mod driven;
pub mod faces;
pub mod memory_hub;
pub mod packed;
pub mod postgres;
pub mod rng;
pub mod served;

#[cfg(test)]
mod tests;
