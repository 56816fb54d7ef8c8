//! A transaction is seen whole or not at all: no part of one that was given up, no part of one
//! that nobody has ended, and nothing that was published behind a part of an open one. Whoever
//! reads everything finds all parts of a transaction or none.

use super::{Checker, Event, Fate, sightings};
use crate::book::{Book, Place};
use std::collections::{BTreeMap, BTreeSet};

/// A record of a transaction: its partition and number.
type Part = (Place, u64);

#[derive(Debug, Default)]
struct Group {
    parts: Vec<(Place, u64)>,
    /// `None` while it is open.
    fate: Option<Fate>,
}

#[derive(Default)]
pub struct Together {
    groups: BTreeMap<u64, Group>,
    /// By number of a record.
    of: BTreeMap<u64, u64>,
    /// By partition, what a survey found, and what it could not find.
    surveyed: BTreeMap<Place, BTreeSet<u64>>,
    /// Partitions of which a part may be missing for another reason.
    excused: BTreeSet<Place>,
}

impl Together {
    fn check_seen(&self, place: Place, number: u64) -> Result<(), String> {
        if let Some(id) = self.of.get(&number) {
            let fate = self.groups.get(id).and_then(|group| group.fate);
            match fate {
                None | Some(Fate::Doubtful) => {
                    return Err(format!("record {number} of open transaction {id} is seen"));
                }
                Some(Fate::Aborted) => {
                    return Err(format!("record {number} is seen, and {id} was given up"));
                }
                Some(_) => {}
            }
        }
        let open = self.groups.iter().filter(|(_, group)| group.fate.is_none());
        for (id, group) in open {
            let mut parts = group.parts.iter().filter(|(of, _)| *of == place);
            if let Some((_, first)) = parts.find(|(_, first)| *first < number) {
                let text = "is seen behind record";
                return Err(format!("record {number} {text} {first} of open transaction {id}"));
            }
        }
        Ok(())
    }

    fn check_whole(&self) -> Result<(), String> {
        for (id, group) in &self.groups {
            let known = group.parts.iter().filter(|(place, _)| !self.excused.contains(place));
            let is_seen = |place: &Place, number: &u64| {
                self.surveyed.get(place).is_none_or(|seen| seen.contains(number))
            };
            let (seen, missing): (Vec<&Part>, Vec<&Part>) =
                known.partition(|(place, number)| is_seen(place, number));
            let is_needed = group.fate == Some(Fate::Committed) || !seen.is_empty();
            if is_needed && !missing.is_empty() {
                return Err(format!("of transaction {id} {seen:?} are there, not {missing:?}"));
            }
        }
        Ok(())
    }

    fn decide(&mut self, id: u64, fate: Fate) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.fate = Some(fate);
        }
    }

    fn forget(&mut self, gone: impl Fn(&(Place, u64)) -> bool) {
        self.groups.values_mut().for_each(|group| group.parts.retain(|part| !gone(part)));
    }
}

impl Checker for Together {
    fn name(&self) -> &'static str {
        "a transaction is seen whole or not at all"
    }

    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String> {
        let is_answer = matches!(event, Event::Acknowledged { .. });
        for it in sightings(event).into_iter().filter(|_| !is_answer) {
            self.check_seen(it.place, it.number.unwrap_or(u64::MAX))?;
        }
        match event {
            Event::Part { group, place, numbers } => {
                let parts = &mut self.groups.entry(*group).or_default().parts;
                parts.extend(numbers.iter().map(|number| (*place, *number)));
                self.of.extend(numbers.iter().map(|number| (*number, *group)));
            }
            Event::Decided { group, fate } => self.decide(*group, *fate),
            Event::Refused { numbers, .. } => {
                self.forget(|(_, number)| numbers.contains(number));
            }
            Event::Ended { .. } => {
                let is_open =
                    |group: &&mut Group| matches!(group.fate, None | Some(Fate::Doubtful));
                let open = self.groups.values_mut().filter(is_open);
                open.for_each(|group| group.fate = Some(Fate::Aborted));
            }
            Event::TopicDropped { topic } => self.forget(|(place, _)| place.0 == *topic),
            Event::Survey { place, bounds, seen, damaged, is_held, tombstones_before } => {
                let numbers = seen.iter().filter_map(|it| it.number).collect::<BTreeSet<_>>();
                if tombstones_before.is_some() {
                    // Compaction may take what has a key.
                    let has_key = |number: u64| {
                        book.get(number).is_some_and(|made| made.record.key.is_some())
                    };
                    self.forget(|(of, number)| {
                        of == place && has_key(*number) && !numbers.contains(number)
                    });
                }
                if *is_held || !damaged.is_empty() {
                    self.excused.insert(*place);
                }
                // What retention took was the oldest: nothing that it left is older.
                let first = numbers.first().copied();
                if bounds.start > 0 {
                    let kept = |number: u64| first.is_some_and(|first| number >= first);
                    self.forget(|(of, number)| of == place && !kept(*number));
                }
                self.surveyed.insert(*place, numbers);
            }
            Event::Surveyed => {
                let outcome = self.check_whole();
                self.surveyed.clear();
                self.excused.clear();
                return outcome;
            }
            _ => {}
        }
        Ok(())
    }
}
