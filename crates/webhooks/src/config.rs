//! What an operator may set about webhooks. The comments are the manual.

use crate::network::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Networks that webhooks may reach although they are not public: `["10.1.0.0/16"]`. Loopback,
    /// private, link-local and all other special addresses are refused unless listed here.
    pub allow_networks: Vec<Network>,
    /// Endpoints may be `http://`; otherwise only `https://` is taken.
    pub plain_http_allowed: bool,
    /// The wait before the second attempt; it doubles with each further one. Milliseconds.
    pub retry_ms_min: u64,
    /// The longest wait between two attempts. Milliseconds.
    pub retry_ms_max: u64,
    /// Failures of an endpoint in a row after which it rests.
    pub breaker_failures: u32,
    /// The first rest; it doubles as long as probes fail. Milliseconds.
    pub breaker_ms_min: u64,
    /// The longest rest. Milliseconds.
    pub breaker_ms_max: u64,
    /// Bytes of an endpoint's answer that are read and kept for people to look at.
    pub answer_bytes_max: usize,
    /// The newest attempts of each endpoint that are kept in memory.
    pub attempts_kept: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            allow_networks: Vec::new(),
            plain_http_allowed: false,
            retry_ms_min: 5_000,
            retry_ms_max: 3_600_000,
            breaker_failures: 5,
            breaker_ms_min: 10_000,
            breaker_ms_max: 300_000,
            answer_bytes_max: 2_048,
            attempts_kept: 50,
        }
    }
}

impl Config {
    /// What cannot be meant: the key and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.retry_ms_min == 0 || self.retry_ms_min > self.retry_ms_max {
            return Err(("retry_ms_min", "at least 1 and not above `retry_ms_max`"));
        }
        if self.retry_ms_max > types::consumer::DELAY_MS_MAX {
            return Err(("retry_ms_max", "at most a day"));
        }
        if self.breaker_failures == 0 {
            return Err(("breaker_failures", "at least 1"));
        }
        if self.breaker_ms_min == 0 || self.breaker_ms_min > self.breaker_ms_max {
            return Err(("breaker_ms_min", "at least 1 and not above `breaker_ms_max`"));
        }
        if self.answer_bytes_max > 64 * 1024 {
            return Err(("answer_bytes_max", "at most 65536"));
        }
        if self.attempts_kept > 1_000 {
            return Err(("attempts_kept", "at most 1000"));
        }
        Ok(())
    }
}
