//! The whole platform in memory, so that protocols are tested without the engine: the same seam,
//! the same refusals, the same promises (order, no gap, no duplicate, slow readers paused and
//! caught up). It must know no protocol, and it is exact rather than fast.

mod access;
mod append;
mod batches;
mod catalogue;
mod follow;
mod hub;
mod knobs;
mod live;
mod mint;
mod presence;
mod read;
mod state;
mod subscribe;
mod topics;

pub use follow::{Driving, MemoryShard};
pub use knobs::{Call, KeySpec, Place, SecretKind, Storage};

use parking_lot::{Mutex, MutexGuard};
use port::{Identity, Refusal};
use state::State;
use std::collections::BTreeSet;
use std::sync::Arc;
use stdx::{Clock, SystemClock};
use types::TimestampMs;

/// Cheap to clone; all clones are one hub. Wrap it with `shared` where an `Arc<dyn Hub>` is wanted.
#[derive(Clone)]
pub struct MemoryHub(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    mint: Arc<mint::Mint>,
    /// Told of each append, for reads that wait.
    appended: tokio::sync::Notify,
}

impl Default for MemoryHub {
    fn default() -> MemoryHub {
        MemoryHub::with_clock(SystemClock::shared())
    }
}

impl MemoryHub {
    /// A hub on the system's clock without any tenant.
    pub fn new() -> MemoryHub {
        MemoryHub::default()
    }

    /// A hub whose timestamps, expiries and rates follow `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> MemoryHub {
        MemoryHub(Arc::new(Inner {
            state: Mutex::default(),
            clock,
            mint: Arc::default(),
            appended: tokio::sync::Notify::new(),
        }))
    }

    /// As the seam wants it.
    pub fn shared(&self) -> Arc<dyn port::Hub> {
        Arc::new(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    fn now_ms(&self) -> TimestampMs {
        self.0.clock.now_ms()
    }

    /// Checks that hold for every call of an identity, and the refusals a test asked for.
    fn admit(&self, state: &mut State, who: &Identity, call: Call) -> Result<(), Refusal> {
        if let Some(refusal) = state.take_refusal(call) {
            return Err(refusal);
        }
        access::check_alive(state, who, self.now_ms())
    }

    /// Wakes the shards after the state changed; must be called without the lock.
    fn wake(&self, shards: &BTreeSet<u16>) {
        let wakers = self.state().take_wakers(shards);
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}
