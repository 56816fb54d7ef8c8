//! What can go wrong in the store, and how a client is told. The database's own words stay in the
//! log: they may quote rows of somebody else.

use port::{Code, Refusal};
use sea_orm::{DbErr, RuntimeErr, SqlErr};
use std::time::Duration;

/// What a client is advised to wait when the database does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TenancyError {
    /// The database does not answer, or has no connection to give; trying again may help.
    #[error("the metadata database does not answer: {0}")]
    Unreachable(String),
    /// No such row in this tenant.
    #[error("no such {what}")]
    NotFound { what: &'static str },
    /// A unique name or identifier is taken, or the row's state does not allow the change.
    #[error("{message}")]
    Conflict { field: Option<&'static str>, message: String },
    /// A limit of the project is reached.
    #[error("the project may have {max} {what}")]
    LimitReached { what: &'static str, max: u64 },
    /// The caller's value is not acceptable.
    #[error("{message}")]
    Invalid { field: &'static str, message: String },
    /// An idempotency key came again with another request.
    #[error("the idempotency key was used with another request")]
    RequestReused,
    /// A row holds what this version cannot read.
    #[error("a stored row is not readable: {0}")]
    Corrupt(String),
    /// Everything else: a fault of ours.
    #[error("the metadata database failed: {0}")]
    Database(String),
}

impl TenancyError {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> TenancyError {
        TenancyError::Invalid { field, message: message.into() }
    }

    pub(crate) fn conflict(field: &'static str, message: impl Into<String>) -> TenancyError {
        TenancyError::Conflict { field: Some(field), message: message.into() }
    }

    pub(crate) fn state(message: impl Into<String>) -> TenancyError {
        TenancyError::Conflict { field: None, message: message.into() }
    }

    /// Trying the same call again may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, TenancyError::Unreachable(_))
    }
}

fn is_unreachable(error: &RuntimeErr) -> bool {
    use sea_orm::sqlx::Error;
    let RuntimeErr::SqlxError(error) = error else { return false };
    match error.as_ref() {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed => true,
        Error::WorkerCrashed | Error::Protocol(_) => true,
        // Class 08 is connection trouble, 57P01..57P03 a server going down or coming up, 53300 a
        // server without free connections, 40001 and 40P01 a transaction that lost a race; 5 and 6
        // are SQLite's busy and locked.
        Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08")
                || matches!(
                    code.as_ref(),
                    "57P01" | "57P02" | "57P03" | "53300" | "40001" | "40P01" | "5" | "6"
                )
        }),
        _ => false,
    }
}

impl From<DbErr> for TenancyError {
    fn from(error: DbErr) -> TenancyError {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => {
                return TenancyError::state("the name or identifier is taken");
            }
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => {
                return TenancyError::state("something else still refers to it, or it is gone");
            }
            _ => {}
        }
        match &error {
            DbErr::ConnectionAcquire(_) => TenancyError::Unreachable(error.to_string()),
            // A wrong password, name or URL does not get better by waiting.
            DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause)
                if is_unreachable(cause) =>
            {
                TenancyError::Unreachable(error.to_string())
            }
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => {
                TenancyError::Corrupt(error.to_string())
            }
            _ => TenancyError::Database(error.to_string()),
        }
    }
}

impl From<TenancyError> for Refusal {
    fn from(error: TenancyError) -> Refusal {
        let message = error.to_string();
        match error {
            TenancyError::Unreachable(cause) => {
                tracing::warn!(%cause, "the metadata database does not answer");
                Refusal::new(Code::DatabaseConnectionError, "the metadata database does not answer")
                    .hint("try again")
                    .retry_around(RETRY_AFTER)
            }
            TenancyError::NotFound { what: "topic" } => Refusal::new(Code::TopicNotFound, message),
            TenancyError::NotFound { .. } => Refusal::new(Code::NotFound, message),
            TenancyError::Conflict { field, message } => {
                let refusal = Refusal::new(Code::Conflict, message);
                match field {
                    Some(field) => refusal.field(field),
                    None => refusal,
                }
            }
            TenancyError::LimitReached { .. } => Refusal::new(Code::ProjectLimitExceeded, message)
                .hint("delete what is not needed or ask for a higher limit"),
            TenancyError::Invalid { field, message } => {
                Refusal::new(Code::InvalidRequest, message).field(field)
            }
            TenancyError::RequestReused => Refusal::new(Code::IdempotencyKeyReused, message)
                .field("Idempotency-Key")
                .hint("use a new key for a new request"),
            TenancyError::Corrupt(_) | TenancyError::Database(_) => Refusal::internal(&message),
        }
    }
}
