//! The newest ids, in memory: those whose record is on its way to the device, and those stored
//! since the last run was written. It must not know files.
//!
//! Whether an id's record is stored yet is known of its append, not of the id: so what is stored
//! costs the writer one step for all ids of an append, and it waits for no publisher.

use super::entry::{Entry, Half, IdHash, Place};
use super::heap::Heap;
use super::slots::{Slots, Value};
use crate::LogError;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use tokio::sync::oneshot;
use types::{Offset, Partition, TopicId};

/// Those of one append, which are often one.
pub type Entries = SmallVec<[Entry; 1]>;

pub type Told = oneshot::Receiver<Result<(), LogError>>;
/// Those who sent an id again while its first record was on its way.
pub type Waiting = Vec<oneshot::Sender<Result<(), LogError>>>;

/// The ids that one append claims, until it is known what became of it.
pub struct Claims {
    pub topic: TopicId,
    claimed: Mutex<Claimed>,
}

#[derive(Default)]
struct Claimed {
    /// Filled under the table's lock, before anybody else can see these claims.
    entries: Entries,
    /// The table's number for the append; 0 before it has one.
    number: u64,
    is_stored: bool,
    waiting: Waiting,
}

impl Claims {
    pub fn new(topic: TopicId) -> Arc<Claims> {
        Arc::new(Claims { topic, claimed: Mutex::default() })
    }

    pub fn fill(&self, entries: Entries) {
        self.claimed.lock().entries = entries;
    }

    pub fn count(&self) -> usize {
        self.claimed.lock().entries.len()
    }

    /// The append is stored: its ids count from now on, without a word to the table, whose lock
    /// the writer would have to wait for. Answers the number that the table may forget, if it
    /// knows the append yet, and who waits.
    pub fn store(&self) -> (Option<u64>, Waiting) {
        let mut claimed = self.claimed.lock();
        claimed.is_stored = true;
        let number = (claimed.number != 0).then_some(claimed.number);
        (number, std::mem::take(&mut claimed.waiting))
    }

    /// Answers what becomes of the append, unless it is stored.
    fn wait(&self) -> Option<Told> {
        let mut claimed = self.claimed.lock();
        (!claimed.is_stored).then(|| {
            let (tell, told) = oneshot::channel();
            claimed.waiting.push(tell);
            told
        })
    }
}

/// Where an id is found in memory.
pub enum Recent {
    Stored(Place),
    /// Its record is not durable yet: what becomes of it will be told.
    Waits(Place, Told),
}

/// The place of an id's record, and the number of its append: 0 of what was found while the log
/// was opened.
#[derive(Clone, Copy)]
struct Slot {
    place: Place,
    number: u64,
}

impl Slot {
    fn of([packed, time, number]: Value) -> Slot {
        Slot { place: Place::unpack(packed, time.cast_signed()), number }
    }

    fn value(self) -> Value {
        [self.place.packed(), self.place.time.cast_unsigned(), self.number]
    }
}

/// So many are in `Table::newest` at most.
const NEWEST_IDS: usize = 8 * 1024;

/// Odd, and 2^64 divided by the golden ratio: such numbers need no further hashing.
const NUMBER_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Default)]
pub struct Table {
    /// The newest. Few enough to stay in the processor's caches: were all in one map, each new id
    /// would wait for memory.
    newest: Slots,
    recent: Heap,
    /// Being written to a run; still looked up until it is there.
    leaving: Heap,
    /// Appends that are not settled, by their numbers. Their ids are in `newest` or `recent`.
    pending: HashMap<u64, Arc<Claims>, BuildHasherDefault<Half>>,
    number_last: u64,
}

impl Table {
    fn get(&self, hash: IdHash) -> Option<Value> {
        let recent = || self.recent.get(hash);
        self.newest.get(hash).or_else(recent).or_else(|| self.leaving.get(hash))
    }

