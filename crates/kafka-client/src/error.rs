//! Why something was not done, and whether it is worth trying again.

use std::time::Duration;
use wire_kafka::errors as codes;
use wire_kafka::wire::Malformed;

/// An error that a broker answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Kafka's number of it.
    pub code: i16,
    pub message: Option<String>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", codes::name(self.code), self.code)?;
        match &self.message {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}

/// Shared by all who waited for the same thing, so it can be cloned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{address} cannot be reached: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("the connection is closed: {0}")]
    Closed(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("what the broker sent is no message: {0}")]
    Malformed(String),
    #[error("the broker does not serve {0} in a version that is known here")]
    Unsupported(&'static str),
    #[error("refused: {0}")]
    Refused(Refused),
    #[error("signing in failed: {0}")]
    SignIn(String),
    #[error("the settings are not right: {0}")]
    Settings(String),
    /// What was asked of this library cannot be done, or not now.
    #[error("{0}")]
    Invalid(String),
}

impl From<Malformed> for Error {
    fn from(bad: Malformed) -> Error {
        Error::Malformed(bad.to_string())
    }
}

impl Error {
    pub fn refused(code: i16, message: Option<String>) -> Error {
        Error::Refused(Refused { code, message })
    }

    /// Nothing for 0, which is no error.
    pub(crate) fn of(code: i16, message: Option<String>) -> Result<(), Error> {
        if code == codes::NONE { Ok(()) } else { Err(Error::refused(code, message)) }
    }

    /// Kafka's number, where a broker said it.
    pub fn code(&self) -> Option<i16> {
        match self {
            Error::Refused(refused) => Some(refused.code),
            _ => None,
        }
    }

    pub fn is(&self, code: i16) -> bool {
        self.code() == Some(code)
    }

    /// Whether it may go well when it is tried again.
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Closed(_) | Error::TimedOut(_) => true,
            Error::Refused(refused) => is_retriable(refused.code),
            _ => false,
        }
    }

    /// Whether nobody knows if the broker did it.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Error::Closed(_) | Error::TimedOut(_) | Error::Malformed(_) => true,
            Error::Refused(refused) => matches!(
                refused.code,
                codes::REQUEST_TIMED_OUT | codes::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            ),
            _ => false,
        }
    }

    /// Whether somebody else may lead by now, or the topic be another.
    pub(crate) fn is_misled(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Closed(_) => true,
            Error::Refused(refused) => matches!(
                refused.code,
                codes::UNKNOWN_TOPIC_OR_PARTITION
                    | codes::LEADER_NOT_AVAILABLE
                    | codes::NOT_LEADER_OR_FOLLOWER
                    | codes::REPLICA_NOT_AVAILABLE
                    | codes::KAFKA_STORAGE_ERROR
                    | codes::FENCED_LEADER_EPOCH
                    | codes::UNKNOWN_LEADER_EPOCH
                    | codes::UNKNOWN_TOPIC_ID
                    | codes::NOT_CONTROLLER
            ),
            _ => false,
        }
    }

    /// Whether somebody else may coordinate by now.
    pub(crate) fn is_uncoordinated(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Closed(_) => true,
            Error::Refused(refused) => {
                matches!(refused.code, codes::COORDINATOR_NOT_AVAILABLE | codes::NOT_COORDINATOR)
            }
            _ => false,
        }
    }
}

/// As the protocol guide marks them, and a full or slowed broker.
fn is_retriable(code: i16) -> bool {
    matches!(
        code,
        codes::CORRUPT_MESSAGE
            | codes::UNKNOWN_TOPIC_OR_PARTITION
            | codes::LEADER_NOT_AVAILABLE
            | codes::NOT_LEADER_OR_FOLLOWER
            | codes::REQUEST_TIMED_OUT
            | codes::REPLICA_NOT_AVAILABLE
            | codes::NETWORK_EXCEPTION
            | codes::COORDINATOR_LOAD_IN_PROGRESS
            | codes::COORDINATOR_NOT_AVAILABLE
            | codes::NOT_COORDINATOR
            | codes::NOT_ENOUGH_REPLICAS
            | codes::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | codes::NOT_CONTROLLER
            | codes::CONCURRENT_TRANSACTIONS
            | codes::KAFKA_STORAGE_ERROR
            | codes::FENCED_LEADER_EPOCH
            | codes::UNKNOWN_LEADER_EPOCH
            | codes::OFFSET_NOT_AVAILABLE
            | codes::UNSTABLE_OFFSET_COMMIT
            | codes::THROTTLING_QUOTA_EXCEEDED
            | codes::UNKNOWN_TOPIC_ID
    )
}
