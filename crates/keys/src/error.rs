//! What can be wrong with the keys, for people: each names the file or setting and says what to do.
//! No secret is ever part of one.

use crate::ring::RingFault;
use crate::root::RootKind;
use std::io;
use std::path::{Path, PathBuf};
use types::TenantId;

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("{doing} {path}: {cause}", path = .path.display())]
    Io { doing: &'static str, path: PathBuf, cause: io::Error },
    #[error(
        "the keys in {place} are in use by another process: stop it, or ask it (the command \
         without --offline)",
        place = .0.display()
    )]
    Locked(PathBuf),
    #[error(
        "the root key {path} is open to others (mode {mode:o}): take the access away with \
         `chmod 600`",
        path = .path.display()
    )]
    Permissions { path: PathBuf, mode: u32 },
    #[error(
        "the root key {path} must have exactly 32 bytes; put the right file back",
        path = .0.display()
    )]
    RootLength(PathBuf),
    #[error(
        "the root key {root} is missing, and the key ring {ring} needs it: put the file back from \
         your copy. No other is made, because nothing could be read with it",
        root = .root.display(), ring = .ring.display()
    )]
    RootMissing { root: PathBuf, ring: PathBuf },
    #[error(
        "the key ring {ring} was made under another root key ({needed}), not under the one \
         configured ({given}): put the right one into `encryption.root`, or restore the ring that \
         belongs to this root key. Nothing was changed",
        ring = .ring.display()
    )]
    WrongRoot { ring: PathBuf, needed: String, given: String },
    #[error(
        "the ring key in {path} does not open under its root key: the file was changed or damaged; \
         restore it from an export (`mainstem keys-at-rest import`)",
        path = .0.display()
    )]
    RingKey(PathBuf),
    #[error(
        "the key file {path}: {fault}. Restore it from an export (`mainstem keys-at-rest import`)",
        path = .path.display()
    )]
    Damaged { path: PathBuf, fault: RingFault },
    #[error(
        "the table of rewrapped keys {path} is missing, and {tenant}'s records need it: put it \
         back from an export (`mainstem keys-at-rest import`)",
        path = .path.display()
    )]
    TableMissing { path: PathBuf, tenant: TenantId },
    #[error(
        "the log holds records of {tenant} sealed under keys that the ring {ring} does not have \
         ({count} data keys in all): restore the newest copy of the ring, or give the tenant up \
         with `mainstem keys-at-rest shred --offline`",
        ring = .ring.display()
    )]
    Orphaned { ring: PathBuf, tenant: TenantId, count: usize },
    #[error(
        "the log holds sealed records, but the key ring {ring} is missing: put it and its root \
         key back from your copy, or import an export. No new one is made, because nothing could \
         be read with it",
        ring = .ring.display()
    )]
    RingMissing { ring: PathBuf },
    #[error("`encryption.{key}`: {message}")]
    Setting { key: String, message: String },
    #[error("the vault at {address}: {message}")]
    Vault { address: String, message: String },
    #[error(
        "a {kind} root key has nothing to rotate to: name the new one in `encryption.next`, \
         restart and ask again",
        kind = .0.name()
    )]
    NothingNext(RootKind),
    #[error(
        "the ring is under the root key of `encryption.next` already: move it to \
         `encryption.root` and restart"
    )]
    AlreadyNext,
    #[error("the ring has no keys of {0}: it never stored a record")]
    Unknown(TenantId),
    #[error("the keys of {0} were shredded")]
    Shredded(TenantId),
    #[error(
        "that is the node's own key, for what the log keeps of itself: it can be rotated, not \
         shredded"
    )]
    Node,
    #[error("the export cannot be used: {0}")]
    Export(String),
    #[error("the ring holds {0} tenants and takes no more")]
    Full(usize),
    #[error("the log is not open yet")]
    NoLog,
    #[error("the log's data keys cannot be listed: {0}")]
    Log(String),
}

impl KeysError {
    /// For `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> KeysError + use<> {
        let path = path.to_owned();
        move |cause| KeysError::Io { doing, path: path.clone(), cause }
    }

    pub(crate) fn damaged(path: &Path) -> impl Fn(RingFault) -> KeysError + use<> {
        let path = path.to_owned();
        move |fault| KeysError::Damaged { path: path.clone(), fault }
    }

    pub(crate) fn setting(key: &str, message: impl Into<String>) -> KeysError {
        KeysError::Setting { key: key.to_owned(), message: message.into() }
    }
}
