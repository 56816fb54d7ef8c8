//! One list as tables: from an address to its rules, from a principal to what names him. Filled by
//! `compile`, never changed after.

use super::levels::LevelTree;
use super::prefixes::PrefixTable;
use std::collections::HashMap;
use types::acl::{Named, When};
use types::filter::KeyPart;
use types::{Effect, Operation, Operations, TopicName};

/// The rules of one place of the tables, by number.
pub type Bucket = u32;
pub const NO_BUCKET: Bucket = u32::MAX;
/// A set of principals that entries name, by number.
pub type SetNumber = u32;
/// The set that everybody is in.
pub const EVERYBODY: SetNumber = 0;
const NO_WHEN: u32 = u32::MAX;
/// An entry, whom it speaks of, and its conditions, by number.
pub type RuleOf = (u32, SetNumber, u32);
/// Buckets of more rules are searched by what names the principal, not read whole.
const SCAN_MAX: usize = 32;

/// An entry in one place of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleAt {
    pub entry: u32,
    pub set: SetNumber,
    when: u32,
    pub operations: Operations,
    pub effect: Effect,
}

/// The keys of one place among the topics.
#[derive(Default)]
pub struct Keys {
    /// Rules on every key.
    pub all: Option<Bucket>,
    pub more: Option<Box<MoreKeys>>,
}

#[derive(Default)]
pub struct MoreKeys {
    pub exact: HashMap<Box<str>, Bucket>,
    pub prefixes: PrefixTable<Bucket>,
    pub levels: LevelTree,
    /// The patterns in `levels`, for questions about filters.
    pub patterns: Vec<(KeyPart, Bucket)>,
}

/// What names a principal: sets by number, in order; everybody's is not among them.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a>(&'a [SetNumber]);

/// What Kafka's clients name of one kind.
#[derive(Default)]
pub struct Names {
    pub exact: HashMap<Box<str>, Bucket>,
    /// The empty prefix is every name.
    pub prefixes: PrefixTable<Bucket>,
}

/// Where the rules of a list are.
#[derive(Default)]
pub struct Places {
    pub topics: HashMap<Box<str>, Keys>,
    pub prefixes: PrefixTable<Keys>,
    pub any: Keys,
    pub groups: Names,
    pub transactional_ids: Names,
}

#[derive(Default)]
pub struct Tables {
    pub at: Places,
    rules: Box<[RuleAt]>,
    /// Where each bucket begins; one more than there are buckets.
    starts: Box<[u32]>,
    whens: Box<[When]>,
    sets: HashMap<Box<str>, Box<[SetNumber]>>,
    /// All identifiers in one text, and where each ends.
    ids: Box<str>,
    id_ends: Box<[u32]>,
}

/// What `compile` gathers.
#[derive(Default)]
pub struct Gathered {
    rules: Vec<(Bucket, RuleAt)>,
    buckets: u32,
    whens: Vec<When>,
    ids: String,
    id_ends: Vec<u32>,
}

impl Gathered {
    pub fn bucket(&mut self) -> Bucket {
        self.buckets += 1;
        self.buckets - 1
    }

    pub fn entry(&mut self, id: &str) -> u32 {
        self.ids.push_str(id);
        self.id_ends.push(self.ids.len() as u32);
        self.id_ends.len() as u32 - 1
    }

    /// The number under which a rule names its conditions.
    pub fn when(&mut self, when: &When) -> u32 {
        if when.is_always() {
            return NO_WHEN;
        }
        self.whens.push(when.clone());
        self.whens.len() as u32 - 1
    }

    pub fn rule(
        &mut self,
        bucket: Bucket,
        (entry, set, when): RuleOf,
        operations: Operations,
        effect: Effect,
    ) {
        self.rules.push((bucket, RuleAt { entry, set, when, operations, effect }));
    }
}

impl Tables {
    pub fn new(
        mut gathered: Gathered,
        at: Places,
        sets: HashMap<Box<str>, Box<[SetNumber]>>,
    ) -> Tables {
        gathered.rules.sort_unstable_by_key(|(bucket, rule)| (*bucket, rule.set, rule.entry));
        let mut starts = Vec::with_capacity(gathered.buckets as usize + 1);
        let mut next = 0;
        for bucket in 0..gathered.buckets {
            starts.push(next as u32);
            while gathered.rules.get(next).is_some_and(|(of, _)| *of == bucket) {
                next += 1;
            }
        }
        starts.push(next as u32);
        Tables {
            at,
            rules: gathered.rules.into_iter().map(|(_, rule)| rule).collect(),
            starts: starts.into(),
            whens: gathered.whens.into(),
            sets,
            ids: gathered.ids.into(),
            id_ends: gathered.id_ends.into(),
        }
    }

