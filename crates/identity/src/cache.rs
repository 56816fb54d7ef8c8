//! What was read a moment ago, bounded in number, each entry with the time it was read. Knows
//! neither what it holds nor when that is too old.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// When the cache is full, one in so many entries gives way: those read longest ago.
const EVICTED_SHARE: usize = 8;

#[derive(Debug)]
pub struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    entries_max: usize,
}

#[derive(Debug, Clone)]
pub struct Entry<V> {
    pub value: V,
    /// On the monotonic clock.
    pub read_at: Duration,
    /// Known to be different by now.
    pub is_expired: bool,
}

impl<V> Entry<V> {
    pub fn age(&self, now: Duration) -> Duration {
        if self.is_expired { Duration::MAX } else { now.saturating_sub(self.read_at) }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// Holds at most `entries_max` (at least one).
    pub fn new(entries_max: usize) -> Cache<K, V> {
        Cache { entries: HashMap::new(), entries_max: entries_max.max(1) }
    }

    pub fn get<Q>(&self, key: &Q) -> Option<&Entry<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key)
    }

    pub fn insert(&mut self, key: K, value: V, now: Duration) {
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.entries.insert(key, Entry { value, read_at: now, is_expired: false });
    }

    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.remove(key);
    }

    /// Keeps the value, but as too old for anything.
    pub fn expire<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_expired = true;
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &Entry<V>)> {
        self.entries.iter()
    }

    fn make_room(&mut self) {
        let excess = self.entries_max.div_ceil(EVICTED_SHARE).min(self.entries.len());
        if excess == 0 {
            return;
        }
        let mut ages: Vec<Duration> = self.entries.values().map(|entry| entry.read_at).collect();
        // `excess` is between 1 and the number of entries, so the index exists.
        let (_, &mut threshold, _) = ages.select_nth_unstable(excess - 1);
        let mut left = excess;
        self.entries.retain(|_, entry| {
            let goes = left > 0 && entry.read_at <= threshold;
            left -= usize::from(goes);
            !goes
        });
    }
}
