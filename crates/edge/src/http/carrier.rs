//! What a WebSocket over HTTP/2 (RFC 8441) needs of the connection that carries it: a place among
//! the listener's connections, as every session has one, and that the connection is not taken for
//! idle while the session lives.

use super::body::InFlight;
use crate::accept::{Permit, Places};
use port::{Code, Refusal};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Put on each request that may become a session on its stream.
#[derive(Clone)]
pub struct Carrier {
    pub in_flight: Arc<AtomicU32>,
    pub places: Places,
}

/// Held as long as a session lives on a stream.
pub struct Seat {
    _in_flight: InFlight,
}

impl Carrier {
    pub fn take(&self) -> Result<(Seat, Permit), Refusal> {
        let full = "the server has as many connections as it takes";
        let Some(permit) = self.places.take() else {
            crate::accept::refused("connections_max");
            return Err(Refusal::new(Code::Overloaded, full).retry_after(crate::accept::AWAY));
        };
        Ok((Seat { _in_flight: InFlight::enter(&self.in_flight) }, permit))
    }
}
