//! The end readers see never goes back, nor does the start; what is acknowledged is before the
//! end, and what is read lies between the two. Only a relaxed partition may end earlier after a
//! crash, by the records that were not stored yet.

use super::{Checker, Event, Moment};
use crate::book::{Book, Place};
use crate::plan::End;
use std::collections::BTreeMap;
use std::ops::Range;
use types::Offset;

#[derive(Default)]
pub struct VisibleEnd {
    known: BTreeMap<Place, Range<Offset>>,
    /// By partition, the offset after the last one acknowledged.
    acknowledged: BTreeMap<Place, Offset>,
    /// By partition, the offset after the last one known to be on the disk.
    stored: BTreeMap<Place, Offset>,
}

impl VisibleEnd {
    fn raise(ends: &mut BTreeMap<Place, Offset>, place: Place, end: Offset) {
        let known = ends.entry(place).or_default();
        *known = (*known).max(end);
    }

    /// What was only in memory is gone, and so is what retention did last: it may be done again.
    fn forget_unstored(&mut self) {
        for (place, known) in &mut self.known {
            known.start = 0;
            let stored = self.stored.get(place).copied().unwrap_or(known.start);
            known.end = known.end.min(stored.max(known.start));
        }
        self.acknowledged.clone_from(&self.stored);
    }

    fn bounds(
        &mut self,
        place: Place,
        bounds: &Range<Offset>,
        is_held: bool,
    ) -> Result<(), String> {
        let known = self.known.entry(place).or_insert(bounds.start..bounds.end);
        if bounds.start < known.start || bounds.end < known.end || bounds.start > bounds.end {
            return Err(format!("the bounds of {place:?} went from {known:?} to {bounds:?}"));
        }
        *known = bounds.clone();
        match self.acknowledged.get(&place) {
            Some(end) if *end > bounds.end && !is_held => {
                Err(format!("{place:?} ends at {}, acknowledged up to {end}", bounds.end))
            }
            _ => Ok(()),
        }
    }
}

impl Checker for VisibleEnd {
    fn name(&self) -> &'static str {
        "the visible end never goes back"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::Bounds { place, bounds, is_held } => self.bounds(*place, bounds, *is_held),
            Event::Survey { place, bounds, seen, is_held, .. } => {
                self.bounds(*place, bounds, *is_held)?;
                match seen.iter().find(|it| !bounds.contains(&it.offset)) {
                    Some(it) => Err(format!("offset {} is outside of {bounds:?}", it.offset)),
                    None => Ok(()),
                }
            }
            Event::Acknowledged { place, offset, numbers, moment } => {
                let end = offset + numbers.len() as u64;
                VisibleEnd::raise(&mut self.acknowledged, *place, end);
                if *moment == Moment::AfterCommit {
                    VisibleEnd::raise(&mut self.stored, *place, end);
                }
                Ok(())
            }
            Event::Told { place, seen, moment: Moment::AfterCommit } => {
                let end = seen.last().map_or(0, |it| it.offset + 1);
                VisibleEnd::raise(&mut self.stored, *place, end);
                Ok(())
            }
            Event::Stored => {
                for (place, bounds) in &self.known {
                    VisibleEnd::raise(&mut self.stored, *place, bounds.end);
                }
                Ok(())
            }
            Event::Ended { how: End::Crash | End::Kill } => {
                self.forget_unstored();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
