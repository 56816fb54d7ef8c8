//! Cursors only move forward, merge to the furthest, and survive their encoding; no bytes panic.

use crate::limits::CURSOR_POSITIONS_MAX;
use crate::{Position, Positions, TopicId};
use proptest::prelude::*;

fn position() -> impl Strategy<Value = Position> {
    (0..4u64, 0..3u32, prop_oneof![0..50u64, any::<u64>()])
        .prop_map(|(topic, partition, next)| Position { topic: TopicId(topic), partition, next })
}

fn positions() -> impl Strategy<Value = Vec<Position>> {
    prop::collection::vec(position(), 0..30)
}

fn encoded(positions: &Positions) -> Vec<u8> {
    let mut bytes = Vec::new();
    positions.encode(&mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn each_partition_stands_at_the_furthest_position_told(list in positions()) {
        let all: Positions = list.iter().copied().collect();
        for at in &list {
            let furthest = list
                .iter()
                .filter(|p| (p.topic, p.partition) == (at.topic, at.partition))
                .map(|p| p.next)
                .max();
            prop_assert_eq!(all.get(at.topic, at.partition), furthest);
        }
    }

    #[test]
    fn merging_knows_no_order(left in positions(), right in positions()) {
        let (left, right): (Positions, Positions) =
            (left.into_iter().collect(), right.into_iter().collect());
        let (mut one, mut other) = (left.clone(), right.clone());
        one.merge(&right);
        other.merge(&left);
        prop_assert_eq!(&one, &other);
        one.merge(&left);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn what_is_encoded_is_decoded(list in positions()) {
        let positions: Positions = list.into_iter().collect();
        prop_assert_eq!(Positions::decode(&encoded(&positions)), Some(positions));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(positions) = Positions::decode(&bytes) {
            prop_assert_eq!(Positions::decode(&encoded(&positions)), Some(positions));
        }
    }
}

#[test]
fn too_many_positions_are_refused() {
    let many = |count: usize| {
        let at = |topic| Position { topic: TopicId(topic), partition: 0, next: 1 };
        encoded(&(0..count as u64).map(at).collect())
    };
    assert!(Positions::decode(&many(CURSOR_POSITIONS_MAX)).is_some());
    assert!(Positions::decode(&many(CURSOR_POSITIONS_MAX + 1)).is_none());
}

#[test]
fn cut_and_overlong_numbers_are_refused() {
    let whole = encoded(
        &[Position { topic: TopicId(300), partition: 1, next: u64::MAX }].into_iter().collect(),
    );
    for len in 1..whole.len() {
        assert_eq!(Positions::decode(&whole[..len]), None, "{len} bytes");
    }
    // A number of 65 bits, and a partition of 33.
    assert_eq!(Positions::decode(&[0xff; 10]), None);
    assert_eq!(Positions::decode(&[1, 0x80, 0x80, 0x80, 0x80, 0x10, 0]), None);
}
