//! One rate limiter as plain data: the generic cell rate algorithm (ITU-T I.371, the "virtual
//! scheduling" form). It keeps a single time, the moment at which the full burst is available
//! again, so a limiter costs 16 bytes and needs no timer. Time comes from the caller.

use port::RateState;
use std::time::Duration;

/// Picoseconds, so that four thousand million a second still has an interval of its own.
const PER_SECOND: u128 = 1_000_000_000_000;
const PER_NANOSECOND: u128 = 1_000;

/// A sustained rate and how much may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Units per second in the long run; 0 admits nothing.
    pub per_second: u32,
    /// Units at once after a pause; 0 admits nothing.
    pub burst: u32,
}

impl Rate {
    /// A burst of one second's worth: how every limit in `types::Limits` is meant.
    pub fn per_second(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second }
    }

    fn interval(self) -> u128 {
        PER_SECOND / u128::from(self.per_second.max(1))
    }

    fn is_zero(self) -> bool {
        self.per_second == 0 || self.burst == 0
    }
}

/// Why a cost was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// It fits after this time, if nothing else comes before.
    Wait(Duration),
    /// It is more than the burst: it never fits in one piece.
    Never,
}

/// The state of one limiter. The default is one that was never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gcra {
    /// When the whole burst is available again, in picoseconds of the caller's clock.
    full_at: u128,
}

impl Gcra {
    /// Takes `cost` units, or changes nothing. `now` is monotonic time; a `now` before an earlier
    /// one is harmless. A cost of 0 is always admitted and only asks for the state.
    pub fn take(&mut self, rate: Rate, cost: u32, now: Duration) -> Result<RateState, Excess> {
        let cost_time = self.room_for(rate, cost, now)?;
        if cost > 0 {
            self.full_at = self.full_at.max(picoseconds(now)) + cost_time;
        }
        Ok(self.state(rate, now))
    }

    /// Whether `take` would admit `cost`, without taking it; answers its share of time.
    fn room_for(&self, rate: Rate, cost: u32, now: Duration) -> Result<u128, Excess> {
        if cost == 0 {
            return Ok(0);
        }
        if rate.is_zero() || cost > rate.burst {
            return Err(Excess::Never);
        }
        let now = picoseconds(now);
        let cost_time = rate.interval() * u128::from(cost);
        let burst_time = rate.interval() * u128::from(rate.burst);
        let full_at = self.full_at.max(now) + cost_time;
        match full_at.saturating_sub(burst_time).checked_sub(now) {
            None | Some(0) => Ok(cost_time),
            Some(wait) => Err(Excess::Wait(duration(wait))),
        }
    }

    /// Whether `take` would admit `cost` now.
    pub fn admits(&self, rate: Rate, cost: u32, now: Duration) -> Result<(), Excess> {
        self.room_for(rate, cost, now).map(|_| ())
    }

    /// What is left, as the standard headers tell it.
    pub fn state(&self, rate: Rate, now: Duration) -> RateState {
        if rate.is_zero() {
            return RateState { limit: 0, remaining: 0, reset: Duration::ZERO };
        }
        let owed = self.full_at.saturating_sub(picoseconds(now));
        let burst_time = rate.interval() * u128::from(rate.burst);
        let remaining = burst_time.saturating_sub(owed) / rate.interval();
        RateState {
            limit: rate.burst,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX).min(rate.burst),
            reset: duration(owed),
        }
    }

    /// Nothing is owed: the state is worth as much as a new one.
    pub fn is_idle(&self, now: Duration) -> bool {
        self.full_at <= picoseconds(now)
    }

    /// Orders limiters by how much would be forgotten if their state were dropped.
    pub(crate) fn full_at(&self) -> u128 {
        self.full_at
    }
}

fn picoseconds(time: Duration) -> u128 {
    time.as_nanos() * PER_NANOSECOND
}

/// Rounded up, so that a client that waits as told is admitted.
fn duration(picoseconds: u128) -> Duration {
    let nanoseconds = picoseconds.div_ceil(PER_NANOSECOND);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
