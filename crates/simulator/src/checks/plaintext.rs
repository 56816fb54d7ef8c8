//! Nothing readable is on the disk: what every record says in plain is in no file of a log whose
//! records are sealed.

use super::{Checker, Event};
use crate::book::{Book, CANARY};

pub struct Plaintext;

impl Checker for Plaintext {
    fn name(&self) -> &'static str {
        "no plaintext is on the disk"
    }

    fn see(&mut self, event: &Event<'_>, _: &Book) -> Result<(), String> {
        match event {
            Event::File { path, bytes } => match memchr::memmem::find(bytes, CANARY) {
                Some(at) => Err(format!("byte {at} of {}", path.display())),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
