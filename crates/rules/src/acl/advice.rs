//! What is odd about a list that could be taken: entries that another one makes idle, conditions
//! and groups that nobody meets. Only what can be said from the list alone.

use super::overlap;
use crate::grants;
use std::collections::HashMap;
use types::acl::{
    Addresses, EVERYBODY, GROUP_PREFIX, KeyPattern, NameMatch, Problem, Resource, TopicPattern,
};
use types::{AccessEntry, AccessList, Effect, Operation, Operations};

/// Warnings told at most.
const WARNINGS_MAX: usize = 100;
/// Pairs of entries compared at most.
const PAIRS_MAX: usize = 2_000_000;

/// In the order of the entries.
pub fn advise(list: &AccessList) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let mut warn = |field: String, message: String| {
        if warnings.len() < WARNINGS_MAX {
            warnings.push(Problem { field, message });
        }
    };
    for (name, members) in &list.groups {
        if members.is_empty() {
            warn(format!("groups.{name}"), "nobody is in this group".to_owned());
        }
    }
    for (index, entry) in list.entries.iter().enumerate() {
        about_entry(entry, |field, message| warn(format!("entries[{index}].{field}"), message));
    }
    if list.default == Some(Effect::Allow)
        && !list.entries.is_empty()
        && list.entries.iter().all(|entry| entry.effect == Effect::Allow)
    {
        let why = "every entry allows, and so does the default: the list changes nothing";
        warn("default".to_owned(), why.to_owned());
    }
    if let Some(cut) = shadows(list, &mut warn) {
        let why = format!("only {cut} of the entries were compared with the others");
        warn("entries".to_owned(), why);
    }
    warnings
}

fn about_entry(entry: &AccessEntry, mut warn: impl FnMut(&str, String)) {
    let resource = entry.resource();
    let addresses = resource.as_ref().and_then(Resource::addresses);
    let has_key = addresses.is_some_and(|at| !at.key.is_all());
    if has_key && entry.operations != Operations::all() {
        for operation in [Operation::Describe, Operation::Manage] {
            let counts = operation == Operation::Describe && entry.effect == Effect::Allow;
            if entry.operations.has(operation) && !counts {
                let why = format!(
                    "`{operation}` is about topics as a whole: an entry with a key never decides it"
                );
                warn("operations", why);
            }
        }
    }
    let asks_of_tokens = !entry.when.attributes.is_empty();
    let can_have = |name: &String| {
        name == EVERYBODY || name.starts_with("jwt:") || name.starts_with(GROUP_PREFIX)
    };
    if asks_of_tokens && !entry.principals.iter().any(can_have) {
        let why = "only tokens have attributes: keys and users never meet this";
        warn("when.attributes", why.to_owned());
    }
}

struct Read<'a> {
    index: usize,
    entry: &'a AccessEntry,
    resource: Resource,
}

impl Read<'_> {
    /// The one topic or name that it speaks of.
    fn literal(&self) -> Option<&str> {
        match &self.resource {
            Resource::Addresses(Addresses { topic: TopicPattern::Exact(name), .. }) => {
                Some(name.as_str())
            }
            Resource::Names(_, NameMatch::Literal(name)) => Some(name),
            Resource::Addresses(_) | Resource::Names(..) => None,
        }
    }
}

/// Entries that another one covers. Answers how many were looked at when not all were.
fn shadows(list: &AccessList, warn: &mut impl FnMut(String, String)) -> Option<usize> {
    let entries = list.entries.iter().enumerate();
    let found: Vec<Read<'_>> = entries
        .filter_map(|(index, entry)| Some(Read { index, entry, resource: entry.resource()? }))
        .collect();
    let mut wide: Vec<usize> = Vec::new();
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, read) in found.iter().enumerate() {
        match read.literal() {
            Some(name) => by_name.entry(name).or_default().push(at),
            None => wide.push(at),
        }
    }
    let mut pairs = 0;
    for inner in &found {
        let same = inner.literal().and_then(|name| by_name.get(name));
        for &at in wide.iter().chain(same.into_iter().flatten()) {
            pairs += 1;
            if pairs > PAIRS_MAX {
                return Some(inner.index);
            }
            let Some(outer) = found.get(at) else { continue };
            if let Some(why) = shadowed(outer, inner) {
                warn(format!("entries[{}]", inner.index), why);
                break;
            }
        }
    }
    None
}

