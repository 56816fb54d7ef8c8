//! Randomness from a seed (SplitMix64, Steele et al. 2014): the same seed gives the same run. Never
//! fit for secrets.

use parking_lot::Mutex;
use std::sync::Arc;
use stdx::Rng;

#[derive(Debug)]
pub struct SeededRng {
    state: Mutex<u64>,
}

impl SeededRng {
    pub fn new(seed: u64) -> SeededRng {
        SeededRng { state: Mutex::new(seed) }
    }

    pub fn shared(seed: u64) -> Arc<SeededRng> {
        Arc::new(SeededRng::new(seed))
    }
}

impl Rng for SeededRng {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.state.lock();
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let draw = |seed| (0..4).map(move |_| SeededRng::new(seed).next_u64()).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        let rng = SeededRng::new(7);
        assert_ne!(rng.next_u64(), rng.next_u64());
        assert_ne!(draw(7), draw(8));
    }
}
