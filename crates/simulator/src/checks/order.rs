//! Records of a partition are in the order in which they were published, and so are those of each
//! key. Numbers rise with every publish, so they rise with the offsets.

use super::{Checker, Event};
use crate::book::{Book, Seen};

pub struct Order;

fn check(seen: &[Seen]) -> Result<(), String> {
    for pair in seen.windows(2) {
        let [one, next] = pair else { continue };
        if one.offset >= next.offset {
            return Err(format!("offset {} comes before {}", one.offset, next.offset));
        }
        if one.number >= next.number {
            return Err(format!(
                "record {:?} at offset {} comes before record {:?} at offset {}",
                one.number, one.offset, next.number, next.offset
            ));
        }
    }
    Ok(())
}

impl Checker for Order {
    fn name(&self) -> &'static str {
        "records keep the order of their partition and key"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::Told { seen, .. } | Event::Read { seen, .. } | Event::Survey { seen, .. } => {
                check(seen)
            }
            Event::OfKey { found, .. } => check(found),
            _ => Ok(()),
        }
    }
}
