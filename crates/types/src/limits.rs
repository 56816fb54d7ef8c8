//! Every maximum that more than one crate must agree on, in one place.

use serde::{Deserialize, Serialize};

/// What one project may use. `None` is no limit of its own (the server's limits still hold).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections of every protocol together.
    pub connections_max: Option<u32>,
    /// Open WebSocket connections.
    pub websocket_connections_max: Option<u32>,
    /// Open Server-Sent Events streams.
    pub sse_connections_max: Option<u32>,
    /// Open connections of one principal: one API key, or one subject of tokens.
    pub connections_per_principal_max: Option<u32>,
    /// Open subscriptions of all connections together.
    pub subscriptions_max: Option<u32>,
    /// Open subscriptions of one principal.
    pub subscriptions_per_principal_max: Option<u32>,
    pub topics_max: Option<u32>,
    pub record_bytes_max: Option<u32>,
    /// Sustained publishes per second, with a burst of the same size.
    pub publish_per_second_max: Option<u32>,
    /// Sustained API requests per second, with a burst of the same size.
    pub request_per_second_max: Option<u32>,
    /// Publishes are refused while the project's topics take more.
    pub storage_bytes_max: Option<u64>,
    /// The oldest records of the project go when they are older, whatever their topic says.
    pub retention_age_ms_max: Option<u64>,
    /// The oldest records of the project go when its topics take more, as stored.
    pub retention_bytes_max: Option<u64>,
    /// The oldest records of the project go when its topics have more.
    pub retention_records_max: Option<u64>,
    /// Records accepted per calendar month (UTC).
    pub publish_per_month_max: Option<u64>,
}

/// Value, key and headers of one record together.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Records in one append call.
pub const RECORDS_PER_APPEND_MAX: usize = 10_000;
/// Bytes of all records in one append call.
pub const APPEND_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Headers of one record.
pub const HEADERS_MAX: usize = 64;
/// Name and value of one header together.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
pub const PARTITIONS_MAX: u32 = 1_024;
/// Subscriptions of one connection.
pub const SUBSCRIPTIONS_PER_CONNECTION_MAX: usize = 512;
/// Records one bounded read answers at most.
pub const READ_RECORDS_MAX: usize = 10_000;
/// Positions in one cursor: partitions of all topics it follows together.
pub const CURSOR_POSITIONS_MAX: usize = 4_096;

const _: () = assert!(RECORD_BYTES_MAX <= APPEND_BYTES_MAX);
const _: () = assert!(HEADER_BYTES_MAX <= RECORD_BYTES_MAX);
