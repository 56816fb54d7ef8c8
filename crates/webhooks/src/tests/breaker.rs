//! The breaker with time as an argument.

use crate::breaker::{Admission, Breaker, BreakerRule, BreakerState};
use proptest::prelude::*;
use std::time::Duration;

const RULE: BreakerRule = BreakerRule {
    failures: 3,
    rest_min: Duration::from_secs(10),
    rest_max: Duration::from_secs(60),
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn opens_after_failures_in_a_row_only() {
    let mut breaker = Breaker::default();
    for _ in 0..5 {
        breaker.failed(at(1), &RULE);
        breaker.failed(at(1), &RULE);
        breaker.succeeded();
    }
    assert_eq!(breaker.admit(at(1)), Admission::All);
    (0..3).for_each(|_| breaker.failed(at(1), &RULE));
    assert_eq!(breaker.admit(at(1)), Admission::After(at(10)));
    let view = breaker.view(at(2));
    assert_eq!((view.state, view.failures), (BreakerState::Open, 3));
    assert_eq!(view.rests_ms, Some(9_000));
}

#[test]
fn probes_one_at_a_time_and_rests_longer() {
    let mut breaker = Breaker::default();
    (0..3).for_each(|_| breaker.failed(at(0), &RULE));
    // Requests that were under way already do not prolong the rest.
    (0..9).for_each(|_| breaker.failed(at(5), &RULE));
    assert_eq!(breaker.admit(at(9)), Admission::After(at(1)));
    let mut now = 10;
    for rest in [20, 40, 60, 60] {
        assert_eq!(breaker.admit(at(now)), Admission::Probe);
        assert_eq!(breaker.view(at(now)).state, BreakerState::HalfOpen);
        breaker.failed(at(now), &RULE);
        assert_eq!(breaker.admit(at(now)), Admission::After(at(rest)));
        now += rest;
    }
    breaker.succeeded();
    assert_eq!(breaker.admit(at(now)), Admission::All);
    (0..3).for_each(|_| breaker.failed(at(now), &RULE));
    assert_eq!(breaker.admit(at(now)), Admission::After(at(10)), "the first rest again");
}

proptest! {
    #[test]
    fn never_rests_longer_than_the_longest(
        steps in proptest::collection::vec((0u64..120, any::<bool>()), 1..200),
    ) {
        let (mut breaker, mut now) = (Breaker::default(), 0);
        for (step, is_failure) in steps {
            now += step;
            if is_failure { breaker.failed(at(now), &RULE) } else { breaker.succeeded() }
            if let Admission::After(wait) = breaker.admit(at(now)) {
                prop_assert!(wait <= RULE.rest_max && is_failure);
            }
        }
    }
}
