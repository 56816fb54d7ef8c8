//! The newest ids, in memory: those whose record is on its way to the device, and those stored
//! since the last run was written. It must not know files.

use super::entry::{Entry, IdHash, IdMap, Place};
use crate::LogError;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;
use types::{Offset, Partition, TopicId};

pub type Told = oneshot::Receiver<Result<(), LogError>>;

/// The ids that one append claims, until it is known what became of it.
pub struct Claims {
    pub topic: TopicId,
    /// Filled under the table's lock, before anybody else can see these claims.
    entries: Mutex<Vec<Entry>>,
    /// Those who sent one of these ids again meanwhile.
    waiting: Mutex<Vec<oneshot::Sender<Result<(), LogError>>>>,
}

impl Claims {
    pub fn new(topic: TopicId) -> Arc<Claims> {
        Arc::new(Claims { topic, entries: Mutex::default(), waiting: Mutex::default() })
    }

    pub fn fill(&self, entries: Vec<Entry>) {
        *self.entries.lock() = entries;
    }

    pub fn count(&self) -> usize {
        self.entries.lock().len()
    }
}

/// Where an id is found in memory.
pub enum Recent {
    Stored(Place),
    /// Its record is not durable yet: what becomes of it will be told.
    Waits(Place, Told),
}

#[derive(Default)]
pub struct Table {
    claimed: IdMap<(Arc<Claims>, Place)>,
    stored: IdMap<Place>,
    /// Being written to a run; still looked up until it is there.
    leaving: IdMap<Place>,
}

impl Table {
    pub fn find(&self, hash: IdHash) -> Option<Recent> {
        if let Some((claims, place)) = self.claimed.get(&hash) {
            let (tell, told) = oneshot::channel();
            claims.waiting.lock().push(tell);
            return Some(Recent::Waits(*place, told));
        }
        self.stored.get(&hash).or_else(|| self.leaving.get(&hash)).copied().map(Recent::Stored)
    }

    pub fn claim(&mut self, claims: &Arc<Claims>) {
        for entry in &*claims.entries.lock() {
            self.claimed.insert(entry.hash, (Arc::clone(claims), entry.place));
        }
    }

    /// What became of an append: its ids count from now on, or never did. Answers who waits.
    pub fn settle(
        &mut self,
        claims: &Claims,
        is_stored: Settled,
    ) -> Vec<oneshot::Sender<Result<(), LogError>>> {
        for entry in &*claims.entries.lock() {
            self.claimed.remove(&entry.hash);
            if is_stored == Settled::Stored {
                self.stored.insert(entry.hash, entry.place);
            }
        }
        std::mem::take(&mut *claims.waiting.lock())
    }

    /// Found while the log is opened; the first one found stays.
    pub fn add(&mut self, entry: &Entry) {
        self.stored.entry(entry.hash).or_insert(entry.place);
    }

    pub fn len(&self) -> usize {
        self.claimed.len() + self.stored.len() + self.leaving.len()
    }

    /// Memory of it, about: the maps keep room for as many as there ever were.
    pub fn memory_bytes(&self) -> usize {
        const SLOT_BYTES: usize = size_of::<(IdHash, Place)>() + 1;
        let slots = self.stored.capacity() + self.leaving.capacity() + 2 * self.claimed.capacity();
        slots * 8 / 7 * SLOT_BYTES
    }

    /// What is stored begins to leave; answers it. What left before and did not arrive is in it.
    pub fn begin_leaving(&mut self) -> Vec<Entry> {
        if self.leaving.is_empty() {
            self.leaving = std::mem::take(&mut self.stored);
        } else {
            self.leaving.extend(self.stored.drain());
        }
        self.leaving.iter().map(|(&hash, &place)| Entry { hash, place }).collect()
    }

    pub fn end_leaving(&mut self) {
        self.leaving = IdMap::default();
    }

    /// The first offset of each partition that is claimed and not settled.
    pub fn claimed_offsets(&self) -> impl Iterator<Item = (TopicId, Partition, Offset)> + '_ {
        let places = self.claimed.values();
        places.map(|(claims, place)| (claims.topic, place.partition(), place.offset()))
    }
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Stored,
    Refused,
}
