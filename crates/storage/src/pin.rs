//! Holds extents in place while somebody copies them: a pinned extent is not released, so its
//! bytes stay what they are. A pin is a loan with an end, and one that yields: neither a copy that
//! hangs nor one on a full disk may keep the log from giving space back. It must not know who
//! copies, or where to.

use crate::inner::Inner;
use crate::{ExtentId, StoreError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pins at the same time; one more is refused.
const PINS_MAX: usize = 4;

/// One extent as it was when the cut was made: its first `data_end` bytes never change while the
/// pin holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentCut {
    pub extent: ExtentId,
    pub generation: u64,
    /// Random for each use of the file: with the two above it names the content.
    pub salt: u64,
    /// Where the acknowledged commits end, a multiple of 4 KiB.
    pub data_end: u64,
    /// Length of the file.
    pub file_bytes: u64,
}

/// Why a pin holds nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinLost {
    #[error("the extents were held too long without progress")]
    Expired,
    #[error("the log ran out of space and took its extents back")]
    Space,
}

/// All pins of a store.
#[derive(Default)]
pub struct Pins(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    held: BTreeMap<u64, Held>,
}

struct Held {
    what: What,
    lease: Duration,
    /// On the monotonic clock.
    until: Duration,
    lost: Option<PinLost>,
}

enum What {
    /// Whatever there is and will be, until the cut is made.
    All,
    These(HashSet<(ExtentId, u64)>),
}

impl Held {
    fn holds(&self, extent: ExtentId, generation: u64) -> bool {
        self.lost.is_none()
            && match &self.what {
                What::All => true,
                What::These(extents) => extents.contains(&(extent, generation)),
            }
    }
}

impl Pins {
    /// Whether somebody holds the extent. A pin that stands in the way beyond its time, or while
    /// space is lacking, is lost by being asked.
    pub fn hold(&self, inner: &Inner, extent: ExtentId, generation: u64) -> bool {
        let mut state = self.0.lock();
        let in_the_way = state.held.values_mut().filter(|held| held.holds(extent, generation));
        let now = inner.world.clock.monotonic();
        let lacks_space = inner.counters.is_full.load(Ordering::Relaxed);
        let mut is_held = false;
        for held in in_the_way {
            held.lost = match () {
                () if lacks_space => Some(PinLost::Space),
                () if now >= held.until => Some(PinLost::Expired),
                () => None,
            };
            is_held |= held.lost.is_none();
        }
        is_held
    }
}

/// Extents that are not released while this lives. Dropping it gives all of them up.
pub struct Pin {
    inner: Arc<Inner>,
    id: u64,
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Pin {
    pub(crate) fn all(inner: Arc<Inner>, lease: Duration) -> Result<Pin, StoreError> {
        let until = inner.world.clock.monotonic().saturating_add(lease);
        let mut state = inner.pins.0.lock();
        if state.held.len() >= PINS_MAX {
            let message = format!("{PINS_MAX} copies hold extents already");
            return Err(StoreError::Io { operation: "pinning the log's extents", message });
        }
        let id = state.next;
        state.next += 1;
        state.held.insert(id, Held { what: What::All, lease, until, lost: None });
        drop(state);
        Ok(Pin { inner, id })
    }

    /// What there is now, oldest first; from here on the pin holds these extents only. All that
    /// was acknowledged before the call is in them, below `data_end`.
    pub fn cut(&self) -> Vec<ExtentCut> {
        // Under this lock nothing is released and none is added.
        let extents = self.inner.extents.read();
        let mut cuts: Vec<ExtentCut> = extents
            .values()
            .map(|extent| ExtentCut {
                extent: extent.id,
                generation: extent.seal.generation,
                salt: extent.seal.salt,
                data_end: extent.data_end.load(Ordering::Acquire),
                file_bytes: extent.len.load(Ordering::Relaxed),
            })
            .collect();
        cuts.sort_unstable_by_key(|cut| cut.generation);
        let these = cuts.iter().map(|cut| (cut.extent, cut.generation)).collect();
        if let Some(held) = self.inner.pins.0.lock().held.get_mut(&self.id) {
            held.what = What::These(these);
        }
        cuts
    }

    /// The holder makes progress: the lease begins anew. An error when the pin was lost before.
    pub fn renew(&self) -> Result<(), PinLost> {
        let now = self.inner.world.clock.monotonic();
        let mut state = self.inner.pins.0.lock();
        let Some(held) = state.held.get_mut(&self.id) else { return Err(PinLost::Expired) };
        if let Some(lost) = held.lost {
            return Err(lost);
        }
        held.until = now.saturating_add(held.lease);
        Ok(())
    }

    /// This extent is copied: it may go.
    pub fn give_up(&self, extent: ExtentId, generation: u64) {
        if let Some(held) = self.inner.pins.0.lock().held.get_mut(&self.id)
            && let What::These(extents) = &mut held.what
        {
            extents.remove(&(extent, generation));
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.inner.pins.0.lock().held.remove(&self.id);
    }
}
