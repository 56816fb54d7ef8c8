//! Only what a bound allows is removed, and only while retention runs: the start of a partition
//! moves for no other reason.

use super::{Checker, Event};
use crate::book::{Book, Place};
use std::collections::BTreeMap;
use types::{Offset, TimestampMs};

#[derive(Default)]
pub struct Retention {
    timestamps: BTreeMap<Place, BTreeMap<Offset, TimestampMs>>,
    starts: BTreeMap<Place, Offset>,
}

impl Checker for Retention {
    fn name(&self) -> &'static str {
        "retention removes only what it may"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::Told { place, seen, .. } => {
                let times = seen.iter().map(|it| (it.offset, it.timestamp));
                self.timestamps.entry(*place).or_default().extend(times);
            }
            // What a crash lost, or what is damaged, goes with its neighbours.
            Event::Survey { place, seen, .. } => {
                let times = seen.iter().map(|it| (it.offset, it.timestamp));
                self.timestamps.insert(*place, times.collect());
            }
            Event::Maintained { place, gone, allowed, .. } => {
                self.starts.insert(*place, gone.end);
                if allowed.by_bytes {
                    return Ok(());
                }
                let times = self.timestamps.entry(*place).or_default();
                for (offset, timestamp) in times.range(gone.clone()) {
                    if allowed.before.is_none_or(|before| *timestamp >= before) {
                        return Err(format!(
                            "offset {offset} of {place:?} from {timestamp} is gone: {allowed:?}"
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
