//! The trail on the real hub and log, its check against every kind of tampering, and receivers that
//! take it.

mod chain;
mod format;
mod part;
mod report;
mod rig;
mod ship;
