//! Partitions are those of Java's clients (`UtilsTest.testMurmur2` in Kafka).

use crate::partitioner::{murmur2, of_key};

#[test]
fn keys_hash_as_in_java() {
    let cases: [(&[u8], i32); 6] = [
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        (b"abc", 479_470_107),
    ];
    for (key, expected) in cases {
        assert_eq!(murmur2(key), expected, "{}", String::from_utf8_lossy(key));
        assert_eq!(of_key(key, 7), (expected & i32::MAX) % 7);
    }
    assert_eq!(of_key(b"x", 1), 0);
}
