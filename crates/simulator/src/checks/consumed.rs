//! A durable consumer's place never goes back: what was acknowledged is not delivered again,
//! whatever ends in between, nobody else is given what is leased, and in the end every record was
//! delivered and acknowledged or lies in the dead letters.

use super::{Checker, Event};
use crate::book::{Book, Place};
use port::consumers::Settled;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::Offset;

/// Of a consumer, a record.
type Due = (u64, Place, Offset);

#[derive(Default)]
pub struct Consumed {
    visible: BTreeMap<Place, BTreeSet<Offset>>,
    acknowledged: BTreeSet<Due>,
    /// Acknowledgements without an answer.
    perhaps: BTreeSet<Due>,
    dead: BTreeSet<Due>,
    leased: BTreeMap<Due, Duration>,
    committed: BTreeMap<(u64, Place), Offset>,
    is_unsound: bool,
}

impl Consumed {
    fn delivered(&mut self, due: Due, now: Duration, until: Duration) -> Result<(), String> {
        let (consumer, place, offset) = due;
        let text = format!("{consumer} is given {offset} of {place:?}");
        if !self.visible.get(&place).is_some_and(|visible| visible.contains(&offset)) {
            return Err(format!("{text}, which nobody else sees"));
        }
        if self.acknowledged.contains(&due) {
            return Err(format!("{text}, which it has acknowledged"));
        }
        if self.dead.contains(&due) {
            return Err(format!("{text}, which is a dead letter"));
        }
        match self.leased.insert(due, until) {
            Some(lease) if lease > now => Err(format!("{text}, which is leased until {lease:?}")),
            _ => Ok(()),
        }
    }

    fn settled(&mut self, due: Due, how: &Settled, now: Duration) {
        match how {
            Settled::Acknowledged => drop(self.acknowledged.insert(due)),
            Settled::Dead => drop(self.dead.insert(due)),
            Settled::Extended { lease } => {
                self.leased.insert(due, now + *lease);
                return;
            }
            Settled::Retries { .. } => {}
        }
        self.leased.remove(&due);
    }

    fn check_all(&self, consumer: u64, letters: &BTreeSet<(Place, Offset)>) -> Result<(), String> {
        let of = |due: &&Due| due.0 == consumer;
        if let Some((_, place, offset)) =
            self.dead.iter().filter(of).find(|it| !letters.contains(&(it.1, it.2)))
        {
            return Err(format!("{offset} of {place:?} is not among {consumer}'s dead letters"));
        }
        let places = self.committed.keys().filter(|(of, _)| *of == consumer);
        for (_, place) in places {
            for offset in self.visible.get(place).into_iter().flatten() {
                let due = (consumer, *place, *offset);
                let is_done = self.acknowledged.contains(&due)
                    || self.perhaps.contains(&due)
                    || letters.contains(&(*place, *offset));
                if !is_done {
                    return Err(format!("{consumer} was never given {offset} of {place:?}"));
                }
            }
        }
        Ok(())
    }
}

impl Checker for Consumed {
    fn name(&self) -> &'static str {
        "a consumer's place never goes back"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        if matches!(event, Event::Unsound) {
            self.is_unsound = true;
        }
        if self.is_unsound {
            return Ok(());
        }
        match event {
            Event::Told { place, seen, .. } => {
                let visible = self.visible.entry(*place).or_default();
                visible.extend(seen.iter().map(|it| it.offset));
            }
            Event::Survey { place, seen, .. } => {
                self.visible.insert(*place, seen.iter().map(|it| it.offset).collect());
            }
            Event::Ended { .. } => self.leased.clear(),
            Event::Leased { consumer, place, seen, now, until } => {
                self.delivered((*consumer, *place, seen.offset), *now, *until)?;
            }
            Event::Settled { consumer, place, offset, how, now } => {
                self.settled((*consumer, *place, *offset), how, *now);
            }
            Event::SettledPerhaps { consumer, place, offset } => {
                self.perhaps.insert((*consumer, *place, *offset));
            }
            Event::Committed { consumer, place, committed } => {
                let known = self.committed.insert((*consumer, *place), *committed);
                if let Some(known) = known.filter(|known| known > committed) {
                    let text = "went back";
                    return Err(format!(
                        "{consumer} {text} from {known} to {committed} in {place:?}"
                    ));
                }
            }
            Event::AllConsumed { consumer, letters } => self.check_all(*consumer, letters)?,
            _ => {}
        }
        Ok(())
    }
}