    fn insert(&mut self, hash: IdHash, slot: Slot) {
        self.newest.insert(hash, slot.value());
        if self.newest.len() >= NEWEST_IDS {
            self.recent.add(self.newest.sorted());
            self.newest.clear();
        }
    }

    /// Not from what leaves.
    fn remove(&mut self, hash: IdHash) -> Option<Value> {
        self.newest.remove(hash).or_else(|| self.recent.remove(hash))
    }

    pub fn find(&self, hash: IdHash) -> Option<Recent> {
        let slot = Slot::of(self.get(hash)?);
        let told = self.pending.get(&slot.number).and_then(|claims| claims.wait());
        Some(match told {
            Some(told) => Recent::Waits(slot.place, told),
            None => Recent::Stored(slot.place),
        })
    }

    /// Asked for many ids before they are looked for, it spares `find` most of its waiting.
    pub fn touch(&self, hash: IdHash) -> u64 {
        self.newest.touch(hash) ^ self.recent.touch(hash) ^ self.leaving.touch(hash)
    }

    pub fn claim(&mut self, claims: &Arc<Claims>) {
        // Every number comes once before any comes twice, and none is near the one before it.
        self.number_last = self.number_last.wrapping_add(NUMBER_STEP);
        let number = self.number_last;
        let mut claimed = claims.claimed.lock();
        claimed.number = number;
        for entry in &claimed.entries {
            self.insert(entry.hash, Slot { place: entry.place, number });
        }
        // The device may have been faster.
        if !claimed.is_stored {
            self.pending.insert(number, Arc::clone(claims));
        }
    }

    /// The append of this number is stored: see `Claims::store`.
    pub fn forget(&mut self, number: u64) {
        self.pending.remove(&number);
    }

    /// The append was refused: its ids never counted. Answers who waits.
    pub fn refuse(&mut self, claims: &Claims) -> Waiting {
        let mut claimed = claims.claimed.lock();
        self.pending.remove(&claimed.number);
        for entry in &claimed.entries {
            self.remove(entry.hash);
        }
        std::mem::take(&mut claimed.waiting)
    }

    /// Found while the log is opened; the first one found stays.
    pub fn add(&mut self, entry: &Entry) {
        if self.get(entry.hash).is_none() {
            self.insert(entry.hash, Slot { place: entry.place, number: 0 });
        }
    }

    pub fn len(&self) -> usize {
        self.newest.len() + self.recent.len() + self.leaving.len()
    }

    /// Memory of it, about: the maps keep room for as many as there ever were.
    pub fn memory_bytes(&self) -> usize {
        let claimed: usize = self.pending.values().map(|claims| claims.count()).sum();
        let older = self.recent.memory_bytes() + self.leaving.memory_bytes();
        self.newest.memory_bytes() + older + claimed * size_of::<Entry>()
    }

    /// What is stored begins to leave; answers it, in parts that are in the order of hashes. What
    /// left before and did not arrive is in it.
    pub fn begin_leaving(&mut self) -> Vec<Entry> {
        let mut waiting = Vec::new();
        for claims in std::mem::take(&mut self.pending).into_values() {
            let claimed = claims.claimed.lock();
            for entry in &claimed.entries {
                waiting.extend(self.remove(entry.hash).map(|value| (entry.hash, value)));
            }
            let number = claimed.number;
            drop(claimed);
            self.pending.insert(number, claims);
        }
        let newest = self.newest.sorted();
        self.newest.clear();
        let recent = std::mem::take(&mut self.recent).into_parts();
        recent.into_iter().for_each(|part| self.leaving.add(part));
        self.leaving.add(newest);
        for (hash, value) in waiting {
            self.insert(hash, Slot::of(value));
        }
        let entry = |&(hash, value): &(IdHash, Value)| Entry { hash, place: Slot::of(value).place };
        self.leaving.parts().flatten().map(entry).collect()
    }

    pub fn end_leaving(&mut self) {
        self.leaving = Heap::default();
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
