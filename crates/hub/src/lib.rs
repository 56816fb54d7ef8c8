//! The only door to the platform: `port::Hub` implemented once. It authenticates, authorises,
//! limits, validates, appends, reads, fans out and meters. It must not know a protocol's words, a
//! socket, or how the log lies on disk.
#![forbid(unsafe_code)]

mod administer;
mod allow;
mod batches;
pub mod branch;
mod catalogue;
mod challenges;
mod cleanup;
mod conditions;
mod connections;
mod consumers;
mod cursor;
mod follow;
mod history;
mod lists;
mod live;
mod meter;
mod node;
mod notice;
mod occupancy;
mod presence;
mod publish;
mod read;
mod refusal;
mod schemas;
mod security;
mod settle;
mod shard;
mod tally;
#[cfg(test)]
mod tests;
mod topic;
mod topics;
mod transactions;
mod usage;
mod watch;

pub use connections::TenantLimits;
pub use node::{Node, Options, Parts, World};
pub use presence::Settings as PresenceSettings;
