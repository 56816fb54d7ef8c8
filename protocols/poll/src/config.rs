//! What an operator can set of reading with requests.

use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::limits::READ_RECORDS_MAX;

/// Options of reading with requests and of the long poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest `wait` a request may ask for, in milliseconds. Keep it below the idle limits of
    /// proxies in front.
    pub wait_ms_max: u64,
    /// Records in one answer when the request does not say how many.
    pub limit_default: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { wait_ms_max: 60_000, limit_default: 100 }
    }
}

impl Config {
    /// # Errors
    /// `INVALID_REQUEST` with the option's name when its value makes no sense.
    pub fn check(&self) -> Result<(), Refusal> {
        if (1..=READ_RECORDS_MAX).contains(&self.limit_default) {
            return Ok(());
        }
        let message = format!("poll.limit_default lies between 1 and {READ_RECORDS_MAX}");
        Err(Refusal::new(Code::InvalidRequest, message).field("poll.limit_default"))
    }
}
