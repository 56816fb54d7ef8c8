//! The narrow gate before the database, and the count of changes. Together they keep a crowd of
//! requests from asking more than the database can answer, and an old answer from outliving the
//! change that made it old.

use crate::refusal;
use port::Refusal;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Lets a bounded number in, lets a bounded number wait, and refuses the rest as overload.
pub(crate) struct Gate {
    places: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// Counts down also when the waiting request is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub fn new(places_max: usize, waiting_max: usize) -> Gate {
        let places = Semaphore::new(places_max.clamp(1, Semaphore::MAX_PERMITS));
        Gate { places, waiting: AtomicUsize::new(0), waiting_max }
    }

    pub async fn enter(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return Err(refusal::too_many_waiting());
        }
        // The semaphore is never closed, so this fails only if that changes.
        self.places.acquire().await.map_err(|error| Refusal::internal(&error))
    }
}

/// Advanced before anything that was changed is forgotten.
#[derive(Default)]
pub(crate) struct Epoch(AtomicU64);

impl Epoch {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
