//! How fast an endpoint is called: a rate with a burst of one second, and a pause when the endpoint
//! asked for one. Pure; time is an argument.

use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The next request of an even stream would go out then.
    next_at: Duration,
    hold_until: Duration,
}

/// How many requests may go out now, or how long until one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    For(usize),
    After(Duration),
}

impl Pace {
    pub(crate) fn room(&self, rate_per_second: Option<u32>, now: Duration) -> Room {
        if self.hold_until > now {
            return Room::After(self.hold_until - now);
        }
        let Some(step) = step(rate_per_second) else {
            return Room::For(usize::MAX);
        };
        // The burst is what one second holds.
        let horizon = now + Duration::from_secs(1);
        let next = self.next_at.max(now);
        if next + step > horizon {
            return Room::After(next + step - horizon);
        }
        let room = (horizon - next).as_nanos() / step.as_nanos().max(1);
        Room::For(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// So many go out now.
    pub(crate) fn take(&mut self, rate_per_second: Option<u32>, count: usize, now: Duration) {
        if let Some(step) = step(rate_per_second) {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.next_at = self.next_at.max(now) + step.saturating_mul(count);
        }
    }

    /// Nothing goes out for this time.
    pub(crate) fn hold(&mut self, wait: Duration, now: Duration) {
        self.hold_until = self.hold_until.max(now + wait);
    }
}

fn step(rate_per_second: Option<u32>) -> Option<Duration> {
    rate_per_second.map(|rate| Duration::from_secs(1) / rate.max(1))
}
