//! What a topic asks of its configuration and of its records, and what a project's limits ask of
//! the log. It decides nothing about when records go: the log does.

use crate::node::Node;
use port::{Code, Refusal};
use types::{Durability, Limits, Record, Retention, TopicConfig};

/// Tombstones stay at most ten years: beyond it somebody has mixed up the units.
const TOMBSTONE_MS_MAX: u64 = 10 * 366 * 86_400_000;

impl Node {
    /// Gives the log the bounds that the projects' limits set. Now and then, since another node may
    /// have changed them.
    pub async fn apply_retention(&self) -> Result<(), Refusal> {
        for (project, limits) in self.tenancy.all_limits().await? {
            self.engine.set_project_retention(project, bounds(&limits));
        }
        Ok(())
    }
}

fn bounds(limits: &Limits) -> Retention {
    Retention {
        age_ms_max: limits.retention_age_ms_max,
        bytes_max: limits.retention_bytes_max,
        records_max: limits.retention_records_max,
    }
}

/// Refuses combinations that could not do what they promise.
pub(crate) fn check(config: &TopicConfig) -> Result<(), Refusal> {
    let refused = |message: &str| Refusal::new(Code::InvalidRequest, message);
    if config.tombstone_ms > TOMBSTONE_MS_MAX {
        let message = format!("a tombstone stays at most {TOMBSTONE_MS_MAX} milliseconds");
        return Err(refused(&message).field("tombstone_ms"));
    }
    if config.message_bytes_max == Some(0) {
        let message = "a topic that takes no byte takes no record: leave the bound out, or set it";
        return Err(refused(message).field("message_bytes_max"));
    }
    if !config.cleanup.compacts() {
        return Ok(());
    }
    if config.durability == Durability::Ephemeral {
        return Err(refused("an ephemeral topic stores nothing that could be compacted")
            .field("cleanup")
            .hint("use `delete`, or make the topic durable"));
    }
    let retention = config.retention;
    let is_bounded = retention.age_ms_max.or(retention.bytes_max).or(retention.records_max);
    if !config.cleanup.deletes() && is_bounded.is_some() {
        return Err(refused("a topic that is only compacted keeps the newest record of each key")
            .field("retention")
            .hint("use `compact_delete` to remove the oldest records too"));
    }
    Ok(())
}

/// A compacted topic takes only records that have a key: nothing could replace another.
pub(crate) fn check_keys(config: &TopicConfig, records: &[Record]) -> Result<(), Refusal> {
    if !config.cleanup.compacts() {
        return Ok(());
    }
    match records.iter().position(|record| record.key.is_none()) {
        None => Ok(()),
        Some(index) => {
            let message = "a record of a compacted topic needs a key";
            Err(Refusal::new(Code::InvalidRequest, message)
                .field(format!("records[{index}].key"))
                .hint("the newest record of each key is kept; a record without one has no place"))
        }
    }
}

/// What one message may have in this topic: a record, or a batch as its publisher made it.
pub(crate) fn check_message(config: &TopicConfig, bytes: usize) -> Result<(), Refusal> {
    match config.message_bytes_max {
        Some(max) if bytes > max as usize => {
            let message = format!("it has {bytes} bytes; the topic takes {max} at most");
            Err(Refusal::new(Code::PayloadTooLarge, message).field("message_bytes_max"))
        }
        _ => Ok(()),
    }
}
