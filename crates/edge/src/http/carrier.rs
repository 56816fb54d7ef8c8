//! What a WebSocket over HTTP/2 (RFC 8441) needs of the connection that carries it: a place among
//! the listener's connections, as every session has one, and that the connection is not taken for
//! idle while the session lives.

use super::body::InFlight;
use crate::accept::{Permit, Places};
use port::Refusal;
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
    pub async fn take(&self) -> Result<(Seat, Permit), Refusal> {
        let permit = self.places.take().await.map_err(|full| {
            crate::accept::refused(full.setting());
            full.refusal()
        })?;
        Ok((Seat { _in_flight: InFlight::enter(&self.in_flight) }, permit))
    }
}
