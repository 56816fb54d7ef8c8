//! The connections of client addresses, counted by the owner for all workers.

use super::line::Line;
use crate::call::{Call, Notice, Place};
use port::{AddressHeld, Addresses, Answer};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub struct RemoteAddresses {
    line: Arc<Line>,
    next: AtomicU64,
}

/// Dropping it tells the owner that the connection is over, or came to nothing.
struct Leaving {
    line: Arc<Line>,
    place: Place,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.line.notice(Notice::AddressLeft(self.place));
    }
}

impl RemoteAddresses {
    pub fn new(line: Arc<Line>) -> RemoteAddresses {
        RemoteAddresses { line, next: AtomicU64::new(0) }
    }
}

impl Addresses for RemoteAddresses {
    fn hold(&self, address: IpAddr, count_max: u32) -> Answer<'_, Option<AddressHeld>> {
        Box::pin(async move {
            let place = Place(self.next.fetch_add(1, Ordering::Relaxed));
            let leaving = Leaving { line: Arc::clone(&self.line), place };
            let has_room: bool = self.line.ask(Call::Address { address, count_max, place }).await?;
            Ok(has_room.then(|| Box::new(leaving) as AddressHeld))
        })
    }
}
