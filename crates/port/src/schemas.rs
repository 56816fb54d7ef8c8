//! Versions of a topic's schema, as adapters see them.

use serde_json::Value;
use types::{SchemaKind, TimestampMs};

/// A schema that a topic has or had.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaInfo {
    /// Counted from 1; names this schema for ever.
    pub version: u32,
    pub kind: SchemaKind,
    pub schema: Value,
    pub created_at: TimestampMs,
}

/// A schema that a topic may get.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaDraft {
    pub kind: SchemaKind,
    pub schema: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Schemas {
    /// Oldest first.
    pub schemas: Vec<SchemaInfo>,
    /// There are newer ones after the last.
    pub has_more: bool,
}
