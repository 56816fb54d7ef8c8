//! Randomness behind a trait: the system's for secrets and identifiers, a seeded one in tests.

use std::sync::Arc;

pub trait Rng: Send + Sync + 'static {
    /// Fills the whole buffer. The system implementation is fit for keys and tokens.
    fn fill(&self, buffer: &mut [u8]);

    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Uniform in `0..bound`; `bound` must not be zero. The modulo bias is below 2^-32 for the
    /// small bounds used in jitter, which is what this is for.
    fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no member");
        self.next_u64() % bound
    }
}

#[derive(Debug, Default)]
pub struct SystemRng;

impl SystemRng {
    pub fn shared() -> Arc<dyn Rng> {
        Arc::new(SystemRng)
    }
}

impl Rng for SystemRng {
    fn fill(&self, buffer: &mut [u8]) {
        // The kernel's generator fails only when it does not exist; going on without it would
        // hand out guessable keys.
        getrandom::fill(buffer).expect("the operating system has no random source");
    }
}
