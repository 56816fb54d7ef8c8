//! The limiter against its definition: never more than the burst and the sustained rate allow,
//! never less, and told truthfully.

use crate::rate::{Excess, Gcra, Rate};
use crate::rate_table::{Bound, RateTable};
use port::Code;
use proptest::prelude::*;
use std::time::Duration;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_burst_then_the_rate() {
    let rate = Rate { per_second: 10, burst: 3 };
    let mut limiter = Gcra::default();
    let now = seconds(5.0);
    for left in [2, 1, 0] {
        assert_eq!(limiter.take(rate, 1, now).unwrap().remaining, left);
    }
    assert_eq!(limiter.take(rate, 1, now), Err(Excess::Wait(seconds(0.1))));
    assert!(limiter.take(rate, 1, seconds(5.1)).is_ok());
    let state = limiter.state(rate, seconds(5.1));
    assert_eq!((state.limit, state.remaining, state.reset), (3, 0, seconds(0.3)));
}

#[test]
fn what_can_never_fit_says_so() {
    let rate = Rate { per_second: 10, burst: 3 };
    let mut limiter = Gcra::default();
    assert_eq!(limiter.take(rate, 4, Duration::ZERO), Err(Excess::Never));
    for rate in [Rate { per_second: 0, burst: 3 }, Rate { per_second: 3, burst: 0 }] {
        assert_eq!(limiter.take(rate, 1, Duration::ZERO), Err(Excess::Never));
        assert_eq!(limiter.state(rate, Duration::ZERO).limit, 0);
    }
    assert!(limiter.is_idle(Duration::ZERO), "refusals must not change the state");
}

#[test]
fn extreme_numbers_do_not_overflow() {
    let rate = Rate { per_second: u32::MAX, burst: u32::MAX };
    let mut limiter = Gcra::default();
    let now = Duration::from_secs(u64::MAX / 2);
    assert!(limiter.take(rate, u32::MAX, now).is_ok());
    let slow = Rate { per_second: 1, burst: u32::MAX };
    assert!(Gcra::default().take(slow, u32::MAX, now).is_ok());
}

/// Steps of a client: how long it waits, what it asks for.
fn steps() -> impl Strategy<Value = Vec<(u64, u32)>> {
    proptest::collection::vec((0u64..400_000, 0u32..12), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In every window of time at most the burst and the window's share of the rate is admitted.
    #[test]
    fn no_window_holds_more_than_allowed(
        per_second in 1u32..200, burst in 1u32..50, steps in steps(),
    ) {
        let rate = Rate { per_second, burst };
        let mut limiter = Gcra::default();
        let mut now = Duration::ZERO;
        let mut admitted: Vec<(Duration, u32)> = Vec::new();
        for (wait_us, cost) in steps {
            now += Duration::from_micros(wait_us);
            if limiter.take(rate, cost, now).is_ok() {
                admitted.push((now, cost));
            }
        }
        for (first, &(start, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for &(at, cost) in &admitted[first..] {
                sum += u64::from(cost);
                let share = (at - start).as_secs_f64() * f64::from(per_second);
                prop_assert!(sum as f64 <= f64::from(burst) + share + 1e-3);
            }
        }
    }

    /// **Feature: realtime-saas-platform, Property 5: a burst above the rate limit is throttled and
    /// answered with correct rate limit headers**
    #[test]
    fn property_5_a_burst_is_throttled_and_told(
        per_second in 1u32..5_000, burst in 1u32..500, excess in 1u32..50,
    ) {
        let mut table = RateTable::new(4);
        let bound = Bound { key: "k", rate: Rate { per_second, burst }, name: "rate_per_second" };
        let now = Duration::from_secs(7);
        for count in 1..=burst {
            let state = table.check(&bound, 1, now).unwrap();
            prop_assert_eq!(state.limit, burst);
            prop_assert_eq!(state.remaining, burst - count);
            prop_assert!(state.reset > Duration::ZERO);
        }
        for _ in 0..excess {
            let refusal = table.check(&bound, 1, now).unwrap_err();
            prop_assert_eq!(refusal.code(), Code::RateLimitExceeded);
            prop_assert_eq!(refusal.field_name(), Some("rate_per_second"));
            let state = refusal.rate_state().unwrap();
            prop_assert_eq!((state.limit, state.remaining), (burst, 0));
            let wait = refusal.wait().unwrap();
            prop_assert!(wait > Duration::ZERO && wait <= state.reset);
            // Waiting as told is enough, and not even two microseconds less is.
            let mut later = RateTable::new(4);
            (0..burst).for_each(|_| { later.check(&bound, 1, now).unwrap(); });
            prop_assert!(later.check(&bound, 1, now + wait).is_ok());
            let early = now + wait.saturating_sub(Duration::from_micros(2));
            let is_early = early > now;
            prop_assert!(!is_early || table.check(&bound, 1, early).is_err());
        }
        // After the reset the whole burst is there again.
        let state = table.tightest(std::slice::from_ref(&bound), now).unwrap();
        let refilled = table.tightest(&[bound], now + state.reset).unwrap();
        prop_assert_eq!(refilled.remaining, burst);
        prop_assert_eq!(refilled.reset, Duration::ZERO);
    }

    /// A refusal takes nothing, and its advice is exact.
    #[test]
    fn waiting_as_told_is_admitted(
        per_second in 1u32..1_000_000, burst in 1u32..1_000, costs in
        proptest::collection::vec(1u32..1_000, 1..40),
    ) {
        let rate = Rate { per_second, burst };
        let mut limiter = Gcra::default();
        let mut now = Duration::from_secs(1);
        for cost in costs {
            let before = limiter;
            match limiter.take(rate, cost, now) {
                Ok(state) => prop_assert!(state.remaining <= burst),
                Err(Excess::Never) => prop_assert!(cost > burst && limiter == before),
                Err(Excess::Wait(wait)) => {
                    prop_assert!(limiter == before);
                    now += wait;
                    prop_assert!(limiter.take(rate, cost, now).is_ok());
                }
            }
        }
    }
}
