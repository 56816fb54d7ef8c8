//! Where a durable consumer stands, as pure state: what it has been given, what came back, what is
//! due again, what has failed for good; and the bytes all that is kept as. It does no IO, has no
//! clock of its own, and must not know who may consume what or where its bytes are stored.
#![forbid(unsafe_code)]

mod book;
mod codec;
mod ledger;
mod letter;
mod ranges;
#[cfg(test)]
mod tests;

pub use book::{Book, Due, Keep, Place, Refused, Terms};
pub use codec::Kept;
pub use ledger::{Counts, Ledger};
pub use letter::{Letter, bury, unbury, without_letter};
pub use ranges::{RANGES_MAX, Ranges};
