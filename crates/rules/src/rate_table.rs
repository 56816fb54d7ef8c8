//! Many limiters under one bound on memory. A limiter that owes nothing is dropped when room is
//! needed, which loses nothing; only when all are in debt are those dropped that owe least. The
//! table must not know what its keys stand for.

use crate::rate::{Excess, Gcra, Rate};
use port::{Code, RateState, Refusal};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// When every limiter is in debt, one in so many gives way.
const EVICTED_SHARE: usize = 8;

/// One limit a piece of work must pass.
#[derive(Debug, Clone)]
pub struct Bound<K> {
    pub key: K,
    pub rate: Rate,
    /// Names the limit to the client, for instance `request_per_second_max`.
    pub name: &'static str,
}

#[derive(Debug)]
pub struct RateTable<K> {
    limiters: HashMap<K, Gcra>,
    limiters_max: usize,
}

impl<K: Hash + Eq + Clone> RateTable<K> {
    /// Holds at most `limiters_max` (at least one) states at a time.
    pub fn new(limiters_max: usize) -> RateTable<K> {
        RateTable { limiters: HashMap::new(), limiters_max: limiters_max.max(1) }
    }

    pub fn len(&self) -> usize {
        self.limiters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.limiters.is_empty()
    }

    /// Takes `cost` from one limiter, or refuses with `RATE_LIMIT_EXCEEDED` and changes nothing.
    pub fn check(
        &mut self,
        bound: &Bound<K>,
        cost: u32,
        now: Duration,
    ) -> Result<RateState, Refusal> {
        let mut limiter = self.limiters.get(&bound.key).copied().unwrap_or_default();
        let outcome = limiter.take(bound.rate, cost, now);
        match outcome {
            Ok(state) => {
                self.keep(&bound.key, limiter, now);
                Ok(state)
            }
            Err(excess) => Err(refuse(bound, limiter.state(bound.rate, now), cost, excess)),
        }
    }

    /// Takes `cost` from all of them or from none; answers the tightest state, `None` without
    /// bounds. Two bounds on one key must not be passed together.
    pub fn check_all(
        &mut self,
        bounds: &[Bound<K>],
        cost: u32,
        now: Duration,
    ) -> Result<Option<RateState>, Refusal> {
        for bound in bounds {
            let limiter = self.limiters.get(&bound.key).copied().unwrap_or_default();
            if let Err(excess) = limiter.admits(bound.rate, cost, now) {
                return Err(refuse(bound, limiter.state(bound.rate, now), cost, excess));
            }
        }
        for bound in bounds {
            self.check(bound, cost, now)?;
        }
        Ok(self.tightest(bounds, now))
    }

    /// The state of the bound with the least left, nothing taken.
    pub fn tightest(&self, bounds: &[Bound<K>], now: Duration) -> Option<RateState> {
        bounds
            .iter()
            .map(|bound| {
                let limiter = self.limiters.get(&bound.key).copied().unwrap_or_default();
                limiter.state(bound.rate, now)
            })
            .min_by_key(|state| state.remaining)
    }

    fn keep(&mut self, key: &K, limiter: Gcra, now: Duration) {
        if let Some(held) = self.limiters.get_mut(key) {
            *held = limiter;
            return;
        }
        if limiter.is_idle(now) {
            return;
        }
        if self.limiters.len() >= self.limiters_max {
            self.make_room(now);
        }
        self.limiters.insert(key.clone(), limiter);
    }

    fn make_room(&mut self, now: Duration) {
        self.limiters.retain(|_, limiter| !limiter.is_idle(now));
        let target = self.limiters_max - self.limiters_max.div_ceil(EVICTED_SHARE);
        if self.limiters.len() <= target {
            return;
        }
        let mut debts: Vec<u128> = self.limiters.values().map(Gcra::full_at).collect();
        let excess = self.limiters.len() - target;
        // `excess` is between 1 and the number of limiters, so the index exists.
        let (_, &mut threshold, _) = debts.select_nth_unstable(excess - 1);
        let mut left = excess;
        self.limiters.retain(|_, limiter| {
            let goes = left > 0 && limiter.full_at() <= threshold;
            left -= usize::from(goes);
            !goes
        });
    }
}

fn refuse<K>(bound: &Bound<K>, state: RateState, cost: u32, excess: Excess) -> Refusal {
    let Rate { per_second, burst } = bound.rate;
    let name = bound.name;
    match excess {
        Excess::Wait(wait) => Refusal::new(
            Code::RateLimitExceeded,
            format!("the rate of {per_second} per second is used up"),
        )
        .field(name)
        .hint("wait for the time in `retry_after`, then send the request again")
        .retry_after(wait)
        .rate(state),
        Excess::Never => Refusal::new(
            Code::RateLimitExceeded,
            format!("{cost} at once is more than the burst of {burst} that the rate allows"),
        )
        .field(name)
        .hint(format!("send at most {burst} at once"))
        .rate(state),
    }
}
