//! To which partition a record goes: by its key as Java's clients do it, so that records of one key
//! stay in order whoever sends them.

/// murmur2 with Kafka's seed (`Utils.murmur2` in Kafka's clients).
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ (bytes.len() as u32);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (index, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash.cast_signed()
}

/// The partition of a key among so many, of which there must be one.
pub fn of_key(key: &[u8], partitions: usize) -> i32 {
    let positive = murmur2(key) & i32::MAX;
    positive % i32::try_from(partitions.max(1)).unwrap_or(i32::MAX)
}
