//! No offset is given to two records: what anybody once saw at an offset is there or gone, and
//! never another record, also after a crash that lost it.

use super::{Checker, Event, sightings};
use crate::book::{Book, Place};
use std::collections::BTreeMap;
use types::Offset;

#[derive(Default)]
pub struct Offsets(BTreeMap<(Place, Offset), Option<u64>>);

impl Checker for Offsets {
    fn name(&self) -> &'static str {
        "no offset is used twice"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        for it in sightings(event) {
            let before = *self.0.entry((it.place, it.offset)).or_insert(it.number);
            if before != it.number {
                let (place, offset, now) = (it.place, it.offset, it.number);
                return Err(format!(
                    "offset {offset} of {place:?} was record {before:?} and is {now:?}"
                ));
            }
        }
        Ok(())
    }
}
