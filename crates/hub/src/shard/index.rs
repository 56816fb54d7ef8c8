//! Who on this shard wants which keys of one topic. Exact keys in a hash map, filters with
//! wildcards in a trie of levels: finding the readers of a record costs as many steps as there
//! are matches and levels, not subscriptions.

use std::collections::HashMap;
use types::filter::{KeyPart, Level};

/// A slot of the shard's subscriptions; a reused slot has another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionKey {
    pub slot: u32,
    pub generation: u32,
}

#[derive(Default)]
pub struct KeyIndex {
    /// Takers of every record, with or without key.
    all: Vec<SubscriptionKey>,
    exact: HashMap<Box<[u8]>, Vec<SubscriptionKey>>,
    trie: Node,
}

#[derive(Default)]
struct Node {
    /// Filters that end here.
    here: Vec<SubscriptionKey>,
    /// Filters whose trailing `#` starts here: this level and everything below.
    rest: Vec<SubscriptionKey>,
    exact: HashMap<Box<str>, Node>,
    one: Option<Box<Node>>,
}

impl KeyIndex {
    pub fn insert(&mut self, part: &KeyPart, key: SubscriptionKey) {
        match part {
            KeyPart::All => self.all.push(key),
            KeyPart::Exact(exact) => {
                self.exact.entry(exact.as_bytes().into()).or_default().push(key);
            }
            KeyPart::Levels { levels, rest } => {
                let node = levels.iter().fold(&mut self.trie, |node, level| match level {
                    Level::Exact(text) => node.exact.entry(text.clone()).or_default(),
                    Level::One => node.one.get_or_insert_default(),
                });
                if *rest { node.rest.push(key) } else { node.here.push(key) }
            }
        }
    }

    pub fn remove(&mut self, part: &KeyPart, key: SubscriptionKey) {
        match part {
            KeyPart::All => drop_key(&mut self.all, key),
            KeyPart::Exact(exact) => {
                if let Some(keys) = self.exact.get_mut(exact.as_bytes()) {
                    drop_key(keys, key);
                    if keys.is_empty() {
                        self.exact.remove(exact.as_bytes());
                    }
                }
            }
            KeyPart::Levels { levels, rest } => self.trie.remove(levels, *rest, key),
        }
    }

    pub fn all(&self) -> &[SubscriptionKey] {
        &self.all
    }

    /// Whether any subscription looks at keys at all.
    pub fn has_keyed(&self) -> bool {
        !self.exact.is_empty() || !self.trie.is_empty()
    }

    /// Calls `found` once per subscription, `all` left out, that takes this key.
    pub fn keyed(&self, key: &[u8], found: &mut impl FnMut(SubscriptionKey)) {
        if let Some(keys) = self.exact.get(key) {
            keys.iter().for_each(|&key| found(key));
        }
        if !self.trie.is_empty()
            && let Ok(text) = std::str::from_utf8(key)
        {
            self.trie.walk(Some(text), found);
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.exact.is_empty() && self.one.is_none()
    }

    /// `text` is what remains of the key, `None` past its last level. The depth of the recursion
    /// is that of the filters, which `FILTER_LEVELS_MAX` bounds, whatever the key holds.
    fn walk(&self, text: Option<&str>, found: &mut impl FnMut(SubscriptionKey)) {
        self.rest.iter().for_each(|&key| found(key));
        let Some(text) = text else {
            self.here.iter().for_each(|&key| found(key));
            return;
        };
        let (level, below) = match text.split_once('/') {
            Some((level, below)) => (level, Some(below)),
            None => (text, None),
        };
        if let Some(node) = self.exact.get(level) {
            node.walk(below, found);
        }
        if let Some(node) = &self.one {
            node.walk(below, found);
        }
    }

    fn remove(&mut self, levels: &[Level], rest: bool, key: SubscriptionKey) {
        let Some((level, below)) = levels.split_first() else {
            drop_key(if rest { &mut self.rest } else { &mut self.here }, key);
            return;
        };
        match level {
            Level::Exact(text) => {
                if let Some(node) = self.exact.get_mut(text) {
                    node.remove(below, rest, key);
                    if node.is_empty() {
                        self.exact.remove(text);
                    }
                }
            }
            Level::One => {
                if let Some(node) = &mut self.one {
                    node.remove(below, rest, key);
                    if node.is_empty() {
                        self.one = None;
                    }
                }
            }
        }
    }
}

/// Order among takers of one record carries no meaning, so the last one may fill the hole.
fn drop_key(keys: &mut Vec<SubscriptionKey>, key: SubscriptionKey) {
    if let Some(at) = keys.iter().position(|&held| held == key) {
        keys.swap_remove(at);
    }
}
