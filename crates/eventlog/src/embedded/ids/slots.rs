//! A small map of ids that lies in the order of their hashes, so that sorting them costs one walk,
//! and that can be asked for many ids at once: see `touch`. It must not know what it holds.
//!
//! Open addressing with linear probing. The upper bits of a hash are its home, and hashes are
//! random to whoever has no key. Whatever lies between two empty places has its home there.

use super::entry::IdHash;

/// A hash in two halves, upper first; zero is an empty place.
type Key = [u64; 2];

const EMPTY: Key = [0; 2];
const CAPACITY_MIN: usize = 16;

/// Bytes of memory one place takes.
const PLACE_BYTES: usize = size_of::<Key>() + size_of::<Value>();
/// At most this part of the places is taken.
const LOAD: (usize, usize) = (5, 8);

/// What is kept with a hash.
pub type Value = [u64; 3];

/// The lengths are equal, and none or a power of two; every index below is one of them.
#[derive(Default)]
pub struct Slots {
    keys: Vec<Key>,
    values: Vec<Value>,
    held: usize,
}

fn key_of(hash: IdHash) -> Key {
    // Nobody can make a hash that is zero, and should one come, it stands for its neighbour.
    let hash = hash.max(1);
    [(hash >> 64) as u64, hash as u64]
}

fn hash_of(key: Key) -> IdHash {
    u128::from(key[0]) << 64 | u128::from(key[1])
}

/// What `find` came upon.
enum Found {
    At(usize),
    /// The empty place where the key would go; none while there are no places.
    Free(Option<usize>),
}

impl Slots {
    fn of_places(places: usize) -> Slots {
        Slots { keys: vec![EMPTY; places], values: vec![Value::default(); places], held: 0 }
    }

    pub fn len(&self) -> usize {
        self.held
    }

    /// Its memory stays.
    pub fn clear(&mut self) {
        self.keys.fill(EMPTY);
        self.held = 0;
    }

    pub fn memory_bytes(&self) -> usize {
        self.keys.len() * PLACE_BYTES
    }

    fn home(&self, key: Key) -> usize {
        // The upper part of a length is below it.
        ((u128::from(key[0]) * self.keys.len() as u128) >> 64) as usize
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.keys.len() - 1)
    }

    /// How far the place `to` is behind `from`.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.keys.len() - 1)
    }

    fn seek(&self, key: Key) -> Found {
        if self.keys.is_empty() {
            return Found::Free(None);
        }
        let mut at = self.home(key);
        // Ends, because some places are always empty.
        loop {
            match self.keys[at] {
                found if found == key => return Found::At(at),
                EMPTY => return Found::Free(Some(at)),
                _ => at = self.after(at),
            }
        }
    }

    /// Begins to bring the hash's home into the processor's caches. Nothing waits for the answer,
    /// which says nothing, so many of these take hardly longer than one: memory is slow to answer,
    /// not slow to be asked.
    pub fn touch(&self, hash: IdHash) -> u64 {
        self.keys.get(self.home(key_of(hash))).map_or(0, |key| key[0])
    }

    pub fn get(&self, hash: IdHash) -> Option<Value> {
        match self.seek(key_of(hash)) {
            Found::At(at) => Some(self.values[at]),
            Found::Free(_) => None,
        }
    }

    /// What was there before goes.
    pub fn insert(&mut self, hash: IdHash, value: Value) {
        self.make_room();
        let key = key_of(hash);
        let at = match self.seek(key) {
            Found::At(at) => at,
            Found::Free(None) => return,
            Found::Free(Some(at)) => {
                self.held += 1;
                at
            }
        };
        self.keys[at] = key;
        self.values[at] = value;
    }

    pub fn remove(&mut self, hash: IdHash) -> Option<Value> {
        let Found::At(mut hole) = self.seek(key_of(hash)) else { return None };
        let removed = self.values[hole];
        let mut next = self.after(hole);
        // What was pushed on by the removed one moves back.
        while self.keys[next] != EMPTY {
            let home = self.home(self.keys[next]);
            if self.distance(home, next) >= self.distance(hole, next) {
                self.keys[hole] = self.keys[next];
                self.values[hole] = self.values[next];
                hole = next;
            }
            next = self.after(next);
        }
        self.keys[hole] = EMPTY;
        self.held -= 1;
        Some(removed)
    }

    fn make_room(&mut self) {
        if (self.held + 1) * LOAD.1 <= self.keys.len() * LOAD.0 {
            return;
        }
        let places = (2 * self.keys.len()).max(CAPACITY_MIN);
        let old = std::mem::replace(self, Slots::of_places(places));
        old.walk(|hash, value| self.insert(hash, value));
    }

    /// All that is held, in the order of places.
    fn walk(&self, mut visit: impl FnMut(IdHash, Value)) {
        for (key, value) in self.keys.iter().zip(&self.values) {
            if *key != EMPTY {
                visit(hash_of(*key), *value);
            }
        }
    }

    /// All that is held, in the order of hashes.
    pub fn sorted(&self) -> Vec<(IdHash, Value)> {
        let mut all = Vec::with_capacity(self.held);
        // What the end had no room for lies at the start, before the first empty place.
        let start = self.keys.iter().position(|key| *key == EMPTY).unwrap_or(0);
        let mut cluster = 0;
        for at in (start..self.keys.len()).chain(0..start) {
            match self.keys[at] {
                EMPTY => {
                    all[cluster..].sort_unstable_by_key(|(hash, _)| *hash);
                    cluster = all.len();
                }
                key => all.push((hash_of(key), self.values[at])),
            }
        }
        all[cluster..].sort_unstable_by_key(|(hash, _)| *hash);
        // What lay at the start and has its home there is in order only now.
        if start > 0 {
            all.sort_by_key(|(hash, _)| *hash);
        }
        all
    }
}
