//! The words everybody uses, as plain data: who (tenant, project, principal), where (topic, key,
//! filter, partition, offset, cursor) and what (record, batch). Nothing here does IO, and nothing
//! here knows a protocol, a database or the log's layout on disk.
#![forbid(unsafe_code)]

pub mod acl;
pub mod address;
pub mod batch;
pub mod consumer;
pub mod cursor;
pub mod filter;
pub mod id;
pub mod limits;
pub mod plan;
pub mod record;
pub mod scope;
pub mod topic;
pub mod usage;

pub use acl::{AccessEntry, AccessList, Operation, Operations};
pub use address::{Key, TopicName};
pub use batch::{BadBatch, Batch, BatchBuilder, BatchJoiner, Producer, Stamp};
pub use consumer::{ConsumerConfig, ConsumerName};
pub use cursor::{From, Position, Positions};
pub use filter::Filter;
pub use id::{KeyId, PrincipalId, ProjectId, SubscriptionTag, TenantId, TopicId};
pub use limits::Limits;
pub use record::{Header, Headers, Record};
pub use scope::{Access, Effect, Grant, Scope, Scopes};
pub use topic::{
    Cleanup, Compatibility, Durability, Retention, SchemaKind, TOMBSTONE_MS, TopicConfig,
};
pub use usage::{LogRange, Usage, UsageMetric};

/// The number of a record in its partition; the first is 0 and no number is ever used twice.
pub type Offset = u64;
/// The number of a partition in its topic; the first is 0.
pub type Partition = u32;
/// Milliseconds since the Unix epoch.
pub type TimestampMs = i64;

#[cfg(test)]
mod tests;
