//! The durable log on one device: frames of every stream appended to shared, recycled extents by
//! one writer, one flush for everybody who waits, footers off the acknowledged path, recovery by
//! scan.
//! This crate must not know what a record, a topic name or a protocol is: a stream is two numbers,
//! a tenant is whose key seals a frame, a frame's body is opaque bytes, and the disk, the clock,
//! the keys and randomness are injected.
#![forbid(unsafe_code)]

mod append;
mod cache;
mod cipher;
mod device;
mod driver;
mod entry;
mod error;
mod extent;
mod group;
mod index;
mod inner;
mod keys;
mod layout;
mod lookup;
pub mod offline;
mod open;
mod options;
mod pin;
mod pool;
mod prepare;
mod read;
mod recovery;
mod report;
mod rewrite;
mod rot;
mod scan;
mod seal;
mod sealers;
mod siblings;
mod store;
mod unseal;
mod vault;
mod writer;

pub use driver::Driver;
pub use entry::{Entry, ExtentId, Frame, Location, Span, StreamId};
pub use error::StoreError;
pub use extent::Expiring;
pub use group::{Arrivals, GROUP_BYTES_MAX, Group, LONE_FRAME_BYTES_MIN, Source};
pub use keys::{DATA_KEY_BYTES, DataKey, DataKeys, ExtentRef, KeyError, WRAPPED_BYTES, WrappedKey};
pub use options::{Options, World};
pub use pin::{ExtentCut, Pin, PinLost};
pub use report::{Damage, DamagedRange, Recovery, Stats};
pub use rewrite::{REWRITE_EXTENTS_MAX, Rewrite, Rewritten, SealedExtent};
pub use store::Store;
pub use writer::Writer;

#[cfg(test)]
mod tests;
