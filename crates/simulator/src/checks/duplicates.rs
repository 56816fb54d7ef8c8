//! A record with an id is stored once: within its topic's window no second place has the same id,
//! and whoever publishes it again is told the first place, also after a restart. In a topic that
//! acknowledges before it stores, the crash that loses a record may leave its id. What damage took
//! is not known any more.

use super::{Checker, Event, Moment, Sighting, sightings};
use crate::book::{Book, Id, Place};
use crate::plan::End;
use std::collections::{BTreeMap, BTreeSet};
use types::{Offset, TimestampMs, TopicId};

/// Where a record with an id is.
#[derive(Debug, Clone, Copy)]
struct Spot {
    place: Place,
    offset: Offset,
    number: u64,
    at: TimestampMs,
    is_stored: bool,
}

#[derive(Default)]
pub struct Duplicates {
    spots: BTreeMap<(TopicId, u64), Vec<Spot>>,
    /// What anybody saw, by place: the id, if the record has one.
    seen: BTreeMap<(Place, Offset), Option<u64>>,
    /// Where duplicates were said to be that nobody has seen there yet.
    promised: BTreeMap<(Place, Offset), u64>,
    /// Topics that acknowledged records before they were stored.
    loose: BTreeSet<TopicId>,
    is_unsound: bool,
    has_jumped: bool,
}

/// Windows below this mean little to a clock that jumps by hours.
const JUMP_WINDOW_MS_MIN: u64 = 12 * 3_600_000;

impl Duplicates {
    fn note(&mut self, it: &Sighting, id: Option<Id>, at: TimestampMs) -> Result<(), String> {
        let (place, offset) = (it.place, it.offset);
        self.seen.insert((place, offset), id.map(|id| id.number));
        if let Some(promised) = self.promised.remove(&(place, offset))
            && id.map(|id| id.number) != Some(promised)
        {
            return Err(format!("offset {offset} of {place:?} was said to have id {promised}"));
        }
        let (Some(id), Some(number)) = (id, it.number) else { return Ok(()) };
        if id.window_ms == 0 || (self.has_jumped && id.window_ms < JUMP_WINDOW_MS_MIN) {
            return Ok(());
        }
        let spots = self.spots.entry((place.0, id.number)).or_default();
        let spot = Spot { place, offset, number, at, is_stored: true };
        if spots.iter().any(|known| (known.place, known.offset) == (place, offset)) {
            return Ok(());
        }
        let is_within = |known: &&Spot| {
            let (early, late) =
                if known.number < number { (**known, spot) } else { (spot, **known) };
            late.at.saturating_sub(early.at) <= id.window_ms as i64
        };
        if let Some(known) = spots.iter().find(is_within) {
            return Err(format!("id {} is stored twice: {known:?} and {spot:?}", id.number));
        }
        spots.push(spot);
        Ok(())
    }

    fn answered(&mut self, at: (Place, Offset), id: u64) -> Result<(), String> {
        let (place, offset) = at;
        match self.seen.get(&at) {
            Some(seen) if *seen != Some(id) => {
                Err(format!("id {id} was said to be at {offset} of {place:?}, where {seen:?} is"))
            }
            Some(_) => Ok(()),
            None => {
                self.promised.insert(at, id);
                Ok(())
            }
        }
    }

    /// What a crash may take.
    fn unstore(&mut self, place: Place, offset: Offset) {
        self.loose.insert(place.0);
        let spots = self.spots.values_mut().flatten();
        let found = spots.into_iter().filter(|it| (it.place, it.offset) == (place, offset));
        found.for_each(|spot| spot.is_stored = false);
    }

    fn survey(&self, event: &Event<'_>) -> Result<(), String> {
        let Event::Survey { place, bounds, damaged, .. } = event else { return Ok(()) };
        if self.loose.contains(&place.0) || !damaged.is_empty() {
            return Ok(());
        }
        let range = (*place, bounds.start)..(*place, bounds.end);
        match self.promised.range(range).next() {
            Some(((_, offset), id)) => {
                Err(format!("id {id} was said to be at {offset} of {place:?}, and nothing is"))
            }
            None => Ok(()),
        }
    }
}

impl Checker for Duplicates {
    fn name(&self) -> &'static str {
        "an id is stored once within its window"
    }

    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String> {
        if matches!(event, Event::Unsound) {
            self.is_unsound = true;
        }
        if self.is_unsound {
            return Ok(());
        }
        for it in sightings(event) {
            let made = it.number.and_then(|number| book.get(number));
            let (id, at) = made.map_or((None, 0), |made| (made.id, made.at));
            self.note(&it, id, at)?;
        }
        match event {
            Event::Told { place, seen, moment: Moment::AtOnce } => {
                seen.iter().for_each(|it| self.unstore(*place, it.offset));
            }
            Event::ClockJumped => self.has_jumped = true,
            Event::Stored => {
                let spots = self.spots.values_mut().flatten();
                spots.for_each(|spot| spot.is_stored = true);
            }
            Event::Ended { how: End::Crash | End::Kill } => {
                let loose = &self.loose;
                self.promised.retain(|(place, _), _| !loose.contains(&place.0));
                let spots = self.spots.values_mut();
                spots.for_each(|spots| spots.retain(|spot| spot.is_stored));
            }
            Event::Maintained { place, gone, has_lacked_space: true, .. } => {
                let is_gone = |it: &Spot| it.place == *place && gone.contains(&it.offset);
                self.spots.values_mut().for_each(|spots| spots.retain(|spot| !is_gone(spot)));
            }
            Event::Duplicate { place, offset, id } => self.answered((*place, *offset), *id)?,
            Event::TopicDropped { topic } => {
                self.spots.retain(|(of, _), _| of != topic);
                self.promised.retain(|(place, _), _| place.0 != *topic);
            }
            _ => {}
        }
        self.survey(event)
    }
}
