//! What is different between two versions of a list, entry by entry.

use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use types::{AccessEntry, AccessList, Effect};

/// The same entry before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub before: AccessEntry,
    pub after: AccessEntry,
}

/// A group's members that came and went; a group that is new or gone has all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GroupChange {
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// Before and after, where it changed; `null` is a list that says nothing of it.
    pub default: Option<(Option<Effect>, Option<Effect>)>,
    pub groups: BTreeMap<String, GroupChange>,
    pub added: Vec<AccessEntry>,
    pub removed: Vec<AccessEntry>,
    pub changed: Vec<Changed>,
}

/// Identifiers of entries that a summary names.
const NAMED_MAX: usize = 50;

impl Difference {
    pub fn is_none(&self) -> bool {
        *self == Difference::default()
    }

    /// For the audit trail: how many entries came, went and changed, and which.
    pub fn summary(&self) -> Value {
        let names = |entries: Vec<&AccessEntry>| -> Value {
            let named = entries.iter().take(NAMED_MAX).map(|entry| entry.id.as_str());
            json!({"count": entries.len(), "entries": named.collect::<Vec<_>>()})
        };
        json!({
            "added": names(self.added.iter().collect()),
            "removed": names(self.removed.iter().collect()),
            "changed": names(self.changed.iter().map(|it| &it.after).collect()),
            "groups": self.groups.keys().take(NAMED_MAX).collect::<Vec<_>>(),
            "default": self.default,
        })
    }
}

/// In the order of the lists they are in.
pub fn difference(before: &AccessList, after: &AccessList) -> Difference {
    let index = |list: &AccessList| -> HashMap<String, AccessEntry> {
        list.entries.iter().map(|entry| (entry.id.clone(), entry.clone())).collect()
    };
    let (of_before, of_after) = (index(before), index(after));
    let mut found = Difference {
        default: (before.default != after.default).then_some((before.default, after.default)),
        groups: groups(before, after),
        ..Difference::default()
    };
    for entry in &after.entries {
        match of_before.get(&entry.id) {
            None => found.added.push(entry.clone()),
            Some(old) if old != entry => {
                found.changed.push(Changed { before: old.clone(), after: entry.clone() });
            }
            Some(_) => {}
        }
    }
    let gone = before.entries.iter().filter(|entry| !of_after.contains_key(&entry.id));
    found.removed.extend(gone.cloned());
    found
}

fn groups(before: &AccessList, after: &AccessList) -> BTreeMap<String, GroupChange> {
    let names: BTreeSet<&String> = before.groups.keys().chain(after.groups.keys()).collect();
    let members = |list: &AccessList, name: &String| -> BTreeSet<String> {
        list.groups.get(name).into_iter().flatten().cloned().collect()
    };
    let mut found = BTreeMap::new();
    for name in names {
        let (old, new) = (members(before, name), members(after, name));
        let is_kept = before.groups.contains_key(name) && after.groups.contains_key(name);
        if is_kept && old == new {
            continue;
        }
        let change = GroupChange {
            added: new.difference(&old).cloned().collect(),
            removed: old.difference(&new).cloned().collect(),
        };
        found.insert(name.clone(), change);
    }
    found
}
