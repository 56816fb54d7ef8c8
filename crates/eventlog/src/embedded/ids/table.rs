//! The newest ids, in memory: those whose record is on its way to the device, and those stored
//! since the last run was written. It must not know files.
//!
//! Whether an id's record is stored yet is known of its append, not of the id: so what is stored
//! costs the writer one step for all ids of an append, while publishers wait for it.

use super::entry::{Entry, IdHash, Place};
use crate::LogError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use tokio::sync::oneshot;
use types::{Offset, Partition, TopicId};

pub type Told = oneshot::Receiver<Result<(), LogError>>;

/// The ids that one append claims, until it is known what became of it.
pub struct Claims {
    pub topic: TopicId,
    /// Filled under the table's lock, before anybody else can see these claims.
    claimed: Mutex<Claimed>,
    /// Those who sent one of these ids again meanwhile.
    waiting: Mutex<Vec<oneshot::Sender<Result<(), LogError>>>>,
}

#[derive(Default)]
struct Claimed {
    entries: Vec<Entry>,
    /// The table's number for the append; none without entries.
    number: u64,
}

impl Claims {
    pub fn new(topic: TopicId) -> Arc<Claims> {
        Arc::new(Claims { topic, claimed: Mutex::default(), waiting: Mutex::default() })
    }

    pub fn fill(&self, entries: Vec<Entry>) {
        self.claimed.lock().entries = entries;
    }

    pub fn count(&self) -> usize {
        self.claimed.lock().entries.len()
    }
}

/// Where an id is found in memory.
pub enum Recent {
    Stored(Place),
    /// Its record is not durable yet: what becomes of it will be told.
    Waits(Place, Told),
}

/// A hash in two halves, which need no alignment of 16.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Halves {
    high: u64,
    low: u64,
}

impl Halves {
    fn of(hash: IdHash) -> Halves {
        Halves { high: (hash >> 64) as u64, low: hash as u64 }
    }

    fn whole(self) -> IdHash {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

impl Hash for Halves {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.low);
    }
}

#[derive(Clone, Copy)]
struct Slot {
    place: Place,
    /// Of the append; 0 of what was found while the log was opened.
    number: u64,
}

type Slots = HashMap<Halves, Slot, BuildHasherDefault<super::entry::Half>>;

/// Odd, and 2^64 divided by the golden ratio: such numbers need no further hashing.
const NUMBER_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes one id takes in a map.
pub const SLOT_BYTES: usize = size_of::<(Halves, Slot)>() + 1;

#[derive(Default)]
pub struct Table {
    recent: Slots,
    /// Being written to a run; still looked up until it is there.
    leaving: Slots,
    /// Appends that are not settled, by their numbers. Their ids are in `recent`.
    pending: HashMap<u64, Arc<Claims>, BuildHasherDefault<super::entry::Half>>,
    number_last: u64,
}

impl Table {
    pub fn find(&self, hash: IdHash) -> Option<Recent> {
        let key = Halves::of(hash);
        let slot = self.recent.get(&key).or_else(|| self.leaving.get(&key))?;
        let Some(claims) = self.pending.get(&slot.number) else {
            return Some(Recent::Stored(slot.place));
        };
        let (tell, told) = oneshot::channel();
        claims.waiting.lock().push(tell);
        Some(Recent::Waits(slot.place, told))
    }

    pub fn claim(&mut self, claims: &Arc<Claims>) {
        // Every number comes once before any comes twice, and none is near the one before it.
        self.number_last = self.number_last.wrapping_add(NUMBER_STEP);
        let number = self.number_last;
        let mut claimed = claims.claimed.lock();
        claimed.number = number;
        for entry in &claimed.entries {
            self.recent.insert(Halves::of(entry.hash), Slot { place: entry.place, number });
        }
        drop(claimed);
        self.pending.insert(number, Arc::clone(claims));
    }

    /// What became of an append: its ids count from now on, or never did. Answers who waits.
    pub fn settle(
        &mut self,
        claims: &Claims,
        is_stored: Settled,
    ) -> Vec<oneshot::Sender<Result<(), LogError>>> {
        let claimed = claims.claimed.lock();
        self.pending.remove(&claimed.number);
        if is_stored == Settled::Refused {
            for entry in &claimed.entries {
                self.recent.remove(&Halves::of(entry.hash));
            }
        }
        drop(claimed);
        std::mem::take(&mut *claims.waiting.lock())
    }

    /// Found while the log is opened; the first one found stays.
    pub fn add(&mut self, entry: &Entry) {
        let slot = Slot { place: entry.place, number: 0 };
        self.recent.entry(Halves::of(entry.hash)).or_insert(slot);
    }

    pub fn len(&self) -> usize {
        self.recent.len() + self.leaving.len()
    }

    /// Memory of it, about: the maps keep room for as many as there ever were.
    pub fn memory_bytes(&self) -> usize {
        let slots = self.recent.capacity() + self.leaving.capacity();
        let claimed: usize = self.pending.values().map(|claims| claims.count()).sum();
        slots * 8 / 7 * SLOT_BYTES + claimed * size_of::<Entry>()
    }

    /// What is stored begins to leave; answers it. What left before and did not arrive is in it.
    pub fn begin_leaving(&mut self) -> Vec<Entry> {
        // As many will come again, and a map that grows moves all it holds.
        let room = Slots::with_capacity_and_hasher(self.recent.len(), Default::default());
        let mut stored = std::mem::replace(&mut self.recent, room);
        for claims in self.pending.values() {
            for entry in &claims.claimed.lock().entries {
                if let Some((key, slot)) = stored.remove_entry(&Halves::of(entry.hash)) {
                    self.recent.insert(key, slot);
                }
            }
        }
        if self.leaving.is_empty() {
            self.leaving = stored;
        } else {
            self.leaving.extend(stored);
        }
        let entry = |(key, slot): (&Halves, &Slot)| Entry { hash: key.whole(), place: slot.place };
        self.leaving.iter().map(entry).collect()
    }

    pub fn end_leaving(&mut self) {
        self.leaving = Slots::default();
    }

    /// The first offset of each partition that is claimed and not settled.
    pub fn claimed_offsets(&self) -> Vec<(TopicId, Partition, Offset)> {
        let mut offsets = Vec::new();
        for claims in self.pending.values() {
            let claimed = claims.claimed.lock();
            let places = claimed.entries.iter().map(|entry| entry.place);
            offsets.extend(places.map(|it| (claims.topic, it.partition(), it.offset())));
        }
        offsets
    }
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Stored,
    Refused,
}
