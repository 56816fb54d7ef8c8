//! Hashes of record keys, which are on disk so that a key can be found. With a tenant's secret they
//! tell nothing to somebody who has the disk; without one, in a log that is not encrypted, they are
//! plain. It must not know where a hash is kept.

use super::draft::key_hash;

/// How a tenant's keys are hashed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyHasher {
    #[default]
    Plain,
    Keyed([u8; 16]),
}

impl KeyHasher {
    pub fn hash(&self, key: &[u8]) -> u64 {
        match self {
            KeyHasher::Plain => key_hash(key),
            KeyHasher::Keyed(secret) => siphash(secret, key),
        }
    }

    /// Every hash the key may have on disk: what was stored before the log was encrypted has
    /// plain ones.
    pub fn hashes(&self, key: &[u8]) -> [u64; 2] {
        [self.hash(key), key_hash(key)]
    }
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012): a hash that nobody without the secret can compute.
fn siphash(secret: &[u8; 16], bytes: &[u8]) -> u64 {
    let half = |half: &[u8]| half.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    let (low, high) = (half(&secret[..8]), half(&secret[8..]));
    let mut state = [
        low ^ 0x736f_6d65_7073_6575,
        high ^ 0x646f_7261_6e64_6f6d,
        low ^ 0x6c79_6765_6e65_7261,
        high ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    // The last word holds what is left and, in its highest byte, the length.
    absorb(&mut state, half(rest) | (bytes.len() as u64) << 56);
    state[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut state));
    state.iter().fold(0, |sum, word| sum ^ word)
}

fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}
