//! Why a backup or a restore did not happen, in words for an operator: which file, and what to do.

use port::{Code, Refusal};
use std::io;
use storage::PinLost;

#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    /// Something is not what it must be; nothing was changed.
    #[error("{what}; {advice}")]
    Refused { what: String, advice: String },
    /// No such backup, or no such file where one should be.
    #[error("{0} is not there")]
    Missing(String),
    #[error("no space left at {0}")]
    Space(String),
    #[error("{place}: {message}")]
    Io { place: String, message: String },
    #[error("another backup is under way")]
    Busy,
    #[error("the backup was cancelled")]
    Cancelled,
    #[error("the backup was given up: {0}")]
    Lost(#[from] PinLost),
    #[error("the log: {0}")]
    Log(#[from] eventlog::LogError),
    #[error("the log: {0}")]
    Store(#[from] storage::StoreError),
    #[error("the metadata: {0}")]
    Records(#[from] tenancy::TenancyError),
}

impl BackupError {
    pub fn refused(what: impl Into<String>, advice: impl Into<String>) -> BackupError {
        BackupError::Refused { what: what.into(), advice: advice.into() }
    }

    pub(crate) fn io(place: impl Into<String>) -> impl FnOnce(io::Error) -> BackupError {
        let place = place.into();
        move |error| match error.kind() {
            io::ErrorKind::NotFound => BackupError::Missing(place),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::Space(place),
            _ => BackupError::Io { place, message: error.to_string() },
        }
    }
}

impl From<BackupError> for Refusal {
    fn from(error: BackupError) -> Refusal {
        let message = error.to_string();
        match error {
            BackupError::Refused { what, advice } => {
                Refusal::new(Code::Conflict, what).hint(advice)
            }
            BackupError::Missing(_) => Refusal::new(Code::NotFound, message),
            BackupError::Busy => Refusal::new(Code::Conflict, message)
                .hint("wait for it, or cancel it with `mainstem backup cancel`"),
            BackupError::Space(_) => {
                Refusal::new(Code::StorageFull, message).hint("make room, or name another target")
            }
            BackupError::Records(error) => error.into(),
            _ => Refusal::new(Code::Conflict, message).hint("try again"),
        }
    }
}
