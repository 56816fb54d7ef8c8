//! Exponential backoff with full jitter (the AWS "full jitter" rule: uniform in `0..=cap`), pure.

use crate::Rng;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The wait before attempt `attempt` (0 is the first retry).
    pub fn wait(&self, attempt: u32, rng: &dyn Rng) -> Duration {
        let cap =
            self.first.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(self.max);
        let cap_us = u64::try_from(cap.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(rng.below(cap_us.saturating_add(1)))
    }
}
