//! What a change said in Kafka's words makes of a list: entries are added as few as will do, and
//! taken away, made smaller or split, so that exactly what was named is gone.

use super::{Binding, Filter, Said, TooMany, bindings, words};
use std::collections::BTreeSet;
use types::acl::When;
use types::{AccessEntry, AccessList, Operation, Operations};

/// How the identifiers of entries begin that are made here; a number follows.
const ID_PREFIX: &str = "kafka-";

/// One binding to be added, in our words.
#[derive(Debug, Clone)]
pub struct Draft {
    pub binding: Binding,
    /// Without an identifier.
    pub entry: AccessEntry,
}

/// Adds what is not said yet; what has all but the operation in common becomes one entry. Answers
/// whether anything is new.
///
/// # Errors
/// When the list is too large to know what it says.
pub fn add(list: &mut AccessList, drafts: &[Draft]) -> Result<bool, TooMany> {
    let known = bindings(list)?;
    let mut made: Vec<AccessEntry> = Vec::new();
    for draft in drafts.iter().filter(|draft| !known.contains(&draft.binding)) {
        let new = &draft.entry;
        let is_whole = new.operations == Operations::all();
        let fits = |entry: &&mut AccessEntry| {
            !is_whole
                && entry.operations != Operations::all()
                && entry.effect == new.effect
                && entry.topic == new.topic
                && entry.consumer_group == new.consumer_group
                && entry.transactional_id == new.transactional_id
                && entry.principals == new.principals
                && entry.when == new.when
        };
        match made.iter_mut().find(fits) {
            Some(entry) => entry.operations = union(entry.operations, new.operations),
            None => made.push(new.clone()),
        }
    }
    let is_new = !made.is_empty();
    let mut ids = Ids::after(list);
    for entry in &mut made {
        entry.id = ids.next();
    }
    list.entries.extend(made);
    Ok(is_new)
}

/// Takes away what the filters match, and answers for each what went. Operations that are one
/// right here go together, and are answered together.
///
/// # Errors
/// When the list is too large to know what it says.
pub fn remove(
    list: &mut AccessList,
    filters: &[Filter],
) -> Result<Vec<BTreeSet<Binding>>, TooMany> {
    // As many as will be looked at.
    bindings(list)?;
    let mut gone = vec![BTreeSet::new(); filters.len()];
    let mut ids = Ids::after(list);
    let mut kept = Vec::with_capacity(list.entries.len());
    for entry in std::mem::take(&mut list.entries) {
        match Said::of(&entry) {
            Some(said) => kept.extend(without(entry, &said, filters, &mut gone, &mut ids)),
            None => kept.push(entry),
        }
    }
    list.entries = kept;
    Ok(gone)
}

/// What is left of an entry: itself, smaller, in several, or nothing.
fn without(
    entry: AccessEntry,
    said: &Said,
    filters: &[Filter],
    gone: &mut [BTreeSet<Binding>],
    ids: &mut Ids,
) -> Vec<AccessEntry> {
    let mut rows: Vec<Row> = Vec::new();
    for (principal, name) in entry.principals.iter().enumerate() {
        let left: Vec<Operations> = (0..said.hosts.len())
            .map(|host| {
                let taken = taken(said, (principal, host), filters, gone);
                entry.operations.iter().filter(|it| !taken.has(*it)).collect()
            })
            .collect();
        match rows.iter_mut().find(|row| row.left == left) {
            Some(row) => row.principals.push(name.clone()),
            None => rows.push(Row { principals: vec![name.clone()], left }),
        }
    }
    let mut made: Vec<AccessEntry> = Vec::new();
    for row in rows {
        let mut seen: Vec<Operations> = Vec::new();
        for operations in row.left.iter().filter(|left| !left.is_empty()) {
            if seen.contains(operations) {
                continue;
            }
            seen.push(*operations);
            let hosts = entry.when.networks.iter().zip(&row.left);
            let networks =
                hosts.filter(|(_, left)| *left == operations).map(|(network, _)| *network);
            let id = if made.is_empty() { entry.id.clone() } else { ids.next() };
            made.push(AccessEntry {
                id,
                principals: row.principals.clone(),
                operations: *operations,
                when: When { networks: networks.collect(), ..When::default() },
                ..entry.clone()
            });
        }
    }
    made
}

/// Principals of an entry from whom the same is taken.
struct Row {
    principals: Vec<String>,
    /// Of each host, what stays.
    left: Vec<Operations>,
}

/// What the filters take of an entry at one principal and host.
fn taken(
    said: &Said,
    place: (usize, usize),
    filters: &[Filter],
    gone: &mut [BTreeSet<Binding>],
) -> Operations {
    let meant = |binding: &&Binding| {
        words::meant(binding.pattern.resource, binding.operation).unwrap_or_default()
    };
    let bindings = said.bindings_at(place);
    let mut all = Operations::NONE;
    for (filter, gone) in filters.iter().zip(gone) {
        let matching = bindings.iter().filter(|binding| filter.matches(binding));
        let taken = matching.map(|it| meant(&it)).fold(Operations::NONE, union);
        gone.extend(bindings.iter().filter(|it| taken.contains(meant(it))).cloned());
        all = union(all, taken);
    }
    all
}

fn union(one: Operations, other: Operations) -> Operations {
    other.iter().fold(one, |all, operation: Operation| all.with(operation))
}

/// Identifiers that no entry of the list has.
struct Ids(u64);

impl Ids {
    fn after(list: &AccessList) -> Ids {
        let number = |entry: &AccessEntry| entry.id.strip_prefix(ID_PREFIX)?.parse::<u64>().ok();
        // Nobody counts so far: a number at the end of its range is one that somebody chose.
        let highest = list.entries.iter().filter_map(number).filter(|it| *it < u64::MAX / 2).max();
        Ids(highest.unwrap_or(0))
    }

    fn next(&mut self) -> String {
        self.0 += 1;
        format!("{ID_PREFIX}{}", self.0)
    }
}
