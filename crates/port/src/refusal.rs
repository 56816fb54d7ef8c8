//! Every error at the seam. `Kind` is the closed set that each protocol maps exhaustively onto its
//! own codes; `Code` is the finer, stable name that clients may match on and the docs list.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Unauthenticated,
    Forbidden,
    NotFound,
    Conflict,
    Invalid,
    TooLarge,
    RateLimited,
    QuotaExceeded,
    Overloaded,
    NotLeader,
    Unsupported,
    Unavailable,
    Internal,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal is $kind:ident;)+) => {
        /// The stable codes. Each has one kind; adding one is a user-visible change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            pub fn kind(self) -> Kind {
                match self { $(Code::$variant => Kind::$kind,)+ }
            }

            /// One sentence for the reference.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

codes! {
    /// The request carries no credential.
    CredentialMissing = "CREDENTIAL_MISSING" is Unauthenticated;
    /// The API key is malformed or unknown, or was revoked.
    InvalidApiKey = "INVALID_API_KEY" is Unauthenticated;
    /// The API key's lifetime or its grace period after rotation is over.
    ExpiredApiKey = "EXPIRED_API_KEY" is Unauthenticated;
    /// The token is malformed, not signed by a key of the project, or not meant for it.
    InvalidToken = "INVALID_TOKEN" is Unauthenticated;
    /// The token's lifetime is over.
    ExpiredToken = "EXPIRED_TOKEN" is Unauthenticated;
    /// The credential lacks the scope that the operation needs.
    InsufficientScope = "INSUFFICIENT_SCOPE" is Forbidden;
    /// No grant allows this access to the address, or one denies it.
    AddressForbidden = "ADDRESS_FORBIDDEN" is Forbidden;
    /// Web pages of this origin may not connect.
    OriginForbidden = "ORIGIN_FORBIDDEN" is Forbidden;
    /// The tenant is suspended.
    TenantSuspended = "TENANT_SUSPENDED" is Forbidden;
    /// The topic does not exist in this project.
    TopicNotFound = "TOPIC_NOT_FOUND" is NotFound;
    /// Nothing answers to this path or identifier.
    NotFound = "NOT_FOUND" is NotFound;
    /// The thing exists already, or its state does not allow the change.
    Conflict = "CONFLICT" is Conflict;
    /// The idempotency key was used before with another request.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED" is Conflict;
    /// A newer one has taken the producer's place.
    ProducerFenced = "PRODUCER_FENCED" is Conflict;
    /// A numbered batch is not the next of its producer.
    OutOfSequence = "OUT_OF_SEQUENCE" is Conflict;
    /// The producer has no transaction open.
    TransactionNotOpen = "TRANSACTION_NOT_OPEN" is Conflict;
    /// The request is malformed; `details` names the field.
    InvalidRequest = "INVALID_REQUEST" is Invalid;
    /// The request carries a field that does not exist; `details` names it.
    UnknownField = "UNKNOWN_FIELD" is Invalid;
    /// The topic name breaks the naming rule.
    InvalidTopic = "INVALID_TOPIC" is Invalid;
    /// The filter is malformed.
    InvalidFilter = "INVALID_FILTER" is Invalid;
    /// The cursor is malformed, forged, or of another project.
    InvalidCursor = "INVALID_CURSOR" is Invalid;
    /// History that the cursor has passed is no more: the log was restored to an earlier moment, or
    /// the topic was deleted and created anew.
    HistoryLost = "HISTORY_LOST" is Conflict;
    /// The value does not satisfy the topic's schema.
    InvalidEventPayload = "INVALID_EVENT_PAYLOAD" is Invalid;
    /// A new schema breaks what the topic promises towards the schema before.
    SchemaIncompatible = "SCHEMA_INCOMPATIBLE" is Conflict;
    /// The topic has no schema of this version.
    SchemaNotFound = "SCHEMA_NOT_FOUND" is NotFound;
    /// The record, frame or body is larger than allowed.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE" is TooLarge;
    /// The rate of the key or of the tenant is used up; wait as told.
    RateLimitExceeded = "RATE_LIMIT_EXCEEDED" is RateLimited;
    /// A limit of the project is reached.
    ProjectLimitExceeded = "PROJECT_LIMIT_EXCEEDED" is QuotaExceeded;
    /// What the tenant's plan or budget allows is used up; it begins anew as told.
    PlanLimitExceeded = "PLAN_LIMIT_EXCEEDED" is QuotaExceeded;
    /// The server has more work than it admits; wait as told.
    Overloaded = "OVERLOADED" is Overloaded;
    /// Another node owns the partition.
    NotLeader = "NOT_LEADER" is NotLeader;
    /// The server does not offer this operation or version.
    Unsupported = "UNSUPPORTED" is Unsupported;
    /// The disk is full: appends are refused, reads go on.
    StorageFull = "STORAGE_FULL" is Unavailable;
    /// The disk failed: the log takes no more appends until the server is started anew.
    StorageFailed = "STORAGE_FAILED" is Unavailable;
    /// The stored records of this range are damaged; they are refused rather than skipped.
    LogDamaged = "LOG_DAMAGED" is Unavailable;
    /// The records were destroyed on purpose, with the keys that sealed them.
    RecordsShredded = "RECORDS_SHREDDED" is NotFound;
    /// The key that seals the tenant's records is not available.
    KeyUnavailable = "KEY_UNAVAILABLE" is Unavailable;
    /// The metadata database does not answer.
    DatabaseConnectionError = "DATABASE_CONNECTION_ERROR" is Unavailable;
    /// A service on the network that the operation needs does not answer.
    NetworkError = "NETWORK_ERROR" is Unavailable;
    /// The server is shutting down; connect again.
    Draining = "DRAINING" is Unavailable;
    /// An operator ended the connection; connect again later.
    ClosedByOperator = "CLOSED_BY_OPERATOR" is Unavailable;
    /// A fault of the server; the request id finds it in the log.
    Internal = "INTERNAL" is Internal;
}

