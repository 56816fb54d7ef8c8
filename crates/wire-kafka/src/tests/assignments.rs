//! The embedded protocol of consumers, byte by byte as other clients write it.

use crate::assignments::{Assignment, Parts, Subscription, TopicPartitions, read, write};
use crate::wire::Malformed;
use bytes::Bytes;
use proptest::prelude::*;

fn part(topic: &str, partitions: &[i32]) -> TopicPartitions {
    TopicPartitions { topic: topic.to_owned(), partitions: partitions.to_vec() }
}

#[test]
fn all_versions_are_read_and_what_is_newer_is_passed_over() {
    // Version 0 of a subscription: one topic, no user data.
    let old = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    let subscription = read::<Subscription>(&old).expect("read");
    assert_eq!(subscription, Subscription { topics: vec!["t".to_owned()], ..Default::default() });
    // An assignment of a version that is not known, with something behind what is.
    let new = Bytes::from_static(
        b"\0\x09\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff\xff\xff!?",
    );
    let assignment = read::<Assignment>(&new).expect("read");
    assert_eq!(assignment.assigned_partitions, [part("t", &[0, 5])]);
    // Nobody was given anything.
    assert_eq!(read::<Assignment>(&Bytes::new()).expect("read"), Assignment::default());
}

#[test]
fn what_is_cut_off_or_claims_too_much_is_refused() {
    let whole = write(&Assignment::of(&Parts::from([("t".to_owned(), 1)])));
    for end in 1..whole.len() {
        assert!(read::<Assignment>(&whole.slice(..end)).is_err(), "{end}");
    }
    let bomb = Bytes::from_static(b"\0\0\x7f\xff\xff\xff");
    assert_eq!(read::<Assignment>(&bomb), Err(Malformed::Short));
    assert!(read::<Assignment>(&Bytes::from_static(b"\xff\xff\0\0\0\0")).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        parts in prop::collection::btree_set(("[a-c]{1,3}", 0..9i32), 0..20),
    ) {
        let parts: Parts = parts;
        let assignment = Assignment::of(&parts);
        let back = read::<Assignment>(&write(&assignment)).expect("read");
        prop_assert_eq!(back.parts(), parts);
        let subscription = Subscription {
            topics: vec!["t".to_owned()],
            owned_partitions: assignment.assigned_partitions,
            generation_id: 7,
            rack_id: Some("r".to_owned()),
            user_data: Some(Bytes::from_static(b"u")),
        };
        prop_assert_eq!(read::<Subscription>(&write(&subscription)), Ok(subscription));
    }

    #[test]
    fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let bytes = Bytes::from(bytes);
        let _ = read::<Subscription>(&bytes);
        let _ = read::<Assignment>(&bytes);
    }
}
