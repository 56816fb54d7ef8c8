//! Nothing fails without a reason: an error that blames the disk comes only when the disk did
//! something wrong.

use super::{Checker, Event};
use crate::book::Book;

pub struct Excuses;

impl Checker for Excuses {
    fn name(&self) -> &'static str {
        "nothing fails without a fault"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::Trouble { what, error, has_excuse: false } => {
                Err(format!("{what}: {error}, and no fault had struck"))
            }
            _ => Ok(()),
        }
    }
}
