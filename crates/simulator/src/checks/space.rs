//! A full disk refuses and recovers: as soon as there is space again, appends succeed.

use super::{Checker, Event};
use crate::book::Book;

pub struct Space;

impl Checker for Space {
    fn name(&self) -> &'static str {
        "a full log takes appends again once it has space"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::SpaceReturned { outcome: Err(why) } => Err(why.clone()),
            _ => Ok(()),
        }
    }
}
