//! What Kafka's servers and clients share on the wire: messages in all their versions, errors, and
//! records as clients compress them. Pure; no input makes it panic, and nothing is allocated for
//! what a peer only announces.
#![forbid(unsafe_code)]

pub mod assignments;
pub mod errors;
pub mod messages;
pub mod records;
#[cfg(test)]
mod tests;
pub mod wire;
