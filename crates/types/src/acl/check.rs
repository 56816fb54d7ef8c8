//! Whether a list can mean anything: identifiers, principals, patterns, bounds. All that is wrong
//! is told at once, each with the field as it was written.

use super::{
    AccessEntry, AccessList, CONDITIONS_MAX, ENTRIES_MAX, EVERYBODY, GROUP_PREFIX, GROUPS_MAX,
    ID_BYTES_MAX, KEY_PREFIX, MEMBERS_MAX, PRINCIPALS_MAX, TEXT_BYTES_MAX, TOKEN_PREFIX,
    USER_PREFIX, pattern,
};
use super::{Operation, Operations, Resource};
use crate::KeyId;
use serde::Serialize;
use std::collections::HashSet;

/// Bytes of a principal.
const PRINCIPAL_BYTES_MAX: usize = 300;
/// Problems told at most.
const PROBLEMS_MAX: usize = 100;

/// Why a list cannot be taken, or what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// As in the list: `entries[3].topic.prefix`.
    pub field: String,
    pub message: String,
}

struct Report(Vec<Problem>);

impl Report {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { field: field.into(), message: message.into() });
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

const ID_RULE: &str = "1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`";

impl AccessList {
    /// All that is wrong with it; `above` are the groups of the lists above, which it may name.
    pub fn problems(&self, above: &HashSet<String>) -> Vec<Problem> {
        let mut report = Report(Vec::new());
        if self.entries.len() > ENTRIES_MAX {
            report.add("entries", format!("at most {ENTRIES_MAX} entries"));
        }
        if self.groups.len() > GROUPS_MAX {
            report.add("groups", format!("at most {GROUPS_MAX} groups"));
        }
        for (name, members) in &self.groups {
            let at = format!("groups.{name}");
            if !is_id(name) {
                report.add(&at, ID_RULE);
            }
            if members.len() > MEMBERS_MAX {
                report.add(&at, format!("at most {MEMBERS_MAX} members"));
            }
            for (index, member) in members.iter().enumerate() {
                let why = match member.starts_with(GROUP_PREFIX) || member == EVERYBODY {
                    true => Some("a group holds keys, tokens and users, no groups".to_owned()),
                    false => bad_principal(member),
                };
                if let Some(why) = why {
                    report.add(format!("{at}[{index}]"), why);
                }
            }
        }
        let mut ids = HashSet::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if !ids.insert(entry.id.as_str()) {
                report.add(format!("entries[{index}].id"), "another entry has this id");
            }
            self.check_entry(index, entry, above, &mut report);
        }
        report.0
    }

    fn check_entry(
        &self,
        index: usize,
        entry: &AccessEntry,
        above: &HashSet<String>,
        report: &mut Report,
    ) {
        let at = |field: &str| format!("entries[{index}].{field}");
        if !is_id(&entry.id) {
            report.add(at("id"), ID_RULE);
        }
        if entry.note.len() > TEXT_BYTES_MAX {
            report.add(at("note"), format!("at most {TEXT_BYTES_MAX} bytes"));
        }
        if entry.operations.is_empty() {
            report.add(at("operations"), "name an operation, or `all`");
        }
        if !(1..=PRINCIPALS_MAX).contains(&entry.principals.len()) {
            let rule = format!("1 to {PRINCIPALS_MAX} principals; a group may have more");
            report.add(at("principals"), rule);
        }
        for (number, principal) in entry.principals.iter().enumerate() {
            let why = match principal.strip_prefix(GROUP_PREFIX) {
                Some(group) if self.groups.contains_key(group) || above.contains(group) => None,
                Some(group) => Some(format!("there is no group `{group}`")),
                None if principal == EVERYBODY => None,
                None => bad_principal(principal),
            };
            if let Some(why) = why {
                report.add(at(&format!("principals[{number}]")), why);
            }
        }
        match pattern::resource(entry) {
            Err((field, why)) => report.add(at(field), why),
            Ok(Resource::Names(named, _)) => {
                let known = named.operations();
                if entry.operations != Operations::all() && !known.contains(entry.operations) {
                    let names: Vec<&str> = known.iter().map(Operation::name).collect();
                    let why = format!("a {} has {} and all", named.noun(), names.join(", "));
                    report.add(at("operations"), why);
                }
            }
            Ok(Resource::Addresses(_)) => {}
        }
        check_when(index, entry, report);
    }
}

fn check_when(index: usize, entry: &AccessEntry, report: &mut Report) {
    let at = |field: &str| format!("entries[{index}].when.{field}");
    let when = &entry.when;
    let rule = format!("at most {CONDITIONS_MAX}");
    for (field, count) in [
        ("networks", when.networks.len()),
        ("times", when.times.len()),
        ("attributes", when.attributes.len()),
    ] {
        if count > CONDITIONS_MAX {
            report.add(at(field), &rule);
        }
    }
    for (number, window) in when.times.iter().enumerate() {
        if window.from == window.to {
            let why = "the window is empty; a whole day is `00:00` to `24:00`";
            report.add(at(&format!("times[{number}]")), why);
        }
    }
    for (name, values) in &when.attributes {
        let fits = |text: &String| (1..=TEXT_BYTES_MAX).contains(&text.len());
        let is_bounded = (1..=CONDITIONS_MAX).contains(&values.len());
        if !fits(name) || !is_bounded || !values.iter().all(fits) {
            let rule = format!(
                "1 to {CONDITIONS_MAX} values; names and values of 1 to {TEXT_BYTES_MAX} bytes"
            );
            report.add(at(&format!("attributes.{name}")), rule);
        }
    }
}

/// Why a text names no key, token or user.
fn bad_principal(text: &str) -> Option<String> {
    let is_sized = |rest: &str| {
        !rest.is_empty() && text.len() <= PRINCIPAL_BYTES_MAX && !rest.chars().any(char::is_control)
    };
    let is_good = if let Some(key) = text.strip_prefix(KEY_PREFIX) {
        key.parse::<KeyId>().is_ok()
    } else if let Some(user) = text.strip_prefix(USER_PREFIX) {
        let digits = user.strip_prefix("usr_").unwrap_or_default();
        digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())
    } else {
        text.strip_prefix(TOKEN_PREFIX).is_some_and(is_sized)
    };
    (!is_good).then(|| {
        format!(
            "`{text}` names nobody: write `*`, `key:key_...`, `jwt:<subject>`, `user:usr_...` or \
             `group:<name>`"
        )
    })
}
