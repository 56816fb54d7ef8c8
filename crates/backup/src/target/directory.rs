//! Backups in a directory. A file is written under a name that does not count, flushed, renamed and
//! its name flushed: whatever happens, it is there whole or not at all.

use super::{Claim, Target, Writing};
use crate::BackupError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::disk::Open;
use stdx::{Disk, File};

/// What an unfinished file's name ends with.
const UNFINISHED: &str = ".unfinished";
const LOCK: &str = "LOCK";

pub struct Directory {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Directory {
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Directory, BackupError> {
        disk.create_dir(dir).map_err(BackupError::io(dir.display().to_string()))?;
        Ok(Directory { disk, dir: dir.to_owned() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn place(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Target for Directory {
    fn describe(&self) -> String {
        self.dir.display().to_string()
    }

    fn begin(&self, name: &str) -> Result<Box<dyn Writing>, BackupError> {
        let unfinished = self.path(&format!("{name}{UNFINISHED}"));
        let failed = || BackupError::io(self.place(name));
        let file = self.disk.open(&unfinished, Open::Write).map_err(failed())?;
        file.set_len(0).map_err(failed())?;
        let (disk, dir) = (Arc::clone(&self.disk), self.dir.clone());
        let path = self.path(name);
        Ok(Box::new(Unfinished { disk, dir, file, unfinished: Some(unfinished), path, len: 0 }))
    }

    fn read(&self, name: &str, at: u64, bytes_max: usize) -> Result<Vec<u8>, BackupError> {
        let file = self.disk.open(&self.path(name), Open::Read);
        let file = file.map_err(BackupError::io(self.place(name)))?;
        let mut bytes = vec![0; bytes_max];
        let read = file.read_at(&mut bytes, at).map_err(BackupError::io(self.place(name)))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn list(&self) -> Result<Vec<String>, BackupError> {
        let names = self.disk.list(&self.dir).map_err(BackupError::io(self.describe()))?;
        let mut names: Vec<String> = names
            .into_iter()
            .filter_map(|name| name.to_str().map(str::to_owned))
            .filter(|name| !name.ends_with(UNFINISHED) && name != LOCK)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<(), BackupError> {
        match self.disk.remove(&self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BackupError::io(self.place(name))(error))
            }
            _ => self.disk.flush_dir(&self.dir).map_err(BackupError::io(self.describe())),
        }
    }

    fn claim(&self) -> Result<Claim, BackupError> {
        let lock = self.disk.lock(&self.path(LOCK)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => BackupError::Busy,
            _ => BackupError::io(self.place(LOCK))(error),
        })?;
        for name in self.disk.list(&self.dir).map_err(BackupError::io(self.describe()))? {
            if name.to_str().is_some_and(|name| name.ends_with(UNFINISHED)) {
                self.disk.remove(&self.dir.join(name)).map_err(BackupError::io(self.describe()))?;
            }
        }
        Ok(Claim::Sole(lock))
    }
}

struct Unfinished {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Arc<dyn File>,
    /// Taken when it is renamed.
    unfinished: Option<PathBuf>,
    path: PathBuf,
    len: u64,
}

impl Writing for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let place = self.path.display().to_string();
        self.file.write_at(bytes, self.len).map_err(BackupError::io(place))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), BackupError> {
        let place = || BackupError::io(self.path.display().to_string());
        self.file.flush().map_err(place())?;
        if let Some(unfinished) = &self.unfinished {
            self.disk.rename(unfinished, &self.path).map_err(place())?;
        }
        self.disk.flush_dir(&self.dir).map_err(place())?;
        self.unfinished = None;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(unfinished) = self.unfinished.take() {
            // What cannot be removed now is removed by the next backup.
            let _ = self.disk.remove(&unfinished);
        }
    }
}
