//! Records that many subscribers take together. A run is pushed to each of them whole, and what
//! its protocol makes of it is made once for all that are told the same: the messages by the
//! session's codec, the bytes on the socket by the edge. It must not know either's words.

use crate::{Delivery, Lane};
use bytes::Bytes;
use std::any::TypeId;
use std::cell::{OnceCell, RefCell};
use std::sync::{Arc, OnceLock};

/// Wordings kept per run: protocols times the numbers clients have given their subscriptions. Who
/// comes with a further one is told record by record.
const WORDINGS_MAX: usize = 8;

/// Ways in which one transport frames the same messages.
const FRAMINGS_MAX: usize = 2;

/// What tells one wording of a run from another: the codec's type and the number that the client
/// has given to its subscription.
type Wanted = (TypeId, u32);

/// Consecutive records of one topic, on the thread that walks them.
pub struct Run {
    deliveries: Vec<Arc<Delivery>>,
    wordings: RefCell<Vec<(Wanted, Arc<Shared>)>>,
    /// Of all records together, summed up when it is first asked for.
    bytes: OnceCell<u64>,
}

impl Run {
    pub fn new(deliveries: Vec<Arc<Delivery>>) -> Run {
        Run { deliveries, wordings: RefCell::default(), bytes: OnceCell::new() }
    }

    pub fn deliveries(&self) -> &[Arc<Delivery>] {
        &self.deliveries
    }

    /// Key, value and headers of the first `count` records together.
    pub fn bytes(&self, count: usize) -> u64 {
        let size = |deliveries: &[Arc<Delivery>]| {
            deliveries.iter().map(|delivery| delivery.record.size() as u64).sum()
        };
        match self.deliveries.get(..count) {
            Some(first) if count < self.deliveries.len() => size(first),
            _ => *self.bytes.get_or_init(|| size(&self.deliveries)),
        }
    }

    /// The run as `encode` words it, made at the first call for a codec and number. `None` when
    /// the run is kept in as many wordings as it may be.
    pub fn shared(
        &self,
        codec: TypeId,
        number: u32,
        encode: impl FnOnce(&mut Lane, &[Arc<Delivery>]),
    ) -> Option<Arc<Shared>> {
        let wanted = (codec, number);
        let mut wordings = self.wordings.borrow_mut();
        if let Some((_, shared)) = wordings.iter().find(|(found, _)| *found == wanted) {
            return Some(Arc::clone(shared));
        }
        if wordings.len() >= WORDINGS_MAX {
            return None;
        }
        let mut lane = Lane::default();
        encode(&mut lane, &self.deliveries);
        let shared = Arc::new(Shared { lane, framings: Default::default() });
        wordings.push((wanted, Arc::clone(&shared)));
        Some(shared)
    }
}

/// The messages of a run, worded once for many connections.
#[derive(Debug)]
pub struct Shared {
    lane: Lane,
    framings: [OnceLock<Bytes>; FRAMINGS_MAX],
}

impl Shared {
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The messages as a transport frames them in its way number `way`, made at the first call. A
    /// way beyond those that are kept is made anew each time.
    pub fn framed(&self, way: usize, frame: impl FnOnce(&Lane) -> Bytes) -> Bytes {
        match self.framings.get(way) {
            Some(kept) => kept.get_or_init(|| frame(&self.lane)).clone(),
            None => frame(&self.lane),
        }
    }
}
