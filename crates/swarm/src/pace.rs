//! When things are due. Load is open loop: what is due is sent whether or not the server has
//! answered before, and latencies are counted from the time it was due, so a server that stalls
//! cannot hide that by being asked less often ("coordinated omission").

use rustix::time::{ClockId, clock_gettime};

const SECOND_NS: f64 = 1e9;

/// Nanoseconds of the machine's steady clock, the same for all its processes.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, ns) = (time.tv_sec, time.tv_nsec);
    u64::try_from(seconds).unwrap_or(0) * 1_000_000_000 + u64::try_from(ns).unwrap_or(0)
}

/// Things that are due at even distances.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub begin_ns: u64,
    /// More than 0.
    pub per_second: f64,
}

impl Pace {
    /// When the thing with this number, counted from 0, is due.
    pub fn due_ns(&self, number: u64) -> u64 {
        self.begin_ns + (number as f64 * SECOND_NS / self.per_second) as u64
    }

    /// How many are due at `now_ns`.
    pub fn due_by(&self, now_ns: u64) -> u64 {
        match now_ns.checked_sub(self.begin_ns) {
            None => 0,
            Some(ns) => ((ns as f64 * self.per_second / SECOND_NS) as u64).saturating_add(1),
        }
    }
}
