//! Of each key the newest record stays: a compacted partition lacks nothing but records whose key
//! has a newer one, and tombstones that have stayed their time and hide nothing older.

use super::{Checker, Event, Moment};
use crate::book::{Book, Place, Seen};
use crate::plan::End;
use std::collections::BTreeMap;
use types::{Key, Offset, TimestampMs};

#[derive(Debug, Clone)]
struct Kept {
    key: Key,
    is_tombstone: bool,
    timestamp: TimestampMs,
    is_stored: bool,
}

#[derive(Default)]
struct Partition {
    /// Records with keys.
    records: BTreeMap<Offset, Kept>,
    /// Tombstones from before this may be gone.
    tombstones_before: TimestampMs,
}

#[derive(Default)]
pub struct Compaction(BTreeMap<Place, Partition>);

impl Partition {
    fn note(&mut self, it: &Seen, book: &Book, is_stored: bool) {
        let made = it.number.and_then(|number| book.get(number));
        let Some(record) = made.map(|made| &made.record) else { return };
        let Some(key) = record.key.clone() else { return };
        let (is_tombstone, timestamp) = (record.value.is_none(), it.timestamp);
        self.records.insert(it.offset, Kept { key, is_tombstone, timestamp, is_stored });
    }

    /// Why a record that is not there should be.
    fn miss(&self, offset: Offset, kept: &Kept, seen: &[Seen], book: &Book) -> Result<(), String> {
        let mut newer = self.records.range(offset + 1..);
        if newer.any(|(_, other)| other.key == kept.key) {
            return Ok(());
        }
        if !kept.is_tombstone || kept.timestamp >= self.tombstones_before {
            return Err(format!("offset {offset} is gone, the newest of its key: {kept:?}"));
        }
        let has_key = |it: &&Seen| {
            let made = it.number.and_then(|number| book.get(number));
            made.is_some_and(|made| made.record.key.as_ref() == Some(&kept.key))
        };
        match seen.iter().filter(|it| it.offset < offset).find(has_key) {
            Some(old) => Err(format!("tombstone {offset} is gone before {}", old.offset)),
            None => Ok(()),
        }
    }
}

impl Checker for Compaction {
    fn name(&self) -> &'static str {
        "of each key the newest record stays"
    }

    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String> {
        match event {
            Event::Told { place, seen, moment } => {
                let partition = self.0.entry(*place).or_default();
                let is_stored = *moment == Moment::AfterCommit;
                seen.iter().for_each(|it| partition.note(it, book, is_stored));
            }
            Event::Stored => {
                let records = self.0.values_mut().flat_map(|it| it.records.values_mut());
                records.for_each(|kept| kept.is_stored = true);
            }
            Event::Ended { how: End::Crash | End::Kill } => {
                self.0.values_mut().for_each(|it| it.records.retain(|_, kept| kept.is_stored));
            }
            Event::TopicDropped { topic } => self.0.retain(|place, _| place.0 != *topic),
            Event::Survey { place, bounds, seen, damaged, tombstones_before, .. } => {
                let partition = self.0.entry(*place).or_default();
                // What nobody was told of is from a process before, and stored.
                for it in seen.iter() {
                    if !partition.records.contains_key(&it.offset) {
                        partition.note(it, book, true);
                    }
                }
                let Some(before) = tombstones_before else { return Ok(()) };
                partition.tombstones_before = partition.tombstones_before.max(*before);
                partition.records = partition.records.split_off(&bounds.start);
                let found: std::collections::BTreeSet<_> =
                    seen.iter().map(|it| it.offset).collect();
                let is_missing = |offset: &Offset| {
                    *offset < bounds.end
                        && !found.contains(offset)
                        && !damaged.iter().any(|range| range.contains(offset))
                };
                let missing = partition.records.iter().filter(|(offset, _)| is_missing(offset));
                for (offset, kept) in missing.filter(|(_, kept)| kept.is_stored) {
                    let outcome = partition.miss(*offset, kept, seen, book);
                    outcome.map_err(|text| format!("{place:?}: {text}"))?;
                }
                // What was replaced by a record that a crash may take is asked for again.
                let has_unstored = partition.records.values().any(|kept| !kept.is_stored);
                partition.records.retain(|offset, _| has_unstored || !is_missing(offset));
            }
            _ => {}
        }
        Ok(())
    }
}
