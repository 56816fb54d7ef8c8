//! The machine's own disk, through plain system calls. It decides nothing: which way of writing is
//! safe and fast is probed here and chosen by the caller.

use super::{Disk, File, Lock, Open, Space};
use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::{self, Advice, AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, StatxFlags};
use rustix::io::{Errno, pread, pwrite};
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Direct writes are made in units of at least this many bytes, whatever the device would allow:
/// a smaller unit makes the device read the rest of its block first.
const DIRECT_ALIGN_MIN: usize = 4096;
/// A device that wants more than this is written through the page cache.
const DIRECT_ALIGN_MAX: usize = 4096;

/// A read this large is asked of the device as a whole: it costs a quarter of the CPU then.
const AHEAD_BYTES_MIN: usize = 256 * 1024;

#[derive(Debug, Default)]
pub struct SystemDisk;

impl SystemDisk {
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(SystemDisk)
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let flags = match how {
            Open::Read => OFlags::RDONLY,
            Open::Write => OFlags::RDWR | OFlags::CREATE,
            Open::Direct => OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT | OFlags::DSYNC,
        };
        let fd = fs::open(path, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
        Ok(Arc::new(SystemFile { fd }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                names.push(PathBuf::from(entry.file_name()));
            }
        }
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<_> = dir.ancestors().take_while(|path| !is_there(path)).collect();
        std::fs::create_dir_all(dir)?;
        // The outermost first: a name is worth nothing in a directory that may go.
        for made in missing.iter().rev() {
            let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
            self.flush_dir(parent.unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn flush_dir(&self, dir: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(fs::fsync(fs::open(dir, flags, Mode::empty())?)?)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let answer = fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
        Ok(Space { total_bytes: bytes(answer.f_blocks), free_bytes: bytes(answer.f_bavail) })
    }

    fn direct_align(&self, dir: &Path) -> Option<usize> {
        let path = dir.join(format!(".probe-{}", std::process::id()));
        let answer = probe(&path).unwrap_or(None);
        // A probe that could not even be created leaves nothing to remove.
        let _ = std::fs::remove_file(&path);
        answer
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(fs::stat(path)?.st_mode & 0o7777)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        match fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(SystemLock { _fd: fd })),
            Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The empty path is what a relative one starts from.
fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

/// Asks the file system, then really writes: some accept the flag and refuse the write.
fn probe(path: &Path) -> io::Result<Option<usize>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT | OFlags::DSYNC | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    let answer = fs::statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
    if StatxFlags::from_bits_retain(answer.stx_mask).contains(StatxFlags::DIOALIGN) {
        let wanted = answer.stx_dio_mem_align.max(answer.stx_dio_offset_align) as usize;
        if wanted == 0 || wanted > DIRECT_ALIGN_MAX {
            return Ok(None);
        }
    }
    let buffer = vec![0u8; 2 * DIRECT_ALIGN_MIN];
    let start = buffer.as_ptr().align_offset(DIRECT_ALIGN_MIN);
    let Some(block) = buffer.get(start..start.saturating_add(DIRECT_ALIGN_MIN)) else {
        return Ok(None);
    };
    let written = pwrite(&fd, block, 0)?;
    Ok((written == DIRECT_ALIGN_MIN).then_some(DIRECT_ALIGN_MIN))
}

struct SystemLock {
    /// The kernel gives the lock up when the descriptor closes, also when the process is killed.
    _fd: OwnedFd,
}

impl Lock for SystemLock {}

struct SystemFile {
    fd: OwnedFd,
}

impl File for SystemFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match pread(&self.fd, &mut buffer[done..], at + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    fn read_onto(&self, buffer: &mut Vec<u8>, at: u64) -> io::Result<usize> {
        let start = buffer.len();
        let room = buffer.capacity() - start;
        if room >= AHEAD_BYTES_MIN {
            // In one go, not by the kernel's small steps. It is a wish: what comes of it is read.
            let _ = fs::fadvise(&self.fd, at, NonZeroU64::new(room as u64), Advice::WillNeed);
        }
        while buffer.len() < buffer.capacity() {
            let done = buffer.len() - start;
            match pread(&self.fd, spare_capacity(buffer), at + done as u64) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(buffer.len() - start)
    }

    fn write_at(&self, buffer: &[u8], at: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match pwrite(&self.fd, &buffer[done..], at + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(fs::fdatasync(&self.fd)?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(fs::fstat(&self.fd)?.st_size).unwrap_or(0))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(fs::ftruncate(&self.fd, len)?)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match fs::fallocate(&self.fd, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            // The file system cannot promise space; the writes will tell.
            Err(Errno::OPNOTSUPP) if self.len()? < len => self.set_len(len),
            Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
