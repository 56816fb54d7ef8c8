//! Where owner and workers meet: a socket in a directory that only their user may enter, and a
//! secret of this start. Reading of whole frames.

use crate::frame;
use crate::wire::{Coded, Context};
use aws_lc_rs::constant_time;
use bytes::BytesMut;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use stdx::Rng;
use tokio::net::{UnixListener, UnixStream};

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 32;
/// Nobody but the owner of the directory enters it.
const DIRECTORY_MODE: u32 = 0o700;
/// Read at once from the socket.
const CHUNK_BYTES: usize = 256 * 1024;

/// Where a worker finds the owner, and what it shows there.
#[derive(Clone)]
pub struct Address {
    pub path: PathBuf,
    pub secret: [u8; SECRET_BYTES],
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.path.display())
    }
}

impl Address {
    pub fn is_secret(&self, shown: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.secret, shown).is_ok()
    }
}

/// Listens in a directory of its own below `parent`; what an earlier start left there goes.
pub fn listen(parent: &Path, rng: &dyn Rng) -> io::Result<(UnixListener, Address)> {
    let directory = parent.join("processes");
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(&directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(DIRECTORY_MODE))?;
    if fs::symlink_metadata(&directory)?.mode() & 0o170_777 != 0o040_700 {
        let message = format!("{} is not a directory of its own", directory.display());
        return Err(io::Error::other(message));
    }
    let path = directory.join("owner.sock");
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    let mut secret = [0; SECRET_BYTES];
    rng.fill(&mut secret);
    Ok((UnixListener::bind(&path)?, Address { path, secret }))
}

/// Reads frames one after the other.
pub struct Frames<'a> {
    socket: &'a UnixStream,
    input: BytesMut,
    context: Context,
}

impl<'a> Frames<'a> {
    pub fn new(socket: &'a UnixStream, context: Context) -> Frames<'a> {
        Frames { socket, input: BytesMut::new(), context }
    }

    /// The next frame; `None` when the other end is gone.
    pub async fn next<T: Coded>(&mut self) -> io::Result<Option<T>> {
        loop {
            let frame = frame::next(&mut self.input, &self.context);
            match frame.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))? {
                Some(frame) => return Ok(Some(frame)),
                None => self.socket.readable().await?,
            }
            self.input.reserve(CHUNK_BYTES);
            match self.socket.try_read_buf(&mut self.input) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_end(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
