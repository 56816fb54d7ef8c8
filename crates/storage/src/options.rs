//! What the store is told from outside: the world it runs in and its sizes. It must not read any
//! configuration itself.

use crate::{DataKeys, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use stdx::{Clock, Disk, Rng};

/// Everything that is not computation.
#[derive(Clone)]
pub struct World {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    /// The keys that seal what is stored. Without them new frames are plain.
    pub keys: Option<Arc<dyn DataKeys>>,
}

pub const EXTENT_BYTES_MIN: u32 = 1 << 20;
pub const EXTENT_BYTES_MAX: u32 = 1 << 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the extents are; created when missing. Nothing else belongs there.
    pub dir: PathBuf,
    /// Size of an extent's file, a multiple of 1 MiB from 1 MiB to 1 GiB. Existing extents of
    /// another size stay readable.
    pub extent_bytes: u32,
    /// How many free, already written extents are kept ahead of need once the log is in use.
    pub pool_extents: u32,
    /// How fast free extents are written ahead while the writer is not waiting for them.
    pub prepare_bytes_per_second: u64,
    /// Memory for footers of sealed extents read from disk.
    pub footer_cache_bytes: u64,
    /// Appends are refused while the file system has less free space than this.
    pub free_bytes_min: u64,
}

impl Options {
    /// The defaults: 256 MiB extents, one kept ready, 64 MiB of footers cached, 256 MiB kept free.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options {
            dir: dir.into(),
            extent_bytes: 256 << 20,
            pool_extents: 1,
            prepare_bytes_per_second: 96 << 20,
            footer_cache_bytes: 64 << 20,
            free_bytes_min: 256 << 20,
        }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let sizes = EXTENT_BYTES_MIN..=EXTENT_BYTES_MAX;
        if !sizes.contains(&self.extent_bytes)
            || !self.extent_bytes.is_multiple_of(EXTENT_BYTES_MIN)
        {
            let text = "extent_bytes must be a multiple of 1 MiB from 1 MiB to 1 GiB";
            return Err(StoreError::Format(text.to_owned()));
        }
        Ok(())
    }
}
