//! Key patterns with wildcards, as a tree of levels: a key walks down it once, over the branches
//! that its levels fit.

use super::index::{Bucket, NO_BUCKET};
use std::collections::HashMap;
use types::filter::Level;

const NONE: u32 = u32::MAX;

struct Node {
    exact: HashMap<Box<str>, u32>,
    one: u32,
    /// Patterns that end here.
    here: Bucket,
    /// Patterns that end here and take the rest, whatever it is.
    rest: Bucket,
}

impl Node {
    fn new() -> Node {
        Node { exact: HashMap::new(), one: NONE, here: NO_BUCKET, rest: NO_BUCKET }
    }
}

/// Empty trees take no memory.
#[derive(Default)]
pub struct LevelTree(Vec<Node>);

impl LevelTree {
    /// The bucket of a pattern, made by `make` when there is none yet.
    pub fn insert(
        &mut self,
        levels: &[Level],
        rest: Rest,
        make: impl FnOnce() -> Bucket,
    ) -> Bucket {
        if self.0.is_empty() {
            self.0.push(Node::new());
        }
        let mut at = 0;
        for level in levels {
            let fresh = self.0.len() as u32;
            // `at` is a node's own number throughout.
            let node = &mut self.0[at as usize];
            let next = match level {
                Level::One => &mut node.one,
                Level::Exact(text) => node.exact.entry(text.clone()).or_insert(NONE),
            };
            if *next == NONE {
                *next = fresh;
            }
            at = *next;
            if at == fresh {
                self.0.push(Node::new());
            }
        }
        let node = &mut self.0[at as usize];
        let bucket = match rest {
            Rest::Nothing => &mut node.here,
            Rest::Anything => &mut node.rest,
        };
        if *bucket == NO_BUCKET {
            *bucket = make();
        }
        *bucket
    }

    /// Calls `visit` with the bucket of each pattern that takes the key. Costs at most the nodes
    /// of the tree.
    pub fn visit(&self, key: &str, mut visit: impl FnMut(Bucket)) {
        self.walk(0, Some(key), &mut visit);
    }

    fn walk(&self, at: u32, left: Option<&str>, visit: &mut impl FnMut(Bucket)) {
        let Some(node) = self.0.get(at as usize) else { return };
        if node.rest != NO_BUCKET {
            visit(node.rest);
        }
        let Some(left) = left else {
            if node.here != NO_BUCKET {
                visit(node.here);
            }
            return;
        };
        let (level, left) = match left.split_once('/') {
            Some((level, left)) => (level, Some(left)),
            None => (left, None),
        };
        if let Some(&next) = node.exact.get(level) {
            self.walk(next, left, visit);
        }
        if node.one != NONE {
            self.walk(node.one, left, visit);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a pattern takes after its last level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    Nothing,
    Anything,
}
