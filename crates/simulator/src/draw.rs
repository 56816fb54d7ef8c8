//! Choices from a seed. Whoever draws the same things in the same order from the same seed gets the
//! same choices; nothing else is random in a simulation.

use stdx::Rng;
use testkit::rng::SeededRng;

#[derive(Debug)]
pub struct Draw(SeededRng);

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw(SeededRng::new(seed))
    }

    /// A seed for something that draws for itself.
    pub fn seed(&self) -> u64 {
        self.0.next_u64()
    }

    /// One of `0..bound`; `bound` is not zero.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    pub fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from).max(1))
    }

    /// True once in so many times.
    pub fn one_in(&self, count: u64) -> bool {
        self.below(count.max(1)) == 0
    }

    /// One of a choice that is not empty.
    pub fn pick<T: Copy>(&self, choice: &[T]) -> T {
        choice[self.below(choice.len() as u64) as usize]
    }
}
