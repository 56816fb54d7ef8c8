//! The table of limiters: bounded, exact while there is room, all or nothing over several bounds.

use crate::rate::{Gcra, Rate};
use crate::rate_table::{Bound, RateTable};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

fn bound(key: u32, per_second: u32) -> Bound<u32> {
    Bound { key, rate: Rate::per_second(per_second), name: "request_per_second_max" }
}

#[test]
fn several_bounds_are_taken_together_or_not_at_all() {
    let mut table = RateTable::new(16);
    let bounds = [bound(1, 5), bound(2, 2)];
    for left in [1, 0] {
        let tightest = table.check_all(&bounds, 1, Duration::ZERO).unwrap().unwrap();
        assert_eq!((tightest.limit, tightest.remaining), (2, left));
    }
    assert!(table.check_all(&bounds, 1, Duration::ZERO).is_err());
    let alone = table.tightest(&bounds[..1], Duration::ZERO).unwrap();
    assert_eq!(alone.remaining, 3, "the refused request must not be taken from the first bound");
    assert_eq!(table.check_all(&[], 1, Duration::ZERO).unwrap(), None);
}

#[test]
fn a_batch_that_never_fits_is_told_without_a_wait() {
    let refusal = RateTable::new(1).check(&bound(1, 5), 6, Duration::ZERO).unwrap_err();
    assert_eq!(refusal.wait(), None);
    assert!(refusal.hint_text().unwrap().contains("at most 5"));
}

#[test]
fn idle_limiters_give_way_first_and_debtors_last() {
    let mut table = RateTable::new(8);
    let slow = |key| Bound { key, rate: Rate { per_second: 1, burst: 100 }, name: "x" };
    // Key 0 owes most, key 6 least.
    for key in 0..7 {
        table.check(&slow(key), 50 - key, Duration::ZERO).unwrap();
    }
    table.check(&bound(7, 1_000), 1, Duration::ZERO).unwrap();
    // A second later key 7 owes nothing and goes, the others stay.
    table.check(&slow(8), 1, Duration::from_secs(1)).unwrap();
    assert_eq!(table.len(), 8);
    // Now all are in debt: the smallest debt goes.
    table.check(&slow(9), 1, Duration::from_secs(1)).unwrap();
    let left = table.tightest(&[slow(0)], Duration::from_secs(1)).unwrap();
    assert_eq!(left.remaining, 51, "the largest debt must be remembered");
    assert!(table.len() <= 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// With room for all, the table answers as one limiter per key would; without, it stays
    /// bounded.
    #[test]
    fn as_one_limiter_per_key(
        steps in proptest::collection::vec((0u32..6, 1u32..4, 0u64..300), 1..200),
        limiters_max in 1usize..4,
    ) {
        let mut roomy = RateTable::new(6);
        let mut tight = RateTable::new(limiters_max);
        let mut model: HashMap<u32, Gcra> = HashMap::new();
        let mut now = Duration::ZERO;
        for (key, cost, wait_ms) in steps {
            now += Duration::from_millis(wait_ms);
            let bound = bound(key, 5);
            let expected = model.entry(key).or_default().take(bound.rate, cost, now);
            let found = roomy.check(&bound, cost, now);
            prop_assert_eq!(found.is_ok(), expected.is_ok());
            if let (Ok(found), Ok(expected)) = (found, expected) {
                prop_assert_eq!(found, expected);
            }
            let _ = tight.check(&bound, cost, now);
            prop_assert!(tight.len() <= limiters_max);
        }
    }
}
