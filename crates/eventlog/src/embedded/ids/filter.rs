//! A Bloom filter over hashes that are random already, all bits of one id within one cache line:
//! it says surely when a run does not hold an id, and is wrong the other way for fewer than one id
//! in ten thousand (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters").

use super::entry::IdHash;

/// A wrong answer costs a look at the device, and makes those wait that publish meanwhile.
const BITS_PER_ID: usize = 32;
/// Each of its words has one bit of an id.
const WORDS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line([u64; WORDS]);

#[derive(Debug, Default)]
pub struct Filter {
    lines: Box<[Line]>,
}

/// The bit of each word of the id's line.
fn bits(hash: IdHash) -> [u64; WORDS] {
    let low = hash as u64;
    std::array::from_fn(|word| 1 << (low >> (6 * word) & 63))
}

impl Filter {
    pub fn new(ids: usize) -> Filter {
        let lines = (ids.max(1) * BITS_PER_ID).div_ceil(64 * WORDS);
        Filter { lines: vec![Line::default(); lines].into() }
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    fn line(&self, hash: IdHash) -> usize {
        // The upper half chooses the line, without a division; the lower one the bits.
        ((u128::from((hash >> 64) as u64) * self.lines.len() as u128) >> 64) as usize
    }

    pub fn add(&mut self, hash: IdHash) {
        // A part of the length is below it.
        let line = self.line(hash);
        for (word, bit) in self.lines[line].0.iter_mut().zip(bits(hash)) {
            *word |= bit;
        }
    }

    /// As `Slots::touch`.
    pub fn touch(&self, hash: IdHash) -> u64 {
        self.lines.get(self.line(hash)).map_or(0, |line| line.0[0])
    }

    pub fn may_hold(&self, hash: IdHash) -> bool {
        let Some(line) = self.lines.get(self.line(hash)) else { return false };
        line.0.iter().zip(bits(hash)).fold(0, |missing, (word, bit)| missing | !word & bit) == 0
    }
}
