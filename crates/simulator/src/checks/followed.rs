//! A follower is given each partition in order, from where it began on, without a gap and nothing
//! twice: live or lagging, and over the ends of processes, when it goes on from its cursors. It is
//! given nothing that is not visible to everybody.

use super::{Checker, Event};
use crate::book::{Book, Place, Seen};
use std::collections::BTreeMap;
use std::ops::Range;
use types::{Key, Offset};

#[derive(Debug, Default)]
struct Follower {
    key: Option<Key>,
    next: BTreeMap<Place, Offset>,
}

#[derive(Default)]
pub struct Followed {
    /// By partition, what readers see: offsets with the numbers of the records.
    visible: BTreeMap<Place, BTreeMap<Offset, Option<u64>>>,
    followers: BTreeMap<u64, Follower>,
    is_unsound: bool,
}

impl Followed {
    /// The first record that the follower wants, from its place on.
    fn wanted(&self, follower: &Follower, place: Place, book: &Book) -> Option<Offset> {
        let next = *follower.next.get(&place)?;
        let is_wanted = |number: Option<u64>| {
            let made = number.and_then(|number| book.get(number));
            let key = made.and_then(|made| made.record.key.as_ref());
            follower.key.is_none() || follower.key.as_ref() == key
        };
        let mut visible = self.visible.get(&place)?.range(next..);
        visible.find(|(_, number)| is_wanted(**number)).map(|(offset, _)| *offset)
    }

    fn given(&mut self, who: u64, place: Place, it: &Seen, book: &Book) -> Result<(), String> {
        let Some(follower) = self.followers.get(&who) else {
            return Err(format!("{who} is given {} and follows nothing", it.offset));
        };
        let wanted = self.wanted(follower, place, book);
        if wanted != Some(it.offset) {
            let text = format!("{who} is given {} of {place:?}", it.offset);
            let next = follower.next.get(&place);
            return Err(format!("{text} instead of {wanted:?}, standing at {next:?}"));
        }
        if let Some(follower) = self.followers.get_mut(&who) {
            follower.next.insert(place, it.offset + 1);
        }
        Ok(())
    }

    /// Nothing that is there may be called undone, nor what the follower has not come to.
    fn undone(&mut self, who: u64, place: Place, lost: &Range<Offset>) -> Result<(), String> {
        let visible = self.visible.get(&place).and_then(|it| it.range(lost.clone()).next());
        let next = self.followers.get_mut(&who).and_then(|it| it.next.get_mut(&place));
        match next {
            Some(next) if visible.is_none() && lost.start <= *next => {
                *next = lost.start;
                Ok(())
            }
            next => {
                let next = next.copied();
                Err(format!("{who} at {next:?} is told that {lost:?} of {place:?} is no more"))
            }
        }
    }
}

impl Checker for Followed {
    fn name(&self) -> &'static str {
        "followers are given everything once and in order"
    }

    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String> {
        if matches!(event, Event::Unsound) {
            self.is_unsound = true;
        }
        if self.is_unsound {
            return Ok(());
        }
        match event {
            Event::Told { place, seen, .. } => {
                let visible = self.visible.entry(*place).or_default();
                visible.extend(seen.iter().map(|it| (it.offset, it.number)));
            }
            Event::Survey { place, seen, .. } => {
                let visible = seen.iter().map(|it| (it.offset, it.number)).collect();
                self.visible.insert(*place, visible);
            }
            Event::Following { who, key, starts } => {
                let next = starts.iter().copied().collect();
                self.followers.insert(*who, Follower { key: key.cloned(), next });
            }
            Event::Followed { who, place, seen } => self.given(*who, *place, seen, book)?,
            Event::Undone { who, place, lost } => self.undone(*who, *place, lost)?,
            Event::FollowerLost { who, why, has_excuse: false } => {
                return Err(format!("{who} follows no more: {why}"));
            }
            Event::HasEverything { who } => {
                let Some(follower) = self.followers.get(who) else { return Ok(()) };
                for place in follower.next.keys() {
                    if let Some(offset) = self.wanted(follower, *place, book) {
                        return Err(format!("{who} was never given {offset} of {place:?}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
