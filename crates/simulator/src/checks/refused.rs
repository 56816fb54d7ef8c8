//! A publisher that was told that nothing was appended is right: such a record never appears. Only
//! when the log failed nobody knows.

use super::{Checker, Event, sightings};
use crate::book::Book;
use eventlog::LogError;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Refused(BTreeMap<u64, LogError>);

impl Checker for Refused {
    fn name(&self) -> &'static str {
        "a refused record never appears"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        if let Event::Refused { numbers, error, .. } = event {
            let is_certain = matches!(
                error,
                LogError::Full
                    | LogError::Busy
                    | LogError::TooLarge
                    | LogError::TopicUnknown
                    | LogError::PartitionUnknown
            );
            if is_certain {
                self.0.extend(numbers.iter().map(|&number| (number, (*error).clone())));
            }
        }
        for it in sightings(event) {
            let Some(error) = it.number.and_then(|number| self.0.get(&number)) else { continue };
            let (place, offset) = (it.place, it.offset);
            return Err(format!("offset {offset} of {place:?} was refused: {error}"));
        }
        Ok(())
    }
}
