//! What is read is what was published, byte for byte, and in the partition it was published to:
//! damage on the disk is told, never served, and no tenant sees another's records.

use super::{Checker, Event};
use crate::book::{Book, Place, Seen};

pub struct Content;

fn check(place: Place, it: &Seen, book: &Book) -> Result<(), String> {
    let offset = it.offset;
    let made = it.number.and_then(|number| book.get(number));
    let made = made.ok_or_else(|| format!("offset {offset} of {place:?} was never published"))?;
    if made.place != place {
        let wanted = made.place;
        return Err(format!("offset {offset} of {place:?} was published to {wanted:?}"));
    }
    let (found, wanted) = (&it.record, &made.record);
    let is_same = found.key == wanted.key
        && found.value == wanted.value
        && found.headers == wanted.headers
        && wanted.timestamp.is_none_or(|timestamp| timestamp == it.timestamp);
    if !is_same {
        return Err(format!("offset {offset} of {place:?} is not as it was published"));
    }
    Ok(())
}

impl Checker for Content {
    fn name(&self) -> &'static str {
        "what is read is what was published"
    }

    fn see(&mut self, event: &Event<'_>, book: &Book) -> Result<(), String> {
        let (place, seen) = match event {
            Event::Told { place, seen, .. }
            | Event::Read { place, seen, .. }
            | Event::Survey { place, seen, .. }
            | Event::OfKey { place, found: seen, .. } => (*place, *seen),
            Event::Followed { place, seen, .. } | Event::Leased { place, seen, .. } => {
                (*place, std::slice::from_ref(*seen))
            }
            _ => return Ok(()),
        };
        seen.iter().try_for_each(|it| check(place, it, book))
    }
}
