//! A producer is nobody else: its number is given once and each of its epochs once, also over
//! restarts; and who was replaced, or has committed, begins nothing in that epoch any more.

use super::{Checker, Event};
use crate::book::Book;
use std::collections::BTreeMap;
use types::Producer;

#[derive(Default)]
pub struct Producers {
    /// By number, the greatest epoch given.
    given: BTreeMap<i64, i16>,
    /// By number, the least epoch that may begin.
    begins: BTreeMap<i64, i16>,
}

impl Checker for Producers {
    fn name(&self) -> &'static str {
        "no producer is given twice"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::Producer { given, of: None, .. } => match self
                .given
                .insert(given.id, given.epoch)
            {
                None => Ok(()),
                Some(epoch) => Err(format!("{given:?} is new, and was in epoch {epoch} before")),
            },
            Event::Producer { given, of: Some(of), is_stored } => {
                if *is_stored {
                    let least = self.begins.entry(of.id).or_default();
                    *least = (*least).max(of.epoch + 1);
                }
                let known = self.given.insert(given.id, given.epoch);
                let is_next = given.id == of.id && given.epoch > of.epoch;
                match known.filter(|known| *known < given.epoch) {
                    Some(_) if is_next => Ok(()),
                    _ => Err(format!("{given:?} follows {of:?}, and {known:?} was given")),
                }
            }
            Event::Began { producer: Producer { id, epoch } } => {
                match self.begins.get(id).filter(|least| epoch < least) {
                    Some(least) => Err(format!("{id} begins in {epoch}, though {least} is known")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
