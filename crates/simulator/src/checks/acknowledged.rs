//! No acknowledged record is lost, and none that became visible on the disk's word: whoever was
//! told of a record after its flush finds it for as long as retention keeps it. A relaxed record
//! counts from the moment it is stored.

use super::{Checker, Event, Moment};
use crate::book::{Book, Place};
use crate::plan::End;
use std::collections::{BTreeMap, BTreeSet};
use types::Offset;

#[derive(Default)]
pub struct Acknowledged {
    stored: BTreeMap<Place, BTreeMap<Offset, u64>>,
    /// Acknowledged or seen, but perhaps not on the disk yet.
    unstored: BTreeMap<Place, BTreeMap<Offset, u64>>,
}

impl Acknowledged {
    fn note(&mut self, place: Place, offset: Offset, number: u64, moment: Moment) {
        let book = match moment {
            Moment::AfterCommit => &mut self.stored,
            Moment::AtOnce => &mut self.unstored,
        };
        book.entry(place).or_default().insert(offset, number);
    }
}

impl Checker for Acknowledged {
    fn name(&self) -> &'static str {
        "no acknowledged record is lost"
    }

    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String> {
        match event {
            Event::Acknowledged { place, offset, numbers, moment } => {
                for (offset, &number) in (*offset..).zip(*numbers) {
                    self.note(*place, offset, number, *moment);
                }
            }
            Event::Told { place, seen, moment } => {
                for it in *seen {
                    self.note(*place, it.offset, it.number.unwrap_or(u64::MAX), *moment);
                }
            }
            Event::Stored => {
                for (place, records) in std::mem::take(&mut self.unstored) {
                    self.stored.entry(place).or_default().extend(records);
                }
            }
            Event::Ended { how: End::Crash | End::Kill } => self.unstored.clear(),
            Event::TopicDropped { topic } => {
                self.stored.retain(|place, _| place.0 != *topic);
                self.unstored.retain(|place, _| place.0 != *topic);
            }
            Event::Survey { place, bounds, seen, damaged, is_held, tombstones_before } => {
                let found: BTreeSet<Offset> = seen.iter().map(|it| it.offset).collect();
                let stored = self.stored.entry(*place).or_default();
                *stored = stored.split_off(&bounds.start);
                let end = if *is_held { bounds.end } else { Offset::MAX };
                let is_lost = |offset: &Offset| {
                    *offset < end
                        && !found.contains(offset)
                        && !damaged.iter().any(|range| range.contains(offset))
                };
                // What compaction takes is another checker's business.
                let has_key =
                    |number: &u64| book.get(*number).is_some_and(|made| made.record.key.is_some());
                let mut lost = stored.iter().filter(|(offset, _)| is_lost(offset));
                let is_compacted = tombstones_before.is_some();
                let lost = lost.find(|(_, number)| !is_compacted || !has_key(number));
                if let Some((offset, number)) = lost {
                    return Err(format!(
                        "{place:?} lacks record {number} at offset {offset}, of {bounds:?}"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