/// How much of a rate is left, for the standard response headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateState {
    pub limit: u32,
    pub remaining: u32,
    /// Until the full limit is available again.
    pub reset: Duration,
}

/// A refused request: what, why, and what to do. Boxed inside, because it travels in results.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    message: String,
    field: Option<String>,
    hint: Option<String>,
    retry_after: Option<Duration>,
    rate: Option<RateState>,
}

impl Refusal {
    /// `message` is shown to the client: it must hold no secret and nothing of another tenant.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal(Box::new(Inner {
            code,
            message: message.into(),
            field: None,
            hint: None,
            retry_after: None,
            rate: None,
        }))
    }

    /// Names the offending field as the client wrote it (`records[3].topic`).
    pub fn field(mut self, field: impl Into<String>) -> Refusal {
        self.0.field = Some(field.into());
        self
    }

    /// Tells what would be accepted.
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.0.hint = Some(hint.into());
        self
    }

    pub fn retry_after(mut self, wait: Duration) -> Refusal {
        self.0.retry_after = Some(wait);
        self
    }

    /// Advice against a storm: waits between `shortest` and twice that, spread evenly over those
    /// who are refused one after the other, so that they do not all come back at once.
    pub fn retry_around(self, shortest: Duration) -> Refusal {
        self.retry_after(shortest + spread(shortest))
    }

    pub fn rate(mut self, rate: RateState) -> Refusal {
        self.0.rate = Some(rate);
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    pub fn kind(&self) -> Kind {
        self.0.code.kind()
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn field_name(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub fn rate_state(&self) -> Option<RateState> {
        self.0.rate
    }

    /// A fault of ours: logged in full here, told to the client without the cause.
    pub fn internal(cause: &dyn fmt::Display) -> Refusal {
        tracing::error!(%cause, "internal fault");
        Refusal::new(Code::Internal, "the server failed to carry out the request")
    }
}

/// The next part of `whole`. Steps of the golden ratio (a Weyl sequence) leave no gap and no crowd
/// however many are asked for, which draws at random would.
fn spread(whole: Duration) -> Duration {
    const GOLDEN: u32 = 0x9e37_79b9;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let place = NEXT.fetch_add(GOLDEN, Ordering::Relaxed);
    whole.mul_f64(f64::from(place) / f64::from(u32::MAX))
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.message)?;
        if let Some(field) = &self.0.field {
            write!(f, " (field {field})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}
