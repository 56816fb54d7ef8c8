//! The worker's connections as the owner names them, to be ended from there.

use super::line::Line;
use crate::call::{Notice, Place};
use parking_lot::Mutex;
use port::{Closer, Refusal};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub struct Closers {
    open: Mutex<HashMap<Place, Arc<dyn Closer>>>,
    next: AtomicU64,
}

/// A connection's place; dropping it tells the owner that the connection is over.
pub struct Leaving {
    pub place: Place,
    closers: Arc<Closers>,
    line: Arc<Line>,
}

impl Closers {
    pub fn enter(self: &Arc<Self>, closer: Arc<dyn Closer>, line: &Arc<Line>) -> Leaving {
        let place = Place(self.next.fetch_add(1, Ordering::Relaxed));
        self.open.lock().insert(place, closer);
        Leaving { place, closers: Arc::clone(self), line: Arc::clone(line) }
    }

    /// The owner ends the connection. It may have ended by itself meanwhile.
    pub fn close(&self, place: Place, why: Refusal) {
        let closer = self.open.lock().get(&place).cloned();
        if let Some(closer) = closer {
            closer.close(why);
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.closers.open.lock().remove(&self.place);
        self.line.notice(Notice::Left(self.place));
    }
}
