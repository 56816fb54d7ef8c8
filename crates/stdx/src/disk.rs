//! The disk behind a trait: exactly the calls a durable log needs, all blocking, so that a
//! simulated disk can tear, delay, reorder, flip and refuse each of them. Callers keep blocking
//! calls off asynchronous threads themselves.

mod system;

pub use system::SystemDisk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened. Creating an existing file or opening a missing one is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Existing, for reading only, through the page cache.
    Read,
    /// Existing or new, read and write, through the page cache; durable after `flush`.
    Write,
    /// As `Write`, but each `write_at` is itself durable when it returns (`O_DIRECT|O_DSYNC`):
    /// buffers, offsets and lengths must be multiples of `Disk::direct_align`.
    Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

/// Held while a process owns a directory; dropping it gives the directory up.
pub trait Lock: Send + Sync {}

pub trait Disk: Send + Sync + 'static {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    /// File names (not paths) in a directory, in no order. Directories are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes the directory and those above it that are missing; their names are durable on return.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes creations, removals and renames in `dir` durable.
    fn flush_dir(&self, dir: &Path) -> io::Result<()>;
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// Alignment for `Open::Direct` in this directory in bytes, or `None` when it cannot be used
    /// there.
    fn direct_align(&self, dir: &Path) -> Option<usize>;
    /// The file's permission bits, as in `chmod`. A disk that has none says that only the owner
    /// reads and writes.
    fn mode(&self, path: &Path) -> io::Result<u32> {
        let _ = path;
        Ok(0o600)
    }
    /// Takes the directory for this process; `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

pub trait File: Send + Sync {
    /// Reads until the buffer is full or the file ends; answers how much was read.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// As `read_at`, behind what the buffer holds and up to its capacity, which need not be
    /// initialised before.
    fn read_onto(&self, buffer: &mut Vec<u8>, at: u64) -> io::Result<usize> {
        let start = buffer.len();
        buffer.resize(buffer.capacity(), 0);
        let read = buffer.get_mut(start..).map_or(Ok(0), |room| self.read_at(room, at));
        buffer.truncate(start + read.as_ref().map_or(0, |count| *count));
        read
    }
    /// Writes the whole buffer or fails; after a failure what is on disk is unknown.
    fn write_at(&self, buffer: &[u8], at: u64) -> io::Result<()>;
    /// Everything written so far is durable when this returns. A failure is final for the file:
    /// the kernel may have dropped the dirty pages, so a later success proves nothing.
    fn flush(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file at least `len` long and takes the space for it now, so that writing there
    /// cannot run out of space later. What is read there is zero.
    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.len()? < len { self.set_len(len) } else { Ok(()) }
    }
}
