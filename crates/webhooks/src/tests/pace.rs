//! The pace with time as an argument.

use crate::pace::{Pace, Room};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn no_rate_is_no_limit_but_a_pause_is() {
    let mut pace = Pace::default();
    let now = Duration::from_secs(5);
    pace.take(None, 1_000, now);
    assert_eq!(pace.room(None, now), Room::For(usize::MAX));
    pace.hold(Duration::from_secs(2), now);
    pace.hold(Duration::from_secs(1), now);
    assert_eq!(pace.room(None, now), Room::After(Duration::from_secs(2)));
    assert_eq!(pace.room(None, now + Duration::from_secs(2)), Room::For(usize::MAX));
}

#[test]
fn a_burst_of_one_second_then_evenly() {
    let mut pace = Pace::default();
    let now = Duration::from_secs(100);
    assert_eq!(pace.room(Some(10), now), Room::For(10));
    pace.take(Some(10), 10, now);
    assert_eq!(pace.room(Some(10), now), Room::After(Duration::from_millis(100)));
    let later = now + Duration::from_millis(300);
    assert_eq!(pace.room(Some(10), later), Room::For(3));
}

proptest! {
    #[test]
    fn never_more_than_the_rate_and_one_burst(
        rate in 1u32..200,
        steps in proptest::collection::vec(0u64..500, 1..200),
    ) {
        let mut pace = Pace::default();
        let (start, mut now, mut sent) = (Duration::from_secs(1), Duration::from_secs(1), 0u64);
        for step_ms in steps {
            now += Duration::from_millis(step_ms);
            if let Room::For(room) = pace.room(Some(rate), now) {
                pace.take(Some(rate), room, now);
                sent += room as u64;
            }
            let allowed = (now - start).as_secs_f64() * f64::from(rate) + f64::from(rate);
            prop_assert!(sent as f64 <= allowed + 0.001, "{sent} of {allowed}");
        }
    }
}
