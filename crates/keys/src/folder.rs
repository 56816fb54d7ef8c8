//! Files that are replaced whole: read, replace atomically, destroy. It must not know what is in
//! them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::disk::Open;
use stdx::{Disk, File};

/// What becomes of the bytes a file had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    Left,
    /// They are overwritten once nothing needs them. As good as can be done from here: file systems
    /// that copy on write, and flash that remaps its blocks, keep old bytes until they are reused.
    Overwritten,
}

/// `None` when there is none; an error when it has more than `bytes_max`.
pub(crate) fn read(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > bytes_max {
        let message = format!("it has {len} bytes, and at most {bytes_max} make sense");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    // Fits: bounded by what the caller allows, which is far below the address space.
    let mut bytes = vec![0; len as usize];
    let count = file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(Some(bytes))
}

/// The name of what is about to replace a file.
pub(crate) fn new_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// On return the file is durable with these bytes. After an error, and after a crash at any moment,
/// it has its old bytes or the new ones, whole.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], old: Old) -> io::Result<()> {
    let new = new_name(path);
    write(disk, &new, bytes)?;
    rename(disk, &new, path, old)
}

/// Moves a flushed file to another name, durably; what had the name before is gone.
pub(crate) fn rename(disk: &dyn Disk, from: &Path, to: &Path, old: Old) -> io::Result<()> {
    let before = match old {
        Old::Left => None,
        Old::Overwritten => existing(disk, to)?,
    };
    disk.rename(from, to)?;
    disk.flush_dir(folder_of(to))?;
    if let Some(before) = before
        && let Err(error) = overwrite(&*before)
    {
        tracing::warn!(path = %to.display(), %error, "the old bytes could not be overwritten");
    }
    Ok(())
}

/// Overwrites and removes; nothing to do when it is not there.
pub(crate) fn destroy(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let Some(file) = existing(disk, path)? else { return Ok(()) };
    if let Err(error) = overwrite(&*file) {
        tracing::warn!(path = %path.display(), %error, "the bytes could not be overwritten");
    }
    disk.remove(path)?;
    disk.flush_dir(folder_of(path))
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// For writing; opening for writing alone would make one.
fn existing(disk: &dyn Disk, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
    match disk.open(path, Open::Read) {
        Ok(_) => disk.open(path, Open::Write).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.open(path, Open::Write)?;
    // What an earlier attempt left may be longer.
    file.set_len(0)?;
    file.write_at(bytes, 0)?;
    file.flush()
}

fn overwrite(file: &dyn File) -> io::Result<()> {
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let zeros = vec![0; len.min(1 << 20)];
    let mut at = 0;
    while at < len {
        let part = zeros.len().min(len - at);
        file.write_at(&zeros[..part], at as u64)?;
        at += part;
    }
    file.flush()
}
