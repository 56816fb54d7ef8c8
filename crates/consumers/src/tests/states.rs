//! Cases: leases and waits over time, backoff, bytes, ranges.

use super::{NoJitter, at, book, terms};
use crate::{Due, Kept, Ledger, Place, Ranges, Refused};
use proptest::prelude::*;
use std::collections::BTreeSet;
use types::consumer::{Backoff, Ordering, PENDING_MAX};

fn due(offset: u64, deliveries: u32) -> Due {
    Due { place: Place { partition: 0, offset }, deliveries }
}

#[test]
fn backoff_follows_its_list_or_doubles() {
    let check = |backoff: &Backoff, expected: &[u64]| {
        let delays: Vec<u64> = (1..=expected.len() as u32).map(|n| backoff.delay_ms(n)).collect();
        assert_eq!(delays, expected);
    };
    let list = Backoff { delays_ms: vec![5, 7], ..Backoff::default() };
    check(&list, &[5, 7, 7, 7]);
    let doubled = Backoff { delay_ms_min: 100, delay_ms_max: 1_000, ..Backoff::default() };
    check(&doubled, &[100, 200, 400, 800, 1_000, 1_000]);
    assert_eq!(doubled.delay_ms(u32::MAX), 1_000);
    assert_eq!(Backoff { delay_ms_min: 0, ..doubled }.delay_ms(70), 0);
}

#[test]
fn a_record_goes_through_its_life() {
    let mut book = book(1, Ordering::None);
    let terms = terms(Ordering::None);
    let ledger = book.ledger(0).unwrap();
    assert!(ledger.admit(4, None, &terms));
    assert_eq!((ledger.committed(), ledger.next()), (4, 5), "what is between holds nothing");
    assert_eq!(book.lease(9, at(0)), [due(4, 1)]);
    assert!(book.lease(9, at(0)).is_empty());
    assert_eq!(book.next_turn(), Some(at(1_000)));
    book.turn(at(999), &NoJitter);
    assert_eq!(book.counts().leased, 1);
    book.turn(at(1_000), &NoJitter);
    assert_eq!((book.counts().leased, book.counts().retrying), (0, 1));
    assert_eq!(book.next_turn(), Some(at(1_100)));
    book.turn(at(1_100), &NoJitter);
    assert_eq!(book.lease(9, at(1_100)), [due(4, 2)]);
    assert_eq!(book.check(due(4, 1)), Err(Refused::Stale));
    assert_eq!(book.check(due(4, 2)), Ok(()));
    assert_eq!(book.check(due(5, 1)), Err(Refused::Unknown));
    book.turn(at(9_000), &NoJitter);
    assert_eq!(book.lease(9, at(9_000)), [due(4, 3)]);
    book.turn(at(10_000), &NoJitter);
    assert!(book.has_doomed() && book.lease(9, at(10_000)).is_empty());
    assert_eq!(book.doomed(9), [due(4, 3)]);
    assert_eq!(book.check(due(4, 3)), Err(Refused::Settling));
    book.ledger(0).unwrap().acknowledge(4);
    assert_eq!(book.check(due(4, 3)), Err(Refused::Acknowledged));
    assert_eq!(book.ledger(0).unwrap().committed(), 5);
}

#[test]
fn what_is_revived_changes_no_committed_position() {
    let mut book = book(1, Ordering::None);
    let terms = terms(Ordering::None);
    let ledger = book.ledger(0).unwrap();
    ledger.pass(10);
    assert!(!ledger.revive(10, None, &terms), "never looked at");
    assert!(ledger.revive(3, None, &terms) && !ledger.revive(3, None, &terms));
    assert_eq!((ledger.committed(), ledger.pending()), (10, 1));
    let kept = ledger.keep(0, &BTreeSet::new(), at(0), 0);
    let ledger = Ledger::restore(&Kept::decode(&kept.encode()).unwrap(), at(0), 0);
    assert_eq!((ledger.committed(), ledger.next(), ledger.pending()), (10, 10, 1));
}

#[test]
fn leases_outlive_a_restart_as_waits() {
    let mut before = book(1, Ordering::None);
    let terms = terms(Ordering::None);
    for offset in 0..3 {
        before.ledger(0).unwrap().admit(offset, None, &terms);
    }
    before.lease(2, at(50));
    let keep = before.keep(&[Place { partition: 0, offset: 0 }], at(50), 5_000);
    let kept = Kept::decode(&keep[0].kept.encode()).unwrap();
    assert_eq!((kept.committed, kept.next), (1, 3), "as if the first was acknowledged");
    // The next process: its clock starts anew, and the wall clock went on by 400 ms.
    let mut ledger = Ledger::restore(&kept, at(7), 5_400);
    ledger.turn(at(7), &terms, &NoJitter);
    assert_eq!(ledger.lease(at(9)), Some((2, 1)), "nobody had it");
    assert_eq!(ledger.lease(at(9)), None);
    ledger.turn(at(7 + 600), &terms, &NoJitter);
    assert_eq!(ledger.lease(at(999)), Some((1, 2)), "when its lease would have ended");
}

#[test]
fn state_that_was_tampered_with_or_is_too_large_is_refused() {
    let refused = |bytes: &[u8]| assert_eq!(Kept::decode(bytes), None, "{bytes:?}");
    refused(&[]);
    refused(&[2, 0, 0, 0, 0]);
    refused(&[1, 0, 5, 4, 0]);
    // A run beyond what was looked at, an empty one, and one too many bytes.
    refused(&[1, 0, 0, 4, 1, 0, 5, 1, 0]);
    refused(&[1, 0, 0, 4, 1, 0, 0, 1, 0]);
    refused(&[1, 0, 0, 4, 0, 0]);
    let mut large = vec![1, 0, 0];
    types::cursor::write_varint(&mut large, u64::MAX);
    large.extend_from_slice(&[1, 0]);
    types::cursor::write_varint(&mut large, u64::from(PENDING_MAX) * 4 + 1);
    large.extend_from_slice(&[1, 0]);
    refused(&large);
    assert_eq!(Kept::decode(&[1, 0, 0, 4, 1, 1, 2, 1, 0]).unwrap().encode().len(), 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn ranges_are_a_set_of_offsets(
        offsets in prop::collection::vec(0..60u64, 0..60),
        floor in 0..40u64,
    ) {
        let mut ranges = Ranges::default();
        let mut model: BTreeSet<u64> = BTreeSet::new();
        for &offset in &offsets {
            ranges.insert(offset);
            model.insert(offset);
        }
        ranges.raise(floor);
        model.extend(0..floor);
        let again = Ranges::decode(&ranges.encode());
        prop_assert_eq!(again.as_ref(), Some(&ranges));
        for offset in 0..70 {
            prop_assert_eq!(ranges.contains(offset), model.contains(&offset), "{}", offset);
            let count = model.range(offset..).count() as u64;
            prop_assert_eq!(ranges.count_from(offset), count, "from {}", offset);
        }
    }

    #[test]
    fn garbage_is_refused_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(kept) = Kept::decode(&bytes) {
            prop_assert!(kept.committed <= kept.next);
            Ledger::restore(&kept, at(0), 0);
        }
        if let Some(ranges) = Ranges::decode(&bytes) {
            prop_assert_eq!(Ranges::decode(&ranges.encode()), Some(ranges));
        }
    }
}
