//! What one configures on a topic.

use serde::{Deserialize, Serialize};

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After the record is flushed to the device.
    #[default]
    Durable,
    /// After the record is in the log's memory and on its way to the device.
    Relaxed,
    /// Never stored: delivered to who follows now, and gone.
    Ephemeral,
}

/// How long records are kept; whichever bound is reached first removes the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    pub age_ms_max: Option<u64>,
    /// All partitions of the topic together, as stored.
    pub bytes_max: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicConfig {
    /// Fixed at creation: a key must never change its partition.
    pub partitions: u32,
    pub durability: Durability,
    pub retention: Retention,
    /// JSON Schema every value must satisfy; `None` accepts any bytes.
    pub schema: Option<serde_json::Value>,
}

impl Default for TopicConfig {
    fn default() -> Self {
        TopicConfig {
            partitions: 1,
            durability: Durability::Durable,
            retention: Retention::default(),
            schema: None,
        }
    }
}
