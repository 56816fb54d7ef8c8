//! Reads by offset, time and key answer what reading everything would: nothing skipped, nothing
//! older than the newest, no key left out.

use super::{Checker, Event};
use crate::book::{Book, Place, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use types::{Key, Offset, TimestampMs};

/// What is visible in a partition.
#[derive(Default)]
struct Partition {
    records: BTreeMap<Offset, (u64, TimestampMs)>,
    damaged: Vec<Range<Offset>>,
    /// Memory may still hold what compaction took from the disk: it may be answered, and what is
    /// kept must be.
    is_compacted: bool,
}

#[derive(Default)]
pub struct Answers(BTreeMap<Place, Partition>);

impl Partition {
    fn put(&mut self, seen: &[Seen]) {
        let of = |it: &Seen| (it.offset, (it.number.unwrap_or(u64::MAX), it.timestamp));
        self.records.extend(seen.iter().map(of));
    }

    fn survey(&mut self, bounds: &Range<Offset>, seen: &[Seen], damaged: &[Range<Offset>]) {
        // What is damaged is still what it was, for whoever asks by key.
        let is_hidden = |offset: &Offset| damaged.iter().any(|range| range.contains(offset));
        self.records.retain(|offset, _| bounds.contains(offset) && is_hidden(offset));
        self.put(seen);
        self.damaged = damaged.to_vec();
    }

    fn check_read(&self, from: Offset, seen: &[Seen]) -> Result<(), String> {
        let wanted = self.records.range(from..).map(|(offset, (number, _))| (*offset, *number));
        let is_kept = |it: &&Seen| !self.is_compacted || self.records.contains_key(&it.offset);
        let found = seen.iter().filter(is_kept);
        let found = found.map(|it| (it.offset, it.number.unwrap_or(u64::MAX)));
        if seen.is_empty() && self.damaged.is_empty() && wanted.clone().next().is_some() {
            return Err(format!("a read from {from} found nothing"));
        }
        for (found, wanted) in found.filter(|(offset, _)| *offset >= from).zip(wanted) {
            if found != wanted {
                return Err(format!("a read from {from} has {found:?} instead of {wanted:?}"));
            }
        }
        Ok(())
    }

    fn check_time(&self, time: TimestampMs, offset: Offset) -> Result<(), String> {
        let first = self.records.iter().find(|(_, (_, timestamp))| *timestamp >= time);
        let Some((&wanted, _)) = first else { return Ok(()) };
        let is_exact = self.damaged.is_empty() && !self.is_compacted;
        let is_right = if is_exact { offset == wanted } else { offset <= wanted };
        if is_right {
            return Ok(());
        }
        Err(format!("time {time} is at offset {offset} instead of {wanted}"))
    }

    fn check_keys(&self, keys: &[Key], book: &Book) -> Result<(), String> {
        let mut wanted = BTreeSet::new();
        for (number, _) in self.records.values() {
            let Some(made) = book.get(*number) else { continue };
            let Some(key) = &made.record.key else { continue };
            match made.record.value {
                Some(_) => wanted.insert(key.bytes().to_vec()),
                None => wanted.remove(&key.bytes()[..]),
            };
        }
        let found: BTreeSet<_> = keys.iter().map(|key| key.bytes().to_vec()).collect();
        if found != wanted {
            return Err(format!("the keys are {found:?} instead of {wanted:?}"));
        }
        Ok(())
    }

    fn of_key<'a>(&'a self, key: &'a Key, book: &'a Book) -> impl Iterator<Item = Offset> + 'a {
        let has_key = move |number: u64| {
            book.get(number).is_some_and(|made| made.record.key.as_ref() == Some(key))
        };
        let newest_first = self.records.iter().rev();
        newest_first.filter(move |(_, held)| has_key(held.0)).map(|(offset, _)| *offset)
    }
}

impl Checker for Answers {
    fn name(&self) -> &'static str {
        "reads by offset, time and key agree with all that is there"
    }

    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String> {
        match event {
            Event::Told { place, seen, .. } => self.0.entry(*place).or_default().put(seen),
            Event::Survey { place, bounds, seen, damaged, tombstones_before, .. } => {
                let partition = self.0.entry(*place).or_default();
                partition.is_compacted |= tombstones_before.is_some();
                partition.survey(bounds, seen, damaged);
            }
            Event::Maintained { place, gone, .. } => {
                let records = &mut self.0.entry(*place).or_default().records;
                *records = records.split_off(&gone.end);
            }
            Event::TopicDropped { topic } => self.0.retain(|place, _| place.0 != *topic),
            Event::Read { place, from, seen } => {
                self.0.entry(*place).or_default().check_read(*from, seen)?;
            }
            Event::ByTime { place, time, offset } => {
                self.0.entry(*place).or_default().check_time(*time, *offset)?;
            }
            Event::OfKey { place, key, count, found } => {
                let partition = self.0.entry(*place).or_default();
                let mut wanted: Vec<_> = partition.of_key(key, book).take(*count).collect();
                wanted.reverse();
                let found: Vec<_> = found.iter().map(|it| it.offset).collect();
                let is_right = match partition.is_compacted {
                    true => {
                        let is_kept = |it: &Offset| partition.records.contains_key(it);
                        let kept: Vec<_> = found.iter().copied().filter(is_kept).collect();
                        wanted.ends_with(&kept) && wanted.last() == found.last()
                    }
                    false => found == wanted,
                };
                if !is_right {
                    return Err(format!("{key:?} of {place:?}: {found:?} instead of {wanted:?}"));
                }
            }
            Event::Keys { place, keys } => {
                self.0.entry(*place).or_default().check_keys(keys, book)?;
            }
            _ => {}
        }
        Ok(())
    }
}
