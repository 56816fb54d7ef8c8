//! What one configures of the protocol: these comments are the manual. It holds no value that the
//! edge owns (sockets, TLS, the keep-alive timer itself).

use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use types::limits::{APPEND_BYTES_MAX, SUBSCRIPTIONS_PER_CONNECTION_MAX};

/// Room for the words around the records of one publish.
const ENVELOPE_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a connection without a credential may take to send `connect`.
    pub connect_timeout_ms: u64,
    /// The keep-alive interval that clients are told. Set it to what the edge uses.
    pub keepalive_ms: u64,
    /// Subscriptions one connection may hold open.
    pub subscriptions_max: usize,
    /// Bytes of one frame from a client; a longer one ends the connection with 1009.
    pub frame_bytes_max: usize,
    /// Frames in a row that cannot be read before the connection ends with 1008.
    pub bad_frames_max: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            connect_timeout_ms: 10_000,
            keepalive_ms: 25_000,
            subscriptions_max: 128,
            frame_bytes_max: 2 * 1024 * 1024,
            bad_frames_max: 16,
        }
    }
}

impl Config {
    /// # Errors
    /// `INVALID_REQUEST` with the name of the first value that is out of range.
    pub fn check(&self) -> Result<(), Refusal> {
        let frame_bytes_max = APPEND_BYTES_MAX + ENVELOPE_BYTES;
        let ranges = [
            ("connect_timeout_ms", self.connect_timeout_ms, 100, 600_000),
            ("keepalive_ms", self.keepalive_ms, 1_000, 3_600_000),
            (
                "subscriptions_max",
                self.subscriptions_max as u64,
                1,
                SUBSCRIPTIONS_PER_CONNECTION_MAX as u64,
            ),
            ("frame_bytes_max", self.frame_bytes_max as u64, 1024, frame_bytes_max as u64),
            ("bad_frames_max", u64::from(self.bad_frames_max), 1, 1_000),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(Refusal::new(Code::InvalidRequest, format!("`{field}` is {value}"))
                    .field(field)
                    .hint(format!("{least} to {most}")));
            }
        }
        Ok(())
    }

    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}
