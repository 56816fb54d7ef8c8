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
    /// All partitions of the topic together, counted by whole batches.
    pub records_max: Option<u64>,
}

/// What happens to records that are not needed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Cleanup {
    /// The oldest go when the retention says so.
    #[default]
    Delete,
    /// Of each key at least the newest record stays, whatever the retention says.
    Compact,
    /// Both: of each key the newest stays, until the retention removes it too. Kafka's
    /// `compact,delete`.
    CompactDelete,
}

impl Cleanup {
    /// Records are replaced by newer ones of their key.
    pub fn compacts(self) -> bool {
        self != Cleanup::Delete
    }

    /// The retention's bounds are in force.
    pub fn deletes(self) -> bool {
        self != Cleanup::Compact
    }
}

/// How long a tombstone stays at least, unless the topic says otherwise: one day.
pub const TOMBSTONE_MS: u64 = 86_400_000;

/// The language of a topic's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum SchemaKind {
    /// Values are JSON; drafts 7, 2019-09 and 2020-12.
    #[default]
    JsonSchema,
    /// Values are Avro's binary encoding of one value, without a header.
    Avro,
}

impl SchemaKind {
    /// The name on the wire and in the database.
    pub fn name(self) -> &'static str {
        match self {
            SchemaKind::JsonSchema => "json_schema",
            SchemaKind::Avro => "avro",
        }
    }

    pub fn named(name: &str) -> Option<SchemaKind> {
        [SchemaKind::JsonSchema, SchemaKind::Avro].into_iter().find(|kind| kind.name() == name)
    }
}

/// What a new version of a topic's schema promises towards the version before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Nothing.
    None,
    /// Who knows the new version can read values of the one before.
    #[default]
    Backward,
    /// Who knows the version before can read values of the new one.
    Forward,
    /// Both.
    Full,
}

impl Compatibility {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Compatibility::None => "none",
            Compatibility::Backward => "backward",
            Compatibility::Forward => "forward",
            Compatibility::Full => "full",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicConfig {
    /// Fixed at creation: a key must never change its partition.
    pub partitions: u32,
    pub durability: Durability,
    pub retention: Retention,
    pub cleanup: Cleanup,
    /// How long a record without a value stays at least in a compacted topic, so that readers
    /// learn that its key is gone. Milliseconds.
    pub tombstone_ms: u64,
    /// How long the id of a record is remembered: a record with the same id is not stored again
    /// meanwhile. 0 stores every record.
    pub idempotency_window_ms: u64,
    /// Bytes of a record, or of a batch as its publisher made it; `None`: as many as limits allow.
    pub message_bytes_max: Option<u32>,
    /// Tells in the project's `$occupancy` when an address of the topic gets its first follower or
    /// member, and when it has lost its last.
    pub occupancy: bool,
    /// The schema every value must satisfy; `None` accepts any bytes.
    pub schema: Option<serde_json::Value>,
    pub schema_kind: SchemaKind,
    /// What another schema must keep towards the present one.
    pub schema_compatibility: Compatibility,
    /// Subscribers that ask for it get a key's values as differences to the ones before.
    pub delta: bool,
}

/// How long ids are remembered unless the topic says otherwise: one day.
pub const IDEMPOTENCY_WINDOW_MS: u64 = 24 * 3_600_000;

impl Default for TopicConfig {
    fn default() -> Self {
        TopicConfig {
            partitions: 1,
            durability: Durability::Durable,
            retention: Retention::default(),
            cleanup: Cleanup::default(),
            tombstone_ms: TOMBSTONE_MS,
            idempotency_window_ms: IDEMPOTENCY_WINDOW_MS,
            message_bytes_max: None,
            occupancy: false,
            schema: None,
            schema_kind: SchemaKind::default(),
            schema_compatibility: Compatibility::default(),
            delta: false,
        }
    }
}
