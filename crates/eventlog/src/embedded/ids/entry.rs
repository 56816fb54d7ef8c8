//! One remembered id: a hash instead of the id, and where its record came to lie.

use bytes::{Buf, BufMut};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use types::{Offset, Partition, TimestampMs};

pub const ENTRY_BYTES: usize = 32;
/// Partitions have numbers below 1,024 and offsets stay below 2^53, so both fit one word.
const OFFSET_BITS: u32 = 54;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

const _: () = assert!(types::limits::PARTITIONS_MAX as u64 <= 1 << (64 - OFFSET_BITS));

/// The keyed hash of a topic's number and an id.
pub type IdHash = u128;

/// A map by such hashes, which need no further hashing: they are random to whoever has no key.
pub type IdMap<T> = HashMap<IdHash, T, BuildHasherDefault<Half>>;

/// Half of the hash stands for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Half(u64);

impl Hasher for Half {
    fn write(&mut self, bytes: &[u8]) {
        // Not used for what `IdMap` holds, and right for anything else.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Where and when the record with an id was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    packed: u64,
    pub time: TimestampMs,
}

impl Place {
    pub fn new(partition: Partition, offset: Offset, time: TimestampMs) -> Place {
        Place { packed: u64::from(partition) << OFFSET_BITS | (offset & OFFSET_MASK), time }
    }

    /// As `packed` and `time` told it.
    pub fn unpack(packed: u64, time: TimestampMs) -> Place {
        Place { packed, time }
    }

    pub fn packed(self) -> u64 {
        self.packed
    }

    pub fn partition(self) -> Partition {
        // What is left has ten bits.
        (self.packed >> OFFSET_BITS) as Partition
    }

    pub fn offset(self) -> Offset {
        self.packed & OFFSET_MASK
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub hash: IdHash,
    pub place: Place,
}

impl Entry {
    pub fn put(&self, out: &mut Vec<u8>) {
        out.put_u128_le(self.hash);
        out.put_u64_le(self.place.packed);
        out.put_i64_le(self.place.time);
    }

    /// `bytes` has at least `ENTRY_BYTES`.
    pub fn take(bytes: &mut &[u8]) -> Option<Entry> {
        let hash = bytes.try_get_u128_le().ok()?;
        let packed = bytes.try_get_u64_le().ok()?;
        Some(Entry { hash, place: Place { packed, time: bytes.try_get_i64_le().ok()? } })
    }
}
