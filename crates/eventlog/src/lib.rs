//! The durable log: topics with partitions, on an engine behind one trait. Records go in, offsets
//! come out; batches are read back by offset, time or key, and followed live through an observer.
//! This crate must not know any protocol, who may do what, or what a value means.
#![forbid(unsafe_code)]

mod embedded;
mod engine;
mod error;
pub mod files;
mod options;
mod partitioner;

pub use embedded::cut::{LastEnd, LogCut, StreamMark, leave_gaps, read_marks, write_marks};
pub use embedded::{Collected, Driver, EmbeddedLog, OpenReport};
pub use engine::{
    Appended, Bounds, End, Engine, Found, Health, Observer, Pending, Placement, ProducerState,
    Together, TopicSpec,
};
pub use error::LogError;
pub use options::{CollectOptions, MAINTAIN_INTERVAL, Options};
pub use partitioner::{murmur2, partition_of};

#[cfg(test)]
mod tests;