    pub fn entries(&self) -> usize {
        self.id_ends.len()
    }

    pub fn id(&self, entry: u32) -> Option<&str> {
        let end = *self.id_ends.get(entry as usize)? as usize;
        let start = match entry.checked_sub(1) {
            Some(before) => *self.id_ends.get(before as usize)? as usize,
            None => 0,
        };
        self.ids.get(start..end)
    }

    pub fn when(&self, rule: &RuleAt) -> Option<&When> {
        self.whens.get(rule.when as usize)
    }

    pub fn has_times(&self) -> bool {
        self.whens.iter().any(|when| !when.times.is_empty())
    }

    pub fn whose(&self, subject: &str) -> Whose<'_> {
        Whose(self.sets.get(subject).map_or(&[], |sets| sets))
    }

    /// Calls `visit` with each bucket whose rules speak of the address.
    pub fn visit(&self, topic: &TopicName, key: Option<&[u8]>, mut visit: impl FnMut(Bucket)) {
        let name = topic.as_str();
        if let Some(keys) = self.at.topics.get(name) {
            keys.visit(key, &mut visit);
        }
        if !self.at.prefixes.is_empty() {
            self.at.prefixes.visit(name.as_bytes(), |keys| keys.visit(key, &mut visit));
        }
        self.at.any.visit(key, &mut visit);
    }

    /// Calls `visit` with each bucket whose rules speak of the name.
    pub fn visit_name(&self, named: Named, name: &str, mut visit: impl FnMut(Bucket)) {
        let names = match named {
            Named::ConsumerGroup => &self.at.groups,
            Named::TransactionalId => &self.at.transactional_ids,
        };
        names.exact.get(name).into_iter().for_each(|&bucket| visit(bucket));
        names.prefixes.visit(name.as_bytes(), |&bucket| visit(bucket));
    }

    /// Whether the bucket allows somebody something.
    pub fn gives(&self, bucket: Bucket) -> bool {
        self.bucket(bucket).iter().any(|rule| rule.effect == Effect::Allow)
    }

    fn bucket(&self, bucket: Bucket) -> &[RuleAt] {
        let start = self.starts.get(bucket as usize);
        let end = self.starts.get(bucket as usize + 1);
        let (Some(&start), Some(&end)) = (start, end) else { return &[] };
        self.rules.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// Calls `visit` with each rule of the bucket that names the principal and the operation.
    pub fn scan(
        &self,
        bucket: Bucket,
        whose: Whose<'_>,
        operation: Operation,
        mut visit: impl FnMut(&RuleAt),
    ) {
        let rules = self.bucket(bucket);
        if rules.len() <= SCAN_MAX || whose.0.len() >= rules.len() / 8 {
            let names = |rule: &&RuleAt| {
                rule.operations.has(operation)
                    && (rule.set == EVERYBODY || whose.0.binary_search(&rule.set).is_ok())
            };
            return rules.iter().filter(names).for_each(visit);
        }
        for set in std::iter::once(&EVERYBODY).chain(whose.0) {
            let first = rules.partition_point(|rule| rule.set < *set);
            let of_set = rules.get(first..).unwrap_or(&[]).iter().take_while(|it| it.set == *set);
            of_set.filter(|rule| rule.operations.has(operation)).for_each(&mut visit);
        }
    }
}

impl Keys {
    fn visit(&self, key: Option<&[u8]>, visit: &mut impl FnMut(Bucket)) {
        self.all.into_iter().for_each(&mut *visit);
        let (Some(more), Some(key)) = (&self.more, key) else { return };
        more.prefixes.visit(key, |&bucket| visit(bucket));
        // What is no text is no literal key and has no levels.
        let Ok(text) = std::str::from_utf8(key) else { return };
        more.exact.get(text).into_iter().for_each(|&bucket| visit(bucket));
        if !more.levels.is_empty() {
            more.levels.visit(text, visit);
        }
    }
}
