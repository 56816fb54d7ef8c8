//! Why: the lists asked entry by entry, without tables, so that what decided can be named and what
//! did not can say what it lacked. It is slow and plain, and so also what the tables are tested
//! against.

use super::{Tier, is_user};
use serde::Serialize;
use std::collections::HashMap;
use types::acl::{EVERYBODY, Facts, GROUP_PREFIX, Named, Resource};
use types::{AccessEntry, AccessList, Effect, Operation, TopicName};

/// Entries that an explanation names at most; those that count come first.
const CONSIDERED_MAX: usize = 100;

/// A question to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// `key:...`, `jwt:...` or `user:...`.
    pub subject: &'a str,
    pub operation: Operation,
    pub what: What<'a>,
    pub facts: Facts<'a>,
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    Address { topic: &'a TopicName, key: Option<&'a [u8]> },
    Name(Named, &'a str),
}

/// An entry that speaks of the principal and the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Whose list it is in.
    pub list: Tier,
    pub entry: String,
    pub effect: Effect,
    /// Whether it counts here and now.
    pub applies: bool,
    /// What it lacks: `operations`, `principals`, `key`, or a condition's name.
    pub lacks: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub allowed: bool,
    /// The entry that decided, if one did.
    pub decided_by: Option<Considered>,
    /// What decided, in words.
    pub reason: String,
    /// Entries about the topic or the name: those that count first.
    pub considered: Vec<Considered>,
    /// There were more.
    pub is_cut: bool,
}

type Names<'a> = HashMap<&'a str, &'a [String]>;

/// From the widest list to the narrowest; those that are not there are left out.
pub fn explain(lists: &[(Tier, &AccessList)], asking: &Asking<'_>) -> Explanation {
    let mut groups = Names::new();
    let mut considered = Vec::new();
    for (tier, list) in lists {
        groups.extend(list.groups.iter().map(|(name, of)| (name.as_str(), of.as_slice())));
        for entry in &list.entries {
            if let Some(found) = consider(*tier, entry, &groups, asking) {
                considered.push(found);
            }
        }
    }
    let first = |effect| considered.iter().find(|it| it.applies && it.effect == effect).cloned();
    let denied = first(Effect::Deny);
    let (allowed, decided_by, reason) = match (denied, first(Effect::Allow)) {
        (Some(deny), _) => (false, Some(deny), "an entry denies it".to_owned()),
        (None, Some(allow)) => (true, Some(allow), "an entry allows it, and none denies it".into()),
        (None, None) if lists.is_empty() => {
            let reason = "there is no list: the credential's own scopes and grants decide";
            (true, None, reason.to_owned())
        }
        (None, None) if is_user(asking.subject) => {
            let reason = "no entry denies it; users are allowed things by their roles";
            (true, None, reason.to_owned())
        }
        (None, None) if is_free(lists, asking) => {
            let reason = "no entry gives the name to anybody: whose scopes allow it may use it";
            (true, None, reason.to_owned())
        }
        (None, None) => match merged_default(lists.iter().map(|(_, list)| *list)) {
            Effect::Allow => (true, None, "no entry speaks of it, and the default allows".into()),
            Effect::Deny => (false, None, "no entry allows it".to_owned()),
        },
    };
    considered.sort_by_key(|it| !it.applies);
    let is_cut = considered.len() > CONSIDERED_MAX;
    considered.truncate(CONSIDERED_MAX);
    Explanation { allowed, decided_by, reason, considered, is_cut }
}

/// What is left to the default: what the narrowest list says that says anything.
pub fn merged_default<'a>(lists: impl DoubleEndedIterator<Item = &'a AccessList>) -> Effect {
    lists.rev().find_map(|list| list.default).unwrap_or(Effect::Deny)
}

/// Whether it is about a name that no entry gives anybody.
fn is_free(lists: &[(Tier, &AccessList)], asking: &Asking<'_>) -> bool {
    let What::Name(named, name) = asking.what else { return false };
    let speaks_of = |resource| match resource {
        Resource::Names(of, it) => of == named && it.matches(name),
        Resource::Addresses(_) => false,
    };
    let gives = |entry: &AccessEntry| {
        entry.effect == Effect::Allow && entry.resource().is_some_and(speaks_of)
    };
    !lists.iter().any(|(_, list)| list.entries.iter().any(gives))
}

/// `None`: it speaks of other topics or names.
fn consider(
    tier: Tier,
    entry: &AccessEntry,
    groups: &Names<'_>,
    asking: &Asking<'_>,
) -> Option<Considered> {
    let lacks = match entry.resource() {
        // What cannot be read allows nothing, and denies everything.
        None if entry.effect == Effect::Allow => return None,
        None => lacking(entry, groups, asking),
        Some(resource) => match (resource, asking.what) {
            (Resource::Addresses(at), What::Address { topic, key }) if at.topic.matches(topic) => {
                let key = key.filter(|_| !asking.operation.is_of_topic());
                let of_any_key =
                    asking.operation == Operation::Describe && entry.effect == Effect::Allow;
                match of_any_key || at.key.matches(key) {
                    true => lacking(entry, groups, asking),
                    false => Some("key"),
                }
            }
            (Resource::Names(of, it), What::Name(named, name))
                if of == named && it.matches(name) =>
            {
                lacking(entry, groups, asking)
            }
            _ => return None,
        },
    };
    Some(Considered {
        list: tier,
        entry: entry.id.clone(),
        effect: entry.effect,
        applies: lacks.is_none(),
        lacks,
    })
}

fn lacking(entry: &AccessEntry, groups: &Names<'_>, asking: &Asking<'_>) -> Option<&'static str> {
    if !entry.operations.meant(entry.effect).has(asking.operation) {
        return Some("operations");
    }
    let names = |name: &String| match name.strip_prefix(GROUP_PREFIX) {
        None => name == EVERYBODY || name == asking.subject,
        Some(group) => match groups.get(group) {
            Some(members) => members.iter().any(|member| member == asking.subject),
            None => entry.effect == Effect::Deny,
        },
    };
    if !entry.principals.iter().any(names) {
        return Some("principals");
    }
    entry.when.unmet(&asking.facts)
}
