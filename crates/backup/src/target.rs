//! Where backups are kept: a flat set of named files, each visible only when it is whole. A
//! directory or an S3-compatible store. It must not know what the files mean. All calls block.

mod directory;
mod object;

pub use directory::Directory;
pub use object::{Object, S3};

use crate::BackupError;
use std::path::PathBuf;
use std::sync::Arc;
use stdx::Disk;

/// Files are read and written in pieces of about this size.
pub const PIECE_BYTES: usize = 1 << 20;
/// More files than this are not one repository.
pub const FILES_MAX: usize = 1_000_000;

pub trait Target: Send + Sync + 'static {
    /// For people.
    fn describe(&self) -> String;
    /// A new file: nobody sees it until it is finished, and dropped it never was.
    fn begin(&self, name: &str) -> Result<Box<dyn Writing>, BackupError>;
    /// Up to `bytes_max` bytes from `at`, fewer only at the end. `Missing` without such a file.
    fn read(&self, name: &str, at: u64, bytes_max: usize) -> Result<Vec<u8>, BackupError>;
    /// The names of all finished files, in order.
    fn list(&self) -> Result<Vec<String>, BackupError>;
    /// No error when it is not there.
    fn remove(&self, name: &str) -> Result<(), BackupError>;
    /// Takes the place for writing, where it can tell; what is answered is held meanwhile.
    fn claim(&self) -> Result<Claim, BackupError>;
}

/// A place that nobody else writes to, as far as the place can tell.
pub enum Claim {
    /// Certain: what is unfinished there is nobody's.
    Sole(Box<dyn stdx::disk::Lock>),
    /// The store cannot tell.
    Shared,
}

pub trait Writing: Send {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError>;
    /// Durable and visible when this returns.
    fn finish(self: Box<Self>) -> Result<(), BackupError>;
}

/// `s3://bucket/prefix`, or the path of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Directory(PathBuf),
    S3(String),
}

impl Address {
    pub fn parse(text: &str) -> Result<Address, BackupError> {
        let refused = |what: &str| {
            let what = format!("`{text}` {what}");
            BackupError::refused(what, "name a directory by its path, or `s3://bucket/prefix`")
        };
        match text.split_once("://") {
            Some(("s3", rest)) if rest.split('/').next().is_some_and(|name| !name.is_empty()) => {
                Ok(Address::S3(text.trim_end_matches('/').to_owned()))
            }
            Some(_) => Err(refused("is no place for backups")),
            None if text.is_empty() => Err(refused("names nothing")),
            None => Ok(Address::Directory(PathBuf::from(text))),
        }
    }
}

/// Opens a place; a directory is made when it is missing. Asynchronous work of an S3 store runs on
/// `runtime`, so this and all calls belong on a thread that may block.
pub fn open(
    address: &Address,
    disk: &Arc<dyn Disk>,
    s3: &S3,
    runtime: &tokio::runtime::Handle,
) -> Result<Arc<dyn Target>, BackupError> {
    Ok(match address {
        Address::Directory(path) => Arc::new(Directory::open(Arc::clone(disk), path)?),
        Address::S3(url) => Arc::new(Object::open(url, s3, runtime.clone())?),
    })
}
