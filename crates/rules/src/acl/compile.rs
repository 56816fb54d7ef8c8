//! From a list as people write it to tables.

use super::index::{
    Bucket, EVERYBODY, Gathered, Keys, MoreKeys, Names, Places, RuleOf, SetNumber, Tables,
};
use super::levels::{LevelTree, Rest};
use super::prefixes::PrefixTable;
use super::{CompiledList, Groups, Tier};
use std::collections::HashMap;
use std::sync::Arc;
use types::acl::{
    self, Addresses, GROUP_PREFIX, KeyPattern, NameMatch, Named, Resource, TopicPattern,
};
use types::filter::KeyPart;
use types::{AccessEntry, AccessList, Effect, Operation, Operations};

/// The keys of one place while it is filled.
#[derive(Default)]
struct Filling {
    all: Option<Bucket>,
    more: Option<Box<FillingMore>>,
}

#[derive(Default)]
struct FillingMore {
    exact: HashMap<Box<str>, Bucket>,
    prefixes: HashMap<Box<str>, Bucket>,
    levels: LevelTree,
    patterns: HashMap<KeyPart, Bucket>,
}

/// Names of one kind while they are filled.
#[derive(Default)]
struct FillingNames {
    exact: HashMap<Box<str>, Bucket>,
    prefixes: HashMap<Box<str>, Bucket>,
}

#[derive(Default)]
struct Filler<'a> {
    gathered: Gathered,
    topics: HashMap<Box<str>, Filling>,
    prefixes: HashMap<Box<str>, Filling>,
    any: Filling,
    groups: FillingNames,
    transactional_ids: FillingNames,
    /// Sets by how entries write them, so that equal ones are one.
    numbers: HashMap<Vec<&'a str>, SetNumber>,
    sets: HashMap<Box<str>, Vec<SetNumber>>,
}

pub fn compile(tier: Tier, list: &AccessList, above: &Groups) -> CompiledList {
    let mut groups = above.clone();
    for (name, members) in &list.groups {
        let members: Arc<[Box<str>]> = members.iter().map(|it| it.as_str().into()).collect();
        groups.insert(name.as_str().into(), members);
    }
    let mut filler = Filler::default();
    for entry in &list.entries {
        filler.add(entry, &groups);
    }
    CompiledList { tier, default: list.default, groups, tables: filler.finish() }
}

impl<'a> Filler<'a> {
    fn add(&mut self, entry: &'a AccessEntry, groups: &Groups) {
        let resource = entry.resource();
        if resource.is_none() && entry.effect == Effect::Allow {
            return;
        }
        let Filler { gathered, .. } = self;
        let (number, when) = (gathered.entry(&entry.id), gathered.when(&entry.when));
        let rule = (number, self.set(entry, groups), when);
        let operations = entry.operations.meant(entry.effect);
        match resource {
            Some(Resource::Addresses(at)) => self.add_at(&at, rule, operations, entry.effect),
            Some(Resource::Names(named, name)) => {
                self.add_name(named, &name, rule, operations, entry.effect);
            }
            None => {
                let (topic, key) = (TopicPattern::Any, KeyPattern::Part(KeyPart::All));
                self.add_at(&Addresses { topic, key }, rule, operations, entry.effect);
                for named in Named::ALL {
                    let every = NameMatch::Prefix(String::new());
                    self.add_name(named, &every, rule, operations, entry.effect);
                }
            }
        }
    }

    fn add_at(&mut self, at: &Addresses, rule: RuleOf, operations: Operations, effect: Effect) {
        let Filler { gathered, topics, prefixes, any, .. } = self;
        let filling = match &at.topic {
            TopicPattern::Any => any,
            TopicPattern::Exact(name) => topics.entry(name.as_str().into()).or_default(),
            TopicPattern::Prefix(prefix) => prefixes.entry(prefix.clone()).or_default(),
        };
        let bucket = filling.bucket(&at.key, gathered);
        gathered.rule(bucket, rule, operations, effect);
        let describes = operations.has(Operation::Describe) && effect == Effect::Allow;
        if describes && !at.key.is_all() {
            // Whoever may do something with some of its keys may know that the topic is there.
            let bucket = filling.whole(gathered);
            let describe = Operations::NONE.with(Operation::Describe);
            gathered.rule(bucket, rule, describe, effect);
        }
    }

