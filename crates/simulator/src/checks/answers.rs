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
    /// Of a compacted topic, until when tombstones may be gone. Memory may still hold what
    /// compaction took from the disk: it may be answered, and what is kept must be.
    tombstones_before: Option<TimestampMs>,
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

    /// What is there wherever it is read from: compaction never takes it.
    fn required(&self, book: &Book) -> BTreeSet<Offset> {
        let Some(before) = self.tombstones_before else {
            return self.records.keys().copied().collect();
        };
        let mut keys = BTreeSet::new();
        let newest_first = self.records.iter().rev();
        let kept = newest_first.filter(|(_, (number, timestamp))| {
            let Some(record) = book.get(*number).map(|made| &made.record) else { return true };
            let is_newest = record.key.as_ref().is_none_or(|key| keys.insert(key.bytes()));
            is_newest && (record.value.is_some() || *timestamp >= before)
        });
        kept.map(|(offset, _)| *offset).collect()
    }

    fn check_read_of_compacted(
        &self,
        from: Offset,
        seen: &[Seen],
        book: &Book,
    ) -> Result<(), String> {
        let found: BTreeMap<Offset, u64> =
            seen.iter().map(|it| (it.offset, it.number.unwrap_or(u64::MAX))).collect();
        for (offset, number) in found.range(from..) {
            let known = self.records.get(offset).map(|known| known.0);
            if known.is_some_and(|known| known != *number) {
                return Err(format!("a read from {from} has {number} at {offset}, not {known:?}"));
            }
        }
        let until = found.keys().next_back().map_or(Offset::MAX, |last| last.saturating_add(1));
        let is_hidden = |offset: &Offset| self.damaged.iter().any(|it| it.contains(offset));
        let required = self.required(book);
        let mut wanted = required.range(from.min(until)..until).filter(|it| !is_hidden(it));
        match wanted.find(|offset| !found.contains_key(offset)) {
            Some(_) if found.is_empty() && !self.damaged.is_empty() => Ok(()),
            Some(missing) => Err(format!("a read from {from} has no record at {missing}")),
            None => Ok(()),
        }
    }

    fn check_read(&self, from: Offset, seen: &[Seen], book: &Book) -> Result<(), String> {
        if self.tombstones_before.is_some() {
            return self.check_read_of_compacted(from, seen, book);
        }
        let wanted = self.records.range(from..).map(|(offset, (number, _))| (*offset, *number));
        let found = seen.iter().map(|it| (it.offset, it.number.unwrap_or(u64::MAX)));
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

    fn check_time(&self, time: TimestampMs, offset: Offset, book: &Book) -> Result<(), String> {
        let required = self.required(book);
        let is_since = |it: &Offset| self.records.get(it).is_some_and(|known| known.1 >= time);
        let Some(wanted) = required.into_iter().find(is_since) else { return Ok(()) };
        let is_exact = self.damaged.is_empty() && self.tombstones_before.is_none();
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
                partition.tombstones_before = partition.tombstones_before.max(*tombstones_before);
                partition.survey(bounds, seen, damaged);
            }
            Event::Maintained { place, gone, .. } => {
                let records = &mut self.0.entry(*place).or_default().records;
                *records = records.split_off(&gone.end);
            }
            Event::TopicDropped { topic } => self.0.retain(|place, _| place.0 != *topic),
            Event::Read { place, from, seen } => {
                self.0.entry(*place).or_default().check_read(*from, seen, book)?;
            }
            Event::ByTime { place, time, offset } => {
                self.0.entry(*place).or_default().check_time(*time, *offset, book)?;
            }
            Event::OfKey { place, key, count, found } => {
                let partition = self.0.entry(*place).or_default();
                let mut wanted: Vec<_> = partition.of_key(key, book).take(*count).collect();
                wanted.reverse();
                let found: Vec<_> = found.iter().map(|it| it.offset).collect();
                let is_right = match (partition.tombstones_before, wanted.last()) {
                    (None, _) => found == wanted,
                    (Some(_), None) => true,
                    (Some(_), Some(newest)) => {
                        let may_be_gone = !partition.required(book).contains(newest);
                        let is_newest = found.last() == Some(newest);
                        found.is_sorted() && (is_newest || (may_be_gone && found.is_empty()))
                    }
                };
                if !is_right {
                    let text = format!("{key:?} of {place:?}: {found:?} instead of {wanted:?}");
                    let newest = wanted.last().and_then(|it| partition.records.get(it));
                    let has_value = newest.and_then(|newest| book.get(newest.0));
                    let has_value = has_value.map(|made| made.record.value.is_some());
                    return Err(format!("{text}, with a value: {has_value:?}, at {newest:?}"));
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
