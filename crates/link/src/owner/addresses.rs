//! The connections of client addresses over all workers. Each worker's are given up with it.

use crate::call::Place;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Of all workers.
#[derive(Default)]
pub struct Addresses(Mutex<HashMap<IpAddr, u32>>);

impl Addresses {
    fn enter(&self, address: IpAddr, count_max: u32) -> bool {
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_default();
        // An address without any has room: nothing is left behind by a refusal.
        let has_room = *count < count_max.max(1);
        *count += u32::from(has_room);
        has_room
    }

    fn leave(&self, address: IpAddr) {
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// Those of one worker, by the worker's number.
pub struct AddressesHeld {
    all: Arc<Addresses>,
    own: Mutex<HashMap<Place, IpAddr>>,
}

impl AddressesHeld {
    pub fn new(all: Arc<Addresses>) -> AddressesHeld {
        AddressesHeld { all, own: Mutex::default() }
    }

    /// `false` when the address has as many as it may.
    pub fn enter(&self, place: Place, address: IpAddr, count_max: u32) -> bool {
        let has_room = self.all.enter(address, count_max);
        if has_room && let Some(before) = self.own.lock().insert(place, address) {
            // A number that is given twice counts once.
            self.all.leave(before);
        }
        has_room
    }

    pub fn leave(&self, place: Place) {
        let left = self.own.lock().remove(&place);
        if let Some(address) = left {
            self.all.leave(address);
        }
    }

    /// The worker is gone.
    pub fn end(&self) {
        let left = std::mem::take(&mut *self.own.lock());
        left.into_values().for_each(|address| self.all.leave(address));
    }
}

impl Drop for AddressesHeld {
    fn drop(&mut self) {
        self.end();
    }
}
