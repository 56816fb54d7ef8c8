//! A failed write or flush is final: nothing is acknowledged after it until the log is opened
//! anew, whatever later calls of the disk say.

use super::{Checker, Event, Moment};
use crate::book::{Book, Place, Seen};
use std::collections::BTreeSet;
use types::Offset;

#[derive(Default)]
pub struct Poison {
    has_failed: bool,
    /// Those who were told that they are stored; they may have waited for a transaction to end.
    acknowledged: BTreeSet<(Place, Offset)>,
}

impl Checker for Poison {
    fn name(&self) -> &'static str {
        "nothing is acknowledged after a failed flush"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::CommitFailed => self.has_failed = true,
            Event::Opened | Event::Ended { .. } => self.has_failed = false,
            Event::Acknowledged { place, offset, moment: Moment::AfterCommit, .. }
                if self.has_failed =>
            {
                return Err(format!("offset {offset} of {place:?} was acknowledged all the same"));
            }
            Event::Acknowledged { place, offset, numbers, .. } => {
                let offsets = *offset..*offset + numbers.len() as u64;
                self.acknowledged.extend(offsets.map(|offset| (*place, offset)));
            }
            Event::Told { place, seen, moment: Moment::AfterCommit } if self.has_failed => {
                let is_known = |it: &Seen| self.acknowledged.contains(&(*place, it.offset));
                if seen.iter().all(is_known) {
                    return Ok(());
                }
                return Err(format!("records of {place:?} became visible all the same"));
            }
            _ => {}
        }
        Ok(())
    }
}
