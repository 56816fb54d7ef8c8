//! A Bloom filter over hashes that are random already: it says surely when a run does not hold an
//! id, and is wrong the other way for about one id in two thousand.

use super::entry::IdHash;

const BITS_PER_ID: usize = 16;
const PROBES: u64 = 8;

#[derive(Debug)]
pub struct Filter {
    words: Box<[u64]>,
}

impl Filter {
    pub fn new(ids: usize) -> Filter {
        let words = (ids.max(1) * BITS_PER_ID).div_ceil(64);
        Filter { words: vec![0; words].into() }
    }

    pub fn memory_bytes(&self) -> usize {
        8 * self.words.len()
    }

    /// Word and bit of each probe: both halves of the hash are random, so their sums are (Kirsch
    /// and Mitzenmacher, "Less Hashing, Same Performance").
    fn probes(&self, hash: IdHash) -> impl Iterator<Item = (usize, u64)> + use<> {
        let (high, low) = ((hash >> 64) as u64, hash as u64 | 1);
        let words = self.words.len() as u128;
        (0..PROBES).map(move |probe| {
            let sum = high.wrapping_add(low.wrapping_mul(probe));
            // The upper bits choose the word, without a division; the lower ones the bit.
            (((u128::from(sum) * words) >> 64) as usize, 1 << (sum & 63))
        })
    }

    pub fn add(&mut self, hash: IdHash) {
        for (word, bit) in self.probes(hash) {
            // A part of the length is below it.
            self.words[word] |= bit;
        }
    }

    pub fn may_hold(&self, hash: IdHash) -> bool {
        self.probes(hash).all(|(word, bit)| self.words.get(word).is_some_and(|it| it & bit != 0))
    }
}
