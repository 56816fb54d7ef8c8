//! One directory on one disk: names of files, and writes that are durable when they return,
//! whichever way this disk offers. It must not know what the bytes mean.

use crate::ExtentId;
use crate::layout::{BLOCK_BYTES, round_up};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::disk::{Open, Space};
use stdx::{Disk, File};

const SUFFIX: &str = ".extent";
/// A file under this ending is not finished; it is removed when the directory is opened.
const SUFFIX_UNFINISHED: &str = ".new";
pub const LOCK_NAME: &str = "LOCK";
/// Bytes per write of anything that is not a commit.
const CHUNK_BYTES: usize = 1 << 20;

pub struct Device {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    is_direct: bool,
}

/// A failed durable write, by whether the bytes had reached the kernel.
#[derive(Debug)]
pub enum WriteError {
    /// Refused for want of space. A part may have been written all the same.
    Full(io::Error),
    /// What is on disk is unknown.
    Failed(io::Error),
}

impl Device {
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Device {
        let align = disk.direct_align(dir);
        let is_direct = align.is_some_and(|align| align > 0 && BLOCK_BYTES.is_multiple_of(align));
        Device { disk, dir: dir.to_owned(), is_direct }
    }

    pub fn is_direct(&self) -> bool {
        self.is_direct
    }

    pub fn path(&self, id: ExtentId) -> PathBuf {
        self.dir.join(format!("{id}{SUFFIX}"))
    }

    pub fn path_unfinished(&self, id: ExtentId) -> PathBuf {
        self.dir.join(format!("{id}{SUFFIX_UNFINISHED}"))
    }

    pub fn open_reading(&self, id: ExtentId) -> io::Result<Arc<dyn File>> {
        self.disk.open(&self.path(id), Open::Read)
    }

    /// An extent that is there: one that was removed must not come back as an empty file.
    pub fn open_existing(&self, id: ExtentId) -> io::Result<Arc<dyn File>> {
        self.open_reading(id)?;
        self.open_writing(&self.path(id))
    }

    /// Makes the file when it is missing.
    pub fn open_writing(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.open(path, if self.is_direct { Open::Direct } else { Open::Write })
    }

    /// Writes whole blocks from an aligned buffer; durable on return.
    pub fn write(&self, file: &dyn File, blocks: &[u8], at: u64) -> Result<(), WriteError> {
        file.write_at(blocks, at).map_err(|error| {
            if is_full(&error) { WriteError::Full(error) } else { WriteError::Failed(error) }
        })?;
        if !self.is_direct {
            // Whatever a flush says, the kernel may have dropped the pages: never retried.
            file.flush().map_err(WriteError::Failed)?;
        }
        Ok(())
    }

    /// Writes any bytes to a block boundary, padded with zeros to whole blocks; durable on return.
    pub fn write_padded(&self, file: &dyn File, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut buffer = Blocks::new(CHUNK_BYTES.min(bytes.len()));
        let mut at = at;
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let padded = round_up(chunk.len() as u64) as usize;
            let out = buffer.first_mut(padded);
            out[..chunk.len()].copy_from_slice(chunk);
            out[chunk.len()..].fill(0);
            self.write(file, out, at).map_err(WriteError::into_io)?;
            at += padded as u64;
        }
        Ok(())
    }

    pub fn rename_finished(&self, id: ExtentId) -> io::Result<()> {
        self.disk.rename(&self.path_unfinished(id), &self.path(id))?;
        self.disk.flush_dir(&self.dir)
    }

    pub fn remove(&self, id: ExtentId) -> io::Result<()> {
        self.disk.remove(&self.path(id))?;
        self.disk.flush_dir(&self.dir)
    }

    pub fn remove_unfinished(&self, id: ExtentId) -> io::Result<()> {
        self.disk.remove(&self.path_unfinished(id))
    }

    /// The extents in the directory, in order; unfinished files are removed on the way.
    pub fn list(&self) -> io::Result<Vec<ExtentId>> {
        let mut ids = Vec::new();
        for name in self.disk.list(&self.dir)? {
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(SUFFIX_UNFINISHED) {
                self.disk.remove(&self.dir.join(name))?;
            }
            let number = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok());
            ids.extend(number.map(ExtentId));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    pub fn space(&self) -> io::Result<Space> {
        self.disk.space(&self.dir)
    }
}

impl WriteError {
    pub fn into_io(self) -> io::Error {
        match self {
            WriteError::Full(error) | WriteError::Failed(error) => error,
        }
    }
}

/// No space on the device, or the owner's share of it is used up.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Memory that begins on a block boundary, as direct writes want it.
pub struct Blocks {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Blocks {
    pub fn new(len: usize) -> Blocks {
        let len = round_up(len as u64) as usize;
        let bytes = vec![0; len + BLOCK_BYTES];
        // On the machines we run on this is an offset below the alignment; were it not, direct
        // writes would be refused by the kernel, not be wrong.
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Blocks { bytes, start, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The first `len` bytes; `len` is at most what the buffer was made with.
    pub fn first_mut(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= self.len, "{len} bytes asked of a buffer of {}", self.len);
        &mut self.bytes[self.start..self.start + len]
    }
}
