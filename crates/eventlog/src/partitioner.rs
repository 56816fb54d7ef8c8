//! Which partition a key belongs to. It must never change, or a key's records would lose their
//! order; it is Kafka's default rule, so that producers which choose themselves agree with us.

use types::{Key, Partition};

/// The partition of a key among `partitions` (at least 1 is assumed). Without a key the caller's
/// `turn` decides, so that records spread evenly.
pub fn partition_of(key: Option<&Key>, partitions: u32, turn: u64) -> Partition {
    let partitions = partitions.max(1);
    match key {
        Some(key) => (murmur2(key.bytes()) & 0x7fff_ffff) % partitions,
        // The remainder is below a `u32`.
        None => (turn % u64::from(partitions)) as Partition,
    }
}

/// MurmurHash2 (Austin Appleby, public domain) with the seed of Kafka's Java client.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MIX: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;
    // Kafka's arrays are shorter than 2^31, and so are our keys.
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut word = word.iter().rev().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        word = word.wrapping_mul(MIX);
        word ^= word >> SHIFT;
        word = word.wrapping_mul(MIX);
        hash = hash.wrapping_mul(MIX) ^ word;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}