    fn add_name(
        &mut self,
        named: Named,
        name: &NameMatch,
        rule: RuleOf,
        operations: Operations,
        effect: Effect,
    ) {
        let Filler { gathered, groups, transactional_ids, .. } = self;
        let names = match named {
            Named::ConsumerGroup => groups,
            Named::TransactionalId => transactional_ids,
        };
        let (of, text) = match name {
            NameMatch::Literal(text) => (&mut names.exact, text),
            NameMatch::Prefix(text) => (&mut names.prefixes, text),
        };
        let bucket = *of.entry(text.as_str().into()).or_insert_with(|| gathered.bucket());
        gathered.rule(bucket, rule, operations, effect);
    }

    /// The number of the set of principals that an entry names.
    fn set(&mut self, entry: &'a AccessEntry, groups: &Groups) -> SetNumber {
        let group = |name: &str| name.strip_prefix(GROUP_PREFIX).map(|name| groups.get(name));
        let is_everybody = |name: &String| {
            // Who was in a group that is no more is not known: a denial counts for everybody.
            name == acl::EVERYBODY
                || entry.effect == Effect::Deny && matches!(group(name), Some(None))
        };
        if entry.principals.iter().any(is_everybody) {
            return EVERYBODY;
        }
        let mut names: Vec<&str> = entry.principals.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let fresh = self.numbers.len() as SetNumber + EVERYBODY + 1;
        if let Some(&number) = self.numbers.get(&names) {
            return number;
        }
        for name in &names {
            match group(name) {
                Some(members) => {
                    for member in members.into_iter().flat_map(|members| members.iter()) {
                        self.sets.entry(member.clone()).or_default().push(fresh);
                    }
                }
                None => self.sets.entry((*name).into()).or_default().push(fresh),
            }
        }
        self.numbers.insert(names, fresh);
        fresh
    }

    fn finish(self) -> Tables {
        let topics = self.topics.into_iter().map(|(name, keys)| (name, keys.finish())).collect();
        let prefixes = self.prefixes.into_iter().map(|(text, keys)| (text, keys.finish()));
        let sets = self.sets.into_iter().map(|(name, mut numbers)| {
            // Given in order; somebody may be in a group twice.
            numbers.dedup();
            (name, numbers.into())
        });
        let places = Places {
            topics,
            prefixes: PrefixTable::new(prefixes.collect()),
            any: self.any.finish(),
            groups: self.groups.finish(),
            transactional_ids: self.transactional_ids.finish(),
        };
        Tables::new(self.gathered, places, sets.collect())
    }
}

impl FillingNames {
    fn finish(self) -> Names {
        let prefixes = PrefixTable::new(self.prefixes.into_iter().collect());
        Names { exact: self.exact, prefixes }
    }
}

impl Filling {
    /// The bucket of rules on every key.
    fn whole(&mut self, gathered: &mut Gathered) -> Bucket {
        *self.all.get_or_insert_with(|| gathered.bucket())
    }

    fn bucket(&mut self, key: &KeyPattern, gathered: &mut Gathered) -> Bucket {
        if key.is_all() {
            return self.whole(gathered);
        }
        let more = self.more.get_or_insert_default();
        match key {
            KeyPattern::Prefix(prefix) => {
                *more.prefixes.entry(prefix.clone()).or_insert_with(|| gathered.bucket())
            }
            KeyPattern::Part(KeyPart::Exact(key)) => {
                *more.exact.entry(key.clone()).or_insert_with(|| gathered.bucket())
            }
            KeyPattern::Part(part @ KeyPart::Levels { levels, rest }) => {
                let rest = if *rest { Rest::Anything } else { Rest::Nothing };
                let bucket = more.levels.insert(levels, rest, || gathered.bucket());
                more.patterns.insert(part.clone(), bucket);
                bucket
            }
            KeyPattern::Part(KeyPart::All) => self.whole(gathered),
        }
    }

    fn finish(self) -> Keys {
        let more = self.more.map(|more| {
            Box::new(MoreKeys {
                exact: more.exact,
                prefixes: PrefixTable::new(more.prefixes.into_iter().collect()),
                levels: more.levels,
                patterns: more.patterns.into_iter().collect(),
            })
        });
        Keys { all: self.all, more }
    }
}
