//! The shapes on the wire as OpenAPI schemas, for the document that the edge serves. These types
//! describe and are never built: what they say is written by `view`, `refusal` and `publish`.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A stored record.
#[derive(Serialize, ToSchema)]
#[schema(as = Record)]
pub struct RecordSchema {
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    /// The publisher's id, else `topic:partition:offset`.
    pub id: String,
    /// The key when it is UTF-8 text.
    pub key: Option<String>,
    /// The key when it is not UTF-8 text.
    pub key_base64: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are not UTF-8 text.
    pub headers_base64: Option<BTreeMap<String, String>>,
    /// Who published it.
    pub publisher: Option<String>,
    pub content_type: Option<String>,
    /// The value when it is JSON; `null` for a tombstone.
    pub data: Option<serde_json::Value>,
    /// The value when it is not JSON.
    pub data_base64: Option<String>,
    /// Only on a record that removed the value of its key.
    pub tombstone: Option<bool>,
    /// Where to go on after this record.
    pub cursor: String,
}

/// A record to publish: `data` or `data_base64`, and at most one of `key` and `key_base64`.
#[derive(Serialize, ToSchema)]
#[schema(as = Publish)]
pub struct PublishSchema {
    pub topic: String,
    pub key: Option<String>,
    pub key_base64: Option<String>,
    /// Any JSON; `null` with a key removes the key's value.
    pub data: Option<serde_json::Value>,
    pub data_base64: Option<String>,
    pub headers: Option<BTreeMap<String, String>>,
    /// The publisher's own id, 1 to 256 bytes.
    pub id: Option<String>,
    /// Milliseconds since 1970; the server's time when absent.
    pub timestamp: Option<i64>,
    pub content_type: Option<String>,
}

/// Where a published record came to lie.
#[derive(Serialize, ToSchema)]
#[schema(as = Placed)]
pub struct PlacedSchema {
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    pub id: String,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The id was published before, within the topic's window: this is the place of the first
    /// record, and nothing was stored again. Absent when it was not.
    pub duplicate: Option<bool>,
}

/// Every error of every route.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorSchema {
    pub error: ErrorObjectSchema,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ErrorObject)]
pub struct ErrorObjectSchema {
    /// A stable name to match on.
    pub code: String,
    pub message: String,
    pub details: ErrorDetailsSchema,
    pub request_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ErrorDetails)]
pub struct ErrorDetailsSchema {
    /// The offending field, as the client wrote it.
    pub field: Option<String>,
    /// What would be accepted.
    pub hint: Option<String>,
    pub retry_after_ms: Option<u64>,
}
