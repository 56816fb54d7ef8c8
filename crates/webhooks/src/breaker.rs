//! A circuit breaker: an endpoint that fails again and again is left in peace for a while, then
//! asked with one request at a time whether it is back. Pure; time is an argument.

use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Requests go out.
    Closed,
    /// Nothing goes out until the rest is over.
    Open,
    /// One request at a time: a success closes it, a failure opens it for longer.
    HalfOpen,
}

/// As people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BreakerView {
    pub state: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// How long it rests from now on.
    pub rests_ms: Option<u64>,
}

/// When it opens and how long it rests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BreakerRule {
    pub(crate) failures: u32,
    pub(crate) rest_min: Duration,
    pub(crate) rest_max: Duration,
}

/// What may go out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    All,
    /// One, when nothing else is under way.
    Probe,
    After(Duration),
}

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    /// Rests begun since the last success.
    rests: u32,
    open_until: Option<Duration>,
}

impl Breaker {
    pub(crate) fn admit(&self, now: Duration) -> Admission {
        match self.open_until {
            None => Admission::All,
            Some(until) if until > now => Admission::After(until - now),
            Some(_) => Admission::Probe,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// A failure while it rests, of a request that was under way already, does not prolong the
    /// rest.
    pub(crate) fn failed(&mut self, now: Duration, rule: &BreakerRule) {
        self.failures = self.failures.saturating_add(1);
        let is_probe = self.open_until.is_some_and(|until| until <= now);
        let is_due = self.open_until.is_none() && self.failures >= rule.failures;
        if is_probe || is_due {
            let doubled = 1u32.checked_shl(self.rests).unwrap_or(u32::MAX);
            let rest = rule.rest_min.saturating_mul(doubled).min(rule.rest_max);
            self.rests = self.rests.saturating_add(1);
            self.open_until = Some(now + rest);
        }
    }

    pub(crate) fn view(&self, now: Duration) -> BreakerView {
        let (state, rests) = match self.admit(now) {
            Admission::All => (BreakerState::Closed, None),
            Admission::Probe => (BreakerState::HalfOpen, None),
            Admission::After(wait) => (BreakerState::Open, Some(wait)),
        };
        let rests_ms = rests.map(|rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
        BreakerView { state, failures: self.failures, rests_ms }
    }
}
