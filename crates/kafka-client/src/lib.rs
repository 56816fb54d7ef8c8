//! A client of Kafka's protocol: publishers, consumers, transactions, administration, and small
//! helpers for streams. It speaks plain Kafka, to Mainstem and to Apache Kafka alike, and must not
//! know which of them answers.
//!
//! - [`Settings`] say where the brokers are and who we are; [`Cluster`] knows who leads what.
//! - [`producer`] sends records: batched, compressed, idempotent, in transactions.
//! - [`consumer`] reads them: partitions given by hand, or as a member of a group (KIP-848).
//! - [`admin`] asks for and changes topics, settings, groups, access lists.
//! - [`streams`] keeps state beside a stream: aggregations, windows and joins, exactly once.
#![forbid(unsafe_code)]

pub mod admin;
pub mod batches;
mod cluster;
mod connection;
pub mod consumer;
mod error;
pub mod partitioner;
pub mod producer;
mod security;
mod settings;
pub mod streams;
#[cfg(test)]
mod tests;

/// The guide's samples compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/kafka-client.md")]
struct Guide;

pub use batches::{Header, Record};
pub use cluster::{Cluster, Metadata, Partition, Topic};
pub use connection::Connection;
pub use error::{Error, Refused};
pub use settings::{Sasl, Settings, Tls};
pub use types::batch::Packing;

pub type Result<T> = std::result::Result<T, Error>;
