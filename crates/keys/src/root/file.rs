//! The root key in a file of 32 bytes that only its owner may read, and the one being rotated to
//! beside it. It must not know the ring.

use crate::error::KeysError;
use crate::folder::{self, Old, folder_of};
use crate::secret::{SECRET_BYTES, Secret};
use std::path::{Path, PathBuf};
use stdx::Disk;
use stdx::disk::Open;
use zeroize::Zeroizing;

/// Anybody else's access, and writing by the group. Reading by the group is left to the operator,
/// because mounted secrets often have it.
const FORBIDDEN_MODE: u32 = 0o027;

/// `None` when there is no file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Secret>, KeysError> {
    let failed = KeysError::io("reading the root key", path);
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = disk.mode(path).map_err(&failed)?;
    if mode & FORBIDDEN_MODE != 0 {
        return Err(KeysError::Permissions { path: path.to_owned(), mode: mode & 0o777 });
    }
    // One byte more than belongs there tells a file that is too long.
    let mut bytes = Zeroizing::new([0; SECRET_BYTES + 1]);
    let count = file.read_at(&mut bytes[..], 0).map_err(&failed)?;
    let key = bytes.get(..count).and_then(Secret::from_slice);
    key.map(Some).ok_or_else(|| KeysError::RootLength(path.to_owned()))
}

/// Writes the file whole and durably, in place of what was there.
pub(crate) fn write(disk: &dyn Disk, path: &Path, key: &Secret) -> Result<(), KeysError> {
    let folder = folder_of(path);
    disk.create_dir(folder).map_err(KeysError::io("making the folder of the root key", folder))?;
    folder::replace(disk, path, key.bytes(), Old::Overwritten)
        .map_err(KeysError::io("writing the root key", path))
}

/// Where the next root key waits until the ring is under it.
pub(crate) fn staged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

/// The staged key takes the place of the one before, whose bytes are overwritten.
pub(crate) fn switch(disk: &dyn Disk, path: &Path) -> Result<(), KeysError> {
    folder::rename(disk, &staged(path), path, Old::Overwritten)
        .map_err(KeysError::io("putting the next root key in place of", path))
}

pub(crate) fn drop_staged(disk: &dyn Disk, path: &Path) -> Result<(), KeysError> {
    let staged = staged(path);
    folder::destroy(disk, &staged).map_err(KeysError::io("removing", &staged))
}
