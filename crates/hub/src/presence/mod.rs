//! Presence: who is at an address, told to those who follow it. Held in memory for as long as
//! connections and leases last, and never in the log: a node that is started again begins with
//! nobody, and its clients enter anew when they connect again.

pub mod address;
mod call;
mod keeper;
mod refusals;
mod rooms;
mod settings;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use rooms::Holder;
pub use settings::Settings;

use parking_lot::Mutex;
use rooms::Rooms;
use std::time::Duration;
use tokio::sync::Notify;

/// The rooms of a node, and how whoever tells changes later is woken.
pub struct Presence {
    pub(crate) rooms: Mutex<Rooms>,
    /// What the keeper waits for; taken only while the rooms are held, or alone.
    awaited: Mutex<Option<Duration>>,
    /// Something is due sooner than that.
    sooner: Notify,
}

impl Presence {
    pub fn new(settings: Settings) -> Presence {
        Presence {
            rooms: Mutex::new(Rooms::new(settings)),
            awaited: Mutex::default(),
            sooner: Notify::new(),
        }
    }
}
