//! Only what a bound allows is removed, and only while retention runs: the start of a partition
//! moves for no other reason.

use super::{Checker, Event};
use crate::book::{Book, Place, Seen};
use std::collections::BTreeMap;
use types::{Key, Offset, TimestampMs};

#[derive(Default)]
pub struct Retention {
    times: BTreeMap<Place, BTreeMap<Offset, Known>>,
    starts: BTreeMap<Place, Offset>,
}

struct Known {
    timestamp: TimestampMs,
    key: Option<Key>,
}

fn known(it: &Seen) -> (Offset, Known) {
    (it.offset, Known { timestamp: it.timestamp, key: it.record.key.clone() })
}

impl Checker for Retention {
    fn name(&self) -> &'static str {
        "retention removes only what it may"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::Told { place, seen, .. } => {
                self.times.entry(*place).or_default().extend(seen.iter().map(known));
            }
            // What a crash lost, or what is damaged, goes with its neighbours.
            Event::Survey { place, seen, .. } => {
                self.times.insert(*place, seen.iter().map(known).collect());
            }
            Event::Maintained { place, gone, allowed, .. } => {
                self.starts.insert(*place, gone.end);
                if allowed.by_bytes {
                    return Ok(());
                }
                let times = self.times.entry(*place).or_default();
                for (offset, Known { timestamp, key }) in times.range(gone.clone()) {
                    let is_replaced =
                        || key.is_some() && times.range(offset + 1..).any(|it| it.1.key == *key);
                    if allowed.compacts && is_replaced() {
                        continue;
                    }
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
