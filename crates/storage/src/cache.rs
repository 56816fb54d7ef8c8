//! A bounded map that forgets what was used longest ago. Knows only weights, not what it holds.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

pub struct Cache<K, V> {
    held: HashMap<K, Slot<V>>,
    by_stamp: BTreeMap<u64, K>,
    stamp_next: u64,
    weight: u64,
    weight_max: u64,
}

struct Slot<V> {
    value: V,
    weight: u64,
    stamp: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub fn new(weight_max: u64) -> Cache<K, V> {
        let (held, by_stamp) = (HashMap::new(), BTreeMap::new());
        Cache { held, by_stamp, stamp_next: 0, weight: 0, weight_max }
    }

    pub fn get(&mut self, key: &K) -> Option<V> {
        let slot = self.held.get_mut(key)?;
        self.by_stamp.remove(&slot.stamp);
        slot.stamp = self.stamp_next;
        self.by_stamp.insert(slot.stamp, key.clone());
        self.stamp_next += 1;
        Some(slot.value.clone())
    }

    /// Something heavier than the whole cache is not kept.
    pub fn put(&mut self, key: K, value: V, weight: u64) {
        self.remove(&key);
        if weight > self.weight_max {
            return;
        }
        while self.weight + weight > self.weight_max {
            let Some((_, oldest)) = self.by_stamp.pop_first() else { break };
            self.forget(&oldest);
        }
        let stamp = self.stamp_next;
        self.stamp_next += 1;
        self.weight += weight;
        self.by_stamp.insert(stamp, key.clone());
        self.held.insert(key, Slot { value, weight, stamp });
    }

    fn remove(&mut self, key: &K) {
        if let Some(stamp) = self.held.get(key).map(|slot| slot.stamp) {
            self.by_stamp.remove(&stamp);
            self.forget(key);
        }
    }

    fn forget(&mut self, key: &K) {
        if let Some(slot) = self.held.remove(key) {
            self.weight -= slot.weight;
        }
    }
}
