//! What needs no engine: the partitioner, the key hash on disk, the checkpoint's bytes.

use crate::embedded::checkpoint::{Checkpoint, KnownDamage, Mark};
use crate::embedded::draft::key_hash;
use crate::{murmur2, partition_of};
use proptest::prelude::*;
use storage::StreamId;
use types::{Key, TopicId};

#[test]
fn murmur2_is_kafkas() {
    // The table of Kafka's own tests (`UtilsTest.testMurmur2`), signed there.
    let cases: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    for (text, want) in cases {
        assert_eq!(murmur2(text.as_bytes()) as i32, want, "{text}");
    }
}

#[test]
fn records_without_a_key_take_turns() {
    let partitions: Vec<u32> = (0..6).map(|turn| partition_of(None, 3, turn)).collect();
    assert_eq!(partitions, [0, 1, 2, 0, 1, 2]);
    assert_eq!(partition_of(None, 0, 9), 0);
}

#[test]
fn the_key_hash_on_disk_never_changes() {
    assert_eq!(key_hash(b""), 0xefd0_1f60_ba99_2926);
    assert_eq!(key_hash(b"user-1"), key_hash(&b"user-1"[..]));
    assert_ne!(key_hash(b"user-1"), key_hash(b"user-2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_key_always_has_the_same_partition_below_the_count(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        partitions in 1..1_024u32,
        turns in any::<(u64, u64)>(),
    ) {
        let key = Key::new(bytes).expect("short");
        let partition = partition_of(Some(&key), partitions, turns.0);
        prop_assert!(partition < partitions);
        prop_assert_eq!(partition, partition_of(Some(&key), partitions, turns.1));
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_or_not_at_all(
        marks in prop::collection::hash_map(
            (any::<u64>(), any::<u32>()), any::<(u64, u64, u64, bool)>(), 0..20
        ),
        is_clean in any::<bool>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let marks = marks.into_iter().map(|((topic, partition), mark)| {
            let (start, stored, floor, is_relaxed) = mark;
            let mark = Mark { start, stored, floor, is_relaxed };
            (StreamId { topic: TopicId(topic), partition }, mark)
        });
        let marks = marks.collect::<std::collections::BTreeMap<_, _>>();
        let damaged = marks.iter().map(|(stream, mark)| (*stream, mark.start..mark.stored));
        let damaged = damaged.collect();
        let known_damage = vec![KnownDamage {
            extent: storage::ExtentId(9),
            generation: 1 << 40,
            from_position: 4096,
            to_position: u64::MAX,
        }];
        let checkpoint = Checkpoint { is_clean, marks, damaged, known_damage };
        let mut bytes = checkpoint.encode();
        prop_assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
        let at = flip.index(bytes.len());
        bytes[at] ^= 1;
        prop_assert_eq!(Checkpoint::decode(&bytes), None);
        prop_assert_eq!(Checkpoint::decode(&bytes[..at]), None);
    }
}
