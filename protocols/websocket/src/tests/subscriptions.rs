//! The table of subscriptions.

use crate::subscriptions::{Kind, Subscriptions};
use port::Code;

#[test]
fn tags_are_not_used_twice_in_a_row() {
    let mut table = Subscriptions::default();
    let first = table.reserve(1, Kind::Records, 8).expect("a place");
    assert!(table.get(first).is_some());
    assert!(table.remove(first).is_some());
    let second = table.reserve(1, Kind::Records, 8).expect("a place");
    assert_ne!(first, second, "an event still under way must not find the new one");
    assert!(table.get(first).is_none());
    assert!(table.get(second).is_some());
}

#[test]
fn numbers_are_taken_once_and_given_back_whole() {
    let mut table = Subscriptions::default();
    let records = table.reserve(7, Kind::Records, 2).expect("a place");
    let presence = table.reserve(7, Kind::Presence, 2).expect("presence is no second one");
    let taken = table.reserve(7, Kind::Records, 2).expect_err("the number is taken");
    assert_eq!(taken.code(), Code::Conflict);
    table.reserve(8, Kind::Records, 2).expect("a place");
    let full = table.reserve(9, Kind::Records, 2).expect_err("both places are taken");
    assert_eq!(full.code(), Code::ProjectLimitExceeded);
    assert!(table.remove_all(7));
    assert!(!table.remove_all(7));
    assert!(table.get(records).is_none());
    assert!(table.get(presence).is_none());
}

#[test]
fn unknown_tags_find_nothing() {
    let mut table = Subscriptions::default();
    for tag in [0, 1, 1 << 10, u32::MAX] {
        assert!(table.get(types::SubscriptionTag(tag)).is_none());
    }
}
