//! The audit trail as records: a chain of hashes on the topic `$audit` of the platform's own
//! project, checked link by link, and brought to receivers outside. `tenancy` writes a record in
//! the transaction of what it tells of; this crate carries it to the log and from there on. It must
//! not know what an action means, nor who may read the trail.
//!
//! `trail` is the topic; `worker` brings records to it; `verify` walks the chain; `format` says how
//! a record is written for others; `ship` takes it there; `report` adds up.
#![forbid(unsafe_code)]

mod config;
mod format;
mod report;
mod ship;
#[cfg(test)]
mod tests;
mod trail;
mod verify;
mod worker;

pub use config::{Config, Destination, FileSink, HookSink, Sink, SyslogSink, Transport};
pub use format::{Format, syslog};
pub use report::{Outcomes, Report, compile};
pub use ship::{BadSink, Shipper};
pub use trail::{Entry, Trail};
pub use verify::{Broken, Expected, PartVerdict, Place, Verdict};
pub use worker::{AuditWorker, Turn};
