//! No record is there twice: wherever a record is seen, it is in the one place it got.

use super::{Checker, Event, sightings};
use crate::book::{Book, Place};
use std::collections::BTreeMap;
use types::Offset;

#[derive(Default)]
pub struct Once(BTreeMap<u64, (Place, Offset)>);

impl Checker for Once {
    fn name(&self) -> &'static str {
        "no record is there twice"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        for it in sightings(event) {
            let Some(number) = it.number else { continue };
            let place = *self.0.entry(number).or_insert((it.place, it.offset));
            if place != (it.place, it.offset) {
                let now = (it.place, it.offset);
                return Err(format!("record {number} was at {place:?} and is at {now:?}"));
            }
        }
        Ok(())
    }
}
