//! Copies of a whole installation, made while it runs, and the way back to any moment of them.
//!
//! The log's extents are copied as they are, sealed by keys that no backup holds; what is around
//! them is sealed and signed with a key of the installation. This crate must not know any
//! protocol, what a record means, or how operators reach it.
#![forbid(unsafe_code)]

mod contents;
mod create;
mod error;
pub mod manifest;
pub mod offline;
mod progress;
mod repository;
pub mod restore;
pub mod seal;
mod service;
pub mod target;
pub mod transfer;

pub use contents::{Content, contents};
pub use create::{CHAIN_MAX, LEASE, Source, Wanted, create};
pub use error::BackupError;
pub use progress::Progress;
pub use repository::{Listed, Repository, Verified};
pub use service::{Backups, Ended, Made, Request, Running, Settings, Status, instance};

#[cfg(test)]
mod tests;
