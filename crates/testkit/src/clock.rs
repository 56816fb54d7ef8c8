//! A clock that moves only when a test moves it. Wall and monotonic time move together, except
//! through `set_now_ms`, which is an operator setting the clock.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;

#[derive(Debug)]
pub struct ManualClock {
    time: Mutex<Time>,
}

#[derive(Debug)]
struct Time {
    now_ms: i64,
    /// The part of a millisecond that `advance` has left over.
    rest: Duration,
    monotonic: Duration,
}

impl ManualClock {
    pub fn shared(now_ms: i64) -> Arc<ManualClock> {
        let time = Time { now_ms, rest: Duration::ZERO, monotonic: Duration::ZERO };
        Arc::new(ManualClock { time: Mutex::new(time) })
    }

    pub fn advance(&self, by: Duration) {
        let mut time = self.time.lock();
        time.monotonic += by;
        let moved = time.rest + by;
        let whole_ms = i64::try_from(moved.as_millis()).unwrap_or(i64::MAX);
        time.now_ms = time.now_ms.saturating_add(whole_ms);
        time.rest = Duration::from_nanos(u64::from(moved.subsec_nanos() % 1_000_000));
    }

    /// Wall time jumps; monotonic time does not notice.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.time.lock().now_ms = now_ms;
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.time.lock().now_ms
    }

    fn monotonic(&self) -> Duration {
        self.time.lock().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_only_by_hand_and_keeps_fractions() {
        let clock = ManualClock::shared(1_000);
        (0..3).for_each(|_| clock.advance(Duration::from_micros(700)));
        assert_eq!(clock.now_ms(), 1_002);
        assert_eq!(clock.monotonic(), Duration::from_micros(2_100));
        clock.set_now_ms(5);
        assert_eq!((clock.now_ms(), clock.monotonic()), (5, Duration::from_micros(2_100)));
    }
}
