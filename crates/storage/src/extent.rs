//! One extent in use, as everybody but the writer sees it: which generation, where its knowledge
//! is, and how its bytes are read. A recycled file is another `Extent`.

use crate::device::Device;
use crate::index::LiveIndex;
use crate::layout::trailer::Trailer;
use crate::layout::{BLOCK_BYTES, Seal};
use crate::{ExtentId, ExtentRef, StoreError};
use parking_lot::{Mutex, RwLock};
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use stdx::File;
use types::TimestampMs;

pub struct Extent {
    pub id: ExtentId,
    pub seal: Seal,
    /// Length of the file: shrinks when a mostly empty extent is sealed.
    pub len: AtomicU64,
    /// Up to here the file holds acknowledged commits, padding included.
    pub data_end: AtomicU64,
    /// How far the file was ever written, for the pool when it is released.
    pub prepared_bytes: AtomicU64,
    pub knowledge: RwLock<Knowledge>,
    /// What only the collector asks.
    pub origin: Origin,
    /// How many streams and frames it holds, once it takes no more.
    pub shape: OnceLock<Shape>,
    pub expiring: OnceLock<Expiring>,
    /// Held while a sealed file is cut or given away, so that neither happens during the other.
    pub file_lock: Mutex<()>,
    /// Held while the index is rebuilt from the frames; true once that has found damage.
    pub is_rebuild_hopeless: Mutex<bool>,
    reader: OnceLock<Arc<dyn File>>,
}

/// Where an extent comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its place among the extents, by the age of what they hold.
    pub order: u64,
    pub created: TimestampMs,
    pub is_rewritten: bool,
}

/// Frames that are kept only until some time: rewriting the extent after it leaves them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiring {
    /// Milliseconds since 1970.
    pub at: TimestampMs,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub streams: u64,
    pub frames: u64,
}

pub enum Knowledge {
    Live { index: LiveIndex, phase: Phase },
    Sealed(Trailer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The writer adds to it.
    Open,
    /// Full; its footer is still to be written.
    Sealing,
    /// Keeps its index in memory: the data is damaged, or the footer could not be written.
    Kept,
}

impl Extent {
    pub fn new(id: ExtentId, seal: Seal, len: u64, origin: Origin, knowledge: Knowledge) -> Extent {
        Extent {
            id,
            origin,
            shape: OnceLock::new(),
            expiring: OnceLock::new(),
            seal,
            len: AtomicU64::new(len),
            data_end: AtomicU64::new(BLOCK_BYTES as u64),
            prepared_bytes: AtomicU64::new(0),
            knowledge: RwLock::new(knowledge),
            file_lock: Mutex::new(()),
            is_rebuild_hopeless: Mutex::new(false),
            reader: OnceLock::new(),
        }
    }

    pub fn reference(&self) -> ExtentRef {
        ExtentRef { id: self.id, generation: self.seal.generation }
    }

    /// So many bytes of the file, which is opened at the first use: most extents of a large log
    /// are never read.
    pub fn read_exact(&self, device: &Device, len: usize, at: u64) -> Result<Vec<u8>, StoreError> {
        let file = match self.reader.get() {
            Some(file) => file,
            None => {
                let file = device.open_reading(self.id).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => StoreError::Recycled(self.id),
                    _ => StoreError::io("opening an extent")(error),
                })?;
                self.reader.get_or_init(|| file)
            }
        };
        let mut bytes = Vec::with_capacity(len);
        let read = file.read_onto(&mut bytes, at).map_err(StoreError::io("reading an extent"))?;
        if read < len {
            return Err(self.damaged(at + read as u64, "the file is cut short"));
        }
        // There may have been more room than was asked for.
        bytes.truncate(len);
        Ok(bytes)
    }

    pub fn damaged(&self, position: u64, reason: &'static str) -> StoreError {
        StoreError::Damaged { extent: self.id, position, reason }
    }
}
