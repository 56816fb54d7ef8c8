//! The durable log on one device: frames of every stream appended to shared, recycled extents by one
//! writer, one flush for everybody who waits, footers off the acknowledged path, recovery by scan.
//! This crate must not know what a record, a topic name, a tenant or a protocol is: a stream is two
//! numbers, a frame's body is opaque bytes, and the disk, the clock and randomness are injected.
#![forbid(unsafe_code)]

mod entry;
mod error;
mod group;
mod options;
mod store;

pub use entry::{Entry, ExtentId, Frame, Location, Span, StreamId};
pub use error::StoreError;
pub use group::{GROUP_BYTES_MAX, Group, LONE_FRAME_BYTES_MIN, Source};
pub use options::{Options, World};
pub use store::{Damage, DamagedRange, Recovery, Stats, Store, Writer};
