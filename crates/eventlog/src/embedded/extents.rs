//! Which extents hold something that is still needed: an extent goes back to the store's pool when
//! no partition needs it any more.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use storage::ExtentId;

/// How many partitions need each extent of each generation.
#[derive(Default)]
pub struct Extents(Mutex<BTreeMap<(ExtentId, u64), usize>>);

impl Extents {
    /// It exists; nobody needs it yet.
    pub fn know(&self, extent: ExtentId, generation: u64) {
        self.0.lock().entry((extent, generation)).or_default();
    }

    pub fn take(&self, extent: ExtentId, generation: u64) {
        *self.0.lock().entry((extent, generation)).or_default() += 1;
    }

    pub fn give_back(&self, extent: ExtentId, generation: u64) {
        if let Some(users) = self.0.lock().get_mut(&(extent, generation)) {
            *users = users.saturating_sub(1);
        }
    }

    pub fn is_unused(&self, extent: ExtentId, generation: u64) -> bool {
        self.0.lock().get(&(extent, generation)).is_none_or(|users| *users == 0)
    }

    pub fn unused(&self) -> Vec<(ExtentId, u64)> {
        let extents = self.0.lock();
        extents.iter().filter(|(_, users)| **users == 0).map(|(extent, _)| *extent).collect()
    }

    /// It was released: nothing more is to be done about it.
    pub fn forget(&self, extent: ExtentId, generation: u64) {
        let mut extents = self.0.lock();
        if extents.get(&(extent, generation)) == Some(&0) {
            extents.remove(&(extent, generation));
        }
    }
}
