//! The closed set of what can go wrong in the store. It must not know who asked or how the error is
//! shown; the event log maps each kind.

use crate::{ExtentId, KeyError};
use std::io;
use types::TenantId;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process owns the directory.
    #[error("another process holds the log in this directory")]
    Locked,
    /// No space for more; nothing of the group was written. Later groups succeed once space
    /// returns.
    #[error("the log has no space left: {0}")]
    Full(String),
    /// A write or flush failed, so what is on disk is unknown; the store takes nothing more until
    /// it is opened anew. Reads go on.
    #[error("the log failed and takes no more appends: {0}")]
    Failed(String),
    /// The bytes there are not what was acknowledged. They are never cut, skipped or repaired.
    #[error("extent {extent} is damaged at byte {position}: {reason}")]
    Damaged { extent: ExtentId, position: u64, reason: &'static str },
    /// No such extent, or it holds nothing of that stream.
    #[error("extent {0} is not there or holds nothing of that stream")]
    NotFound(ExtentId),
    /// The extent was released and is used again, or waits to be.
    #[error("extent {0} was released")]
    Recycled(ExtentId),
    /// The extent is still written to or its footer is, so it cannot be released yet.
    #[error("extent {0} is still in use")]
    InUse(ExtentId),
    /// The frame does not fit an extent. Only this frame was refused.
    #[error("a frame of {bytes} bytes is larger than the {bytes_max} allowed")]
    TooLarge { bytes: u64, bytes_max: u64 },
    /// There is no key for the tenant's frames in that extent. Reading: the frame is whole and
    /// cannot be opened. Appending: nothing of the group was written; the tenant's frames are
    /// refused, the others may be pushed again.
    #[error("extent {extent}: {error}")]
    NoKey { tenant: Option<TenantId>, extent: ExtentId, error: KeyError },
    /// A system call failed while reading or opening.
    #[error("{operation}: {message}")]
    Io { operation: &'static str, message: String },
    /// The directory or an option is not what this version can work with.
    #[error("{0}")]
    Format(String),
}

impl StoreError {
    pub(crate) fn io(operation: &'static str) -> impl Fn(io::Error) -> StoreError {
        move |error| StoreError::Io { operation, message: error.to_string() }
    }
}
