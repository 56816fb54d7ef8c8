//! The report that somebody hands to an auditor: who may do what now, what changed in a period,
//! what was approved, refused and configured, what the security checks find, and how much of the
//! trail's chain was checked. Pure: facts and records go in, one value comes out, and the text that
//! people read is made of that same value. It must not read anything, nor decide who may have a
//! report.
#![forbid(unsafe_code)]

mod access;
mod collect;
mod markdown;
mod period;
mod report;
#[cfg(test)]
mod tests;

pub use access::{Access, KeyAccess, OperatorAccess, PersonAccess, ProviderAccess, RoleAccess};
pub use access::{SigningKeyAccess, Standing};
pub use collect::{Act, ActCount, Collector, ElevatedAct, ElevatedKind, Line, Refused, Totals};
pub use markdown::markdown;
pub use period::{BadPeriod, Moment, PERIOD_DAYS_MAX, Period};
pub use report::{ChainBreak, ChainMark, ChainPart, Facts, FindingState, Findings, Made, Report};
pub use report::{Section, Subject, assemble};

/// Entries of one section; a fuller one says that it was cut, and how the rest is had.
pub const ENTRIES_MAX: usize = 1_000;
/// Lines of a list of counts.
pub const LINES_MAX: usize = 100;
/// Records of one outcome that are read for one report.
pub const RECORDS_MAX: usize = 100_000;
/// Bytes of an act's details; of larger ones the report holds the size, and the trail the rest.
pub const DETAILS_BYTES_MAX: usize = 1_024;
