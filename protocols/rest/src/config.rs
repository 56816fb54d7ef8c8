//! What an operator can set of REST. It must not hold what a tenant can: those are limits of the
//! project.

use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the REST protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Largest body of one publish, in bytes. Records in base64 take a third more than they weigh.
    pub body_bytes_max: usize,
    /// How long the answer to an `Idempotency-Key` is kept, in milliseconds.
    pub idempotency_ms: u64,
    /// Answers kept per project; the oldest goes first.
    pub idempotency_keys_max: usize,
    /// Bytes of kept answers per project; the oldest goes first.
    pub idempotency_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            body_bytes_max: 24 * 1024 * 1024,
            idempotency_ms: 3_600_000,
            idempotency_keys_max: 10_000,
            idempotency_bytes_max: 8 * 1024 * 1024,
        }
    }
}

impl Config {
    /// # Errors
    /// `INVALID_REQUEST` with the option's name when its value makes no sense.
    pub fn check(&self) -> Result<(), Refusal> {
        let zero = [
            ("body_bytes_max", self.body_bytes_max),
            ("idempotency_keys_max", self.idempotency_keys_max),
            ("idempotency_bytes_max", self.idempotency_bytes_max),
        ]
        .into_iter()
        .find(|(_, value)| *value == 0);
        match zero {
            Some((name, _)) => {
                Err(Refusal::new(Code::InvalidRequest, format!("rest.{name} must not be zero"))
                    .field(format!("rest.{name}")))
            }
            None => Ok(()),
        }
    }
}
