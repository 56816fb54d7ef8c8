//! What an operator can set of Server-Sent Events.

use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of Server-Sent Events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A comment is sent when nothing else was for so long, in milliseconds, so that proxies and
    /// clients see that the stream lives.
    pub heartbeat_ms: u64,
    /// What clients are told to wait before they connect again, in milliseconds.
    pub retry_ms: u64,
    /// Bytes gathered into one write at most; one record may pass it.
    pub frame_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { heartbeat_ms: 15_000, retry_ms: 2_000, frame_bytes_max: 64 * 1024 }
    }
}

impl Config {
    /// # Errors
    /// `INVALID_REQUEST` with the option's name when its value makes no sense.
    pub fn check(&self) -> Result<(), Refusal> {
        let name = match self {
            Config { heartbeat_ms: 0, .. } => "sse.heartbeat_ms",
            Config { frame_bytes_max: 0, .. } => "sse.frame_bytes_max",
            _ => return Ok(()),
        };
        Err(Refusal::new(Code::InvalidRequest, format!("{name} must not be zero")).field(name))
    }
}
