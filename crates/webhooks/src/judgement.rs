//! What an answer means: done, again, given up. The table of `docs/guides/webhooks.md` is this
//! file.

use serde::Serialize;
use std::time::Duration;
use types::consumer::DELAY_MS_MAX;

/// What one attempt came to; the label of the metric and the word people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 2xx.
    Delivered,
    /// 410: the endpoint is gone for good, and the webhook is disabled.
    Gone,
    /// 408, 425 or 429: it asks for another time.
    Deferred,
    /// 3xx: redirects are not followed.
    Redirected,
    /// 401 to 405, 407, 421, 451: it takes none of our requests.
    Denied,
    /// Any other 4xx: it does not want this record.
    Refused,
    /// 5xx, or a status that does not exist.
    Failed,
    /// No answer in time.
    TimedOut,
    /// No connection, or one that broke.
    Unreachable,
    /// The endpoint's address is one that webhooks may not connect to.
    Forbidden,
}

impl Outcome {
    pub const ALL: [Outcome; 10] = [
        Outcome::Delivered,
        Outcome::Gone,
        Outcome::Deferred,
        Outcome::Redirected,
        Outcome::Denied,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Unreachable,
        Outcome::Forbidden,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Gone => "gone",
            Outcome::Deferred => "deferred",
            Outcome::Redirected => "redirected",
            Outcome::Denied => "denied",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timed_out",
            Outcome::Unreachable => "unreachable",
            Outcome::Forbidden => "forbidden",
        }
    }

    pub(crate) fn of_status(status: u16) -> Outcome {
        match status {
            200..=299 => Outcome::Delivered,
            410 => Outcome::Gone,
            408 | 425 | 429 => Outcome::Deferred,
            300..=399 => Outcome::Redirected,
            401..=405 | 407 | 421 | 451 => Outcome::Denied,
            400..=499 => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }

    /// Speaks of the endpoint rather than of this one request, and so counts for its breaker. One
    /// record that the endpoint cannot digest must not stop the others.
    pub(crate) fn is_of_endpoint(self) -> bool {
        !matches!(self, Outcome::Delivered | Outcome::Refused)
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3) as a wait: seconds, or a date.
pub(crate) fn retry_after(value: &str, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(value).ok()?;
            let wait_ms = date.timestamp().as_millisecond().saturating_sub(now_ms);
            Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
        }
    };
    Some(wait.min(Duration::from_millis(DELAY_MS_MAX)))
}