/// Why the inner entry never decides anything beside the outer one.
fn shadowed(outer: &Read<'_>, inner: &Read<'_>) -> Option<String> {
    let is_twin = outer.entry.effect == inner.entry.effect && covers(inner, outer);
    if outer.index == inner.index || !covers(outer, inner) || is_twin && outer.index > inner.index {
        return None;
    }
    // One that gives a name takes it from all others, whoever is denied it.
    let is_of_names = matches!(inner.resource, Resource::Names(..));
    let (outer, inner) = (outer.entry, inner.entry);
    match (outer.effect, inner.effect) {
        (Effect::Deny, Effect::Allow) if is_of_names => None,
        (Effect::Deny, Effect::Allow) => {
            Some(format!("never counts: `{}` denies all that it allows", outer.id))
        }
        (Effect::Allow, Effect::Deny) => None,
        _ => Some(format!("changes nothing: `{}` says the same of more", outer.id)),
    }
}

fn covers(outer: &Read<'_>, inner: &Read<'_>) -> bool {
    let (wide, narrow) = (outer.entry, inner.entry);
    let names =
        |name: &String| wide.principals.iter().any(|held| held == EVERYBODY || held == name);
    wide.when.is_always()
        && wide.operations.contains(narrow.operations)
        && narrow.principals.iter().all(names)
        && match (&outer.resource, &inner.resource) {
            (Resource::Addresses(outer), Resource::Addresses(inner)) => {
                covers_topics(&outer.topic, &inner.topic) && covers_keys(&outer.key, &inner.key)
            }
            (Resource::Names(of, outer), Resource::Names(named, inner)) => {
                of == named && covers_names(outer, inner)
            }
            _ => false,
        }
}

fn covers_names(outer: &NameMatch, inner: &NameMatch) -> bool {
    match (outer, inner) {
        (_, NameMatch::Literal(name)) => outer.matches(name),
        (NameMatch::Literal(_), NameMatch::Prefix(_)) => false,
        (NameMatch::Prefix(outer), NameMatch::Prefix(inner)) => inner.starts_with(outer),
    }
}

fn covers_topics(outer: &TopicPattern, inner: &TopicPattern) -> bool {
    match (outer, inner) {
        (TopicPattern::Any, _) => true,
        (_, TopicPattern::Any) => false,
        (TopicPattern::Exact(outer), TopicPattern::Exact(inner)) => outer == inner,
        (TopicPattern::Exact(_), TopicPattern::Prefix(_)) => false,
        (TopicPattern::Prefix(outer), TopicPattern::Exact(inner)) => {
            inner.as_str().starts_with(&**outer)
        }
        (TopicPattern::Prefix(outer), TopicPattern::Prefix(inner)) => inner.starts_with(&**outer),
    }
}

fn covers_keys(outer: &KeyPattern, inner: &KeyPattern) -> bool {
    match (outer, inner) {
        (KeyPattern::Part(outer), KeyPattern::Part(inner)) => grants::covers_keys(outer, inner),
        (KeyPattern::Part(_), KeyPattern::Prefix(_)) => outer.is_all(),
        (KeyPattern::Prefix(outer), KeyPattern::Part(inner)) => {
            overlap::prefix_covers(outer, inner)
        }
        (KeyPattern::Prefix(outer), KeyPattern::Prefix(inner)) => inner.starts_with(&**outer),
    }
}
