//! Tests of a consumer's state: by cases, and against a model that knows only the rules.

mod letters;
mod model;
mod states;

use crate::{Book, Ledger, Terms};
use std::time::Duration;
use stdx::Rng;
use types::ConsumerConfig;
use types::consumer::{Backoff, Ordering};

/// Always the smallest number.
struct NoJitter;

impl Rng for NoJitter {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn terms(ordering: Ordering) -> Terms {
    Terms::from(&ConsumerConfig {
        ack_wait_ms: 1_000,
        deliveries_max: 3,
        pending_max: 8,
        ordering,
        backoff: Backoff { delays_ms: vec![100, 200], ..Backoff::default() },
        ..ConsumerConfig::default()
    })
}

fn book(partitions: usize, ordering: Ordering) -> Book {
    let ledgers = (0..partitions).map(|_| Ledger::starting_at(0)).collect();
    Book::new(terms(ordering), 0, ledgers)
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
