//! A hashed timing wheel (Varghese and Lauck, 1987, scheme 6): any number of deadlines for the
//! price of one timer. It keeps no clock; whoever turns it says what time it is.

use std::time::Duration;

struct Entry<T> {
    /// The tick at which it is due, counted from the wheel's zero.
    due: u64,
    item: T,
}

/// Deadlines are rounded up to the next tick, so an item never comes early and at most one tick
/// late, as long as the wheel is turned every tick. There is no way to take an item out: holders
/// check at its coming whether it still means something, and put it back if it came too soon.
pub struct Wheel<T> {
    tick_us: u64,
    /// The tick up to which everything has come.
    done: u64,
    slots: Box<[Vec<Entry<T>>]>,
    len: usize,
}

impl<T> Wheel<T> {
    /// A wheel of `slots` slots, one tick each, whose hand stands at `now`. An item further away
    /// than `tick * slots` is passed over once per round, which costs a comparison.
    pub fn new(tick: Duration, slots: usize, now: Duration) -> Wheel<T> {
        let tick_us = micros(tick).max(1);
        let slots = (0..slots.max(1)).map(|_| Vec::new()).collect();
        Wheel { tick_us, done: micros(now) / tick_us, slots, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `item` comes at the first turn at or after `at`; if that is past, at the next tick.
    pub fn insert(&mut self, at: Duration, item: T) {
        let due = micros(at).div_ceil(self.tick_us).max(self.done + 1);
        let slot = self.slot(due);
        self.slots[slot].push(Entry { due, item });
        self.len += 1;
    }

    /// Moves the hand to `now` and appends what is due to `out`, in no particular order. Time that
    /// goes backwards is ignored. Takes one round at most, however long the wheel stood still.
    pub fn turn(&mut self, now: Duration, out: &mut Vec<T>) {
        let target = micros(now) / self.tick_us;
        if target <= self.done {
            return;
        }
        let round = self.slots.len() as u64;
        for tick in (self.done + 1)..=target.min(self.done + round) {
            let slot = self.slot(tick);
            let entries = &mut self.slots[slot];
            let mut index = 0;
            while index < entries.len() {
                if entries[index].due <= target {
                    out.push(entries.swap_remove(index).item);
                    self.len -= 1;
                } else {
                    index += 1;
                }
            }
            if entries.is_empty() && entries.capacity() > KEPT_MAX {
                *entries = Vec::new();
            }
        }
        self.done = target;
    }

    fn slot(&self, tick: u64) -> usize {
        // The remainder is below the number of slots, which is a usize.
        (tick % self.slots.len() as u64) as usize
    }
}

/// Entries an empty slot keeps room for: a crowd that came at once must not be paid for for ever.
const KEPT_MAX: usize = 64;

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK: Duration = Duration::from_millis(10);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Inserts deadlines, turns to each of `turns`, and tells what came when.
    fn run(deadlines: &[u64], turns: &[u64]) -> Vec<(u64, u64)> {
        let mut wheel = Wheel::new(TICK, 8, at(0));
        for &deadline in deadlines {
            wheel.insert(at(deadline), deadline);
        }
        let mut came = Vec::new();
        for &now in turns {
            let mut out = Vec::new();
            wheel.turn(at(now), &mut out);
            out.sort_unstable();
            came.extend(out.into_iter().map(|deadline| (now, deadline)));
        }
        assert_eq!(wheel.len(), deadlines.len() - came.len());
        came
    }

    #[test]
    fn items_come_in_time() {
        assert_eq!(run(&[25], &[10, 20, 29, 30, 40]), [(30, 25)]);
        assert_eq!(run(&[0], &[9, 10]), [(10, 0)]);
        assert_eq!(run(&[500], &[80, 160, 240, 400, 490, 500]), [(500, 500)]);
        assert_eq!(run(&[10, 80, 90, 1000], &[95]), [(95, 10), (95, 80), (95, 90)]);
        assert_eq!(run(&[20], &[20, 10, 20]), [(20, 20)]);
        assert_eq!(run(&[30, 30, 31], &[30, 40]), [(30, 30), (30, 30), (40, 31)]);
    }

    proptest! {
        #[test]
        fn never_early_and_at_most_a_tick_late(
            deadlines in prop::collection::vec(0u64..2_000, 0..50),
        ) {
            let turns: Vec<u64> = (1..=202).map(|tick| tick * 10).collect();
            let came = run(&deadlines, &turns);
            prop_assert_eq!(came.len(), deadlines.len());
            for (now, deadline) in came {
                prop_assert!(now >= deadline);
                prop_assert!(now < deadline.max(1) + 10);
            }
        }
    }
}
