//! Kafka's error numbers (the protocol guide, "Error Codes"), and which of them a refusal is.

use port::{Code, Kind, Refusal};

macro_rules! errors {
    ($($name:ident = $number:literal;)*) => {
        $(pub const $name: i16 = $number;)*

        /// Its name in Kafka's documentation, for logs and metrics.
        pub fn name(error: i16) -> &'static str {
            match error {
                $($number => stringify!($name),)*
                _ => "UNKNOWN",
            }
        }
    };
}

errors! {
    UNKNOWN_SERVER_ERROR = -1;
    NONE = 0;
    OFFSET_OUT_OF_RANGE = 1;
    CORRUPT_MESSAGE = 2;
    UNKNOWN_TOPIC_OR_PARTITION = 3;
    REQUEST_TIMED_OUT = 7;
    MESSAGE_TOO_LARGE = 10;
    OFFSET_METADATA_TOO_LARGE = 12;
    COORDINATOR_NOT_AVAILABLE = 15;
    INVALID_TOPIC_EXCEPTION = 17;
    INVALID_REQUIRED_ACKS = 21;
    ILLEGAL_GENERATION = 22;
    INCONSISTENT_GROUP_PROTOCOL = 23;
    INVALID_GROUP_ID = 24;
    UNKNOWN_MEMBER_ID = 25;
    INVALID_SESSION_TIMEOUT = 26;
    REBALANCE_IN_PROGRESS = 27;
    TOPIC_AUTHORIZATION_FAILED = 29;
    GROUP_AUTHORIZATION_FAILED = 30;
    CLUSTER_AUTHORIZATION_FAILED = 31;
    INVALID_TIMESTAMP = 32;
    UNSUPPORTED_SASL_MECHANISM = 33;
    ILLEGAL_SASL_STATE = 34;
    UNSUPPORTED_VERSION = 35;
    TOPIC_ALREADY_EXISTS = 36;
    INVALID_PARTITIONS = 37;
    INVALID_REPLICATION_FACTOR = 38;
    INVALID_REPLICA_ASSIGNMENT = 39;
    INVALID_CONFIG = 40;
    INVALID_REQUEST = 42;
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43;
    POLICY_VIOLATION = 44;
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
    INVALID_PRODUCER_EPOCH = 47;
    INVALID_TXN_STATE = 48;
    INVALID_PRODUCER_ID_MAPPING = 49;
    INVALID_TRANSACTION_TIMEOUT = 50;
    CONCURRENT_TRANSACTIONS = 51;
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;
    OPERATION_NOT_ATTEMPTED = 55;
    KAFKA_STORAGE_ERROR = 56;
    LOG_DIR_NOT_FOUND = 57;
    SASL_AUTHENTICATION_FAILED = 58;
    NON_EMPTY_GROUP = 68;
    GROUP_ID_NOT_FOUND = 69;
    FETCH_SESSION_ID_NOT_FOUND = 70;
    UNKNOWN_LEADER_EPOCH = 75;
    MEMBER_ID_REQUIRED = 79;
    GROUP_MAX_SIZE_REACHED = 81;
    FENCED_INSTANCE_ID = 82;
    ELECTION_NOT_NEEDED = 84;
    NO_REASSIGNMENT_IN_PROGRESS = 85;
    GROUP_SUBSCRIBED_TO_TOPIC = 86;
    INVALID_RECORD = 87;
    UNSTABLE_OFFSET_COMMIT = 88;
    THROTTLING_QUOTA_EXCEEDED = 89;
    PRODUCER_FENCED = 90;
    UNKNOWN_TOPIC_ID = 100;
    TRANSACTIONAL_ID_NOT_FOUND = 105;
    FENCED_MEMBER_EPOCH = 110;
    UNRELEASED_INSTANCE_ID = 111;
    UNSUPPORTED_ASSIGNOR = 112;
    STALE_MEMBER_EPOCH = 113;
    TRANSACTION_ABORTABLE = 120;
    INVALID_REGULAR_EXPRESSION = 128;
}

/// What a client is told of something refused at a topic.
pub fn of_topic(refusal: &Refusal) -> i16 {
    match refusal.code() {
        Code::TopicNotFound => return UNKNOWN_TOPIC_OR_PARTITION,
        Code::InvalidTopic => return INVALID_TOPIC_EXCEPTION,
        Code::InvalidEventPayload | Code::SchemaNotFound => return INVALID_RECORD,
        Code::ProducerFenced => return INVALID_PRODUCER_EPOCH,
        Code::OutOfSequence => return OUT_OF_ORDER_SEQUENCE_NUMBER,
        Code::TransactionNotOpen => return INVALID_TXN_STATE,
        Code::InvalidRequest => {
            let field = refusal.field_name().unwrap_or_default();
            return match field {
                "partition" => UNKNOWN_TOPIC_OR_PARTITION,
                field if field.ends_with("timestamp") => INVALID_TIMESTAMP,
                field if field.starts_with("records") => INVALID_RECORD,
                _ => INVALID_REQUEST,
            };
        }
        _ => {}
    }
    match refusal.kind() {
        Kind::Unauthenticated | Kind::Forbidden => TOPIC_AUTHORIZATION_FAILED,
        Kind::NotFound => UNKNOWN_TOPIC_OR_PARTITION,
        Kind::Conflict => INVALID_REQUEST,
        Kind::Invalid => INVALID_REQUEST,
        Kind::TooLarge => MESSAGE_TOO_LARGE,
        Kind::RateLimited => THROTTLING_QUOTA_EXCEEDED,
        // Not to be tried again at once, and not by itself: somebody must raise the limit.
        Kind::QuotaExceeded => POLICY_VIOLATION,
        Kind::Overloaded | Kind::NotLeader => REQUEST_TIMED_OUT,
        Kind::Unsupported => UNSUPPORTED_FOR_MESSAGE_FORMAT,
        Kind::Unavailable => KAFKA_STORAGE_ERROR,
        Kind::Internal => UNKNOWN_SERVER_ERROR,
    }
}

/// Of something refused at a group.
pub fn of_group(refusal: &Refusal) -> i16 {
    match refusal.kind() {
        Kind::Unauthenticated | Kind::Forbidden => GROUP_AUTHORIZATION_FAILED,
        Kind::NotFound => GROUP_ID_NOT_FOUND,
        Kind::Conflict | Kind::Invalid | Kind::TooLarge | Kind::Unsupported => INVALID_REQUEST,
        Kind::RateLimited | Kind::QuotaExceeded => POLICY_VIOLATION,
        Kind::Overloaded | Kind::NotLeader | Kind::Unavailable => COORDINATOR_NOT_AVAILABLE,
        Kind::Internal => UNKNOWN_SERVER_ERROR,
    }
}

/// Of something refused to a transaction.
pub fn of_transaction(refusal: &Refusal) -> i16 {
    match (refusal.code(), refusal.kind()) {
        (Code::ProducerFenced, _) => PRODUCER_FENCED,
        (Code::TransactionNotOpen, _) => INVALID_TXN_STATE,
        (_, Kind::Unauthenticated | Kind::Forbidden) => TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        (_, Kind::NotFound) => INVALID_PRODUCER_ID_MAPPING,
        (_, Kind::Conflict | Kind::Invalid | Kind::TooLarge | Kind::Unsupported) => INVALID_REQUEST,
        (_, Kind::RateLimited | Kind::Overloaded) => CONCURRENT_TRANSACTIONS,
        (_, Kind::QuotaExceeded) => POLICY_VIOLATION,
        (_, Kind::NotLeader | Kind::Unavailable) => COORDINATOR_NOT_AVAILABLE,
        (_, Kind::Internal) => UNKNOWN_SERVER_ERROR,
    }
}

/// Of something refused that concerns all topics.
pub fn of_cluster(refusal: &Refusal) -> i16 {
    match of_topic(refusal) {
        TOPIC_AUTHORIZATION_FAILED => CLUSTER_AUTHORIZATION_FAILED,
        other => other,
    }
}

/// Of something refused in the administration of topics.
pub fn of_admin(refusal: &Refusal) -> i16 {
    match refusal.kind() {
        Kind::Unauthenticated | Kind::Forbidden => TOPIC_AUTHORIZATION_FAILED,
        Kind::NotFound => UNKNOWN_TOPIC_OR_PARTITION,
        Kind::Conflict => TOPIC_ALREADY_EXISTS,
        Kind::Invalid if refusal.code() == Code::InvalidTopic => INVALID_TOPIC_EXCEPTION,
        Kind::Invalid if refusal.field_name() == Some("partitions") => INVALID_PARTITIONS,
        Kind::Invalid => INVALID_CONFIG,
        Kind::TooLarge | Kind::RateLimited | Kind::QuotaExceeded => POLICY_VIOLATION,
        Kind::Overloaded | Kind::NotLeader | Kind::Unavailable => REQUEST_TIMED_OUT,
        Kind::Unsupported => INVALID_REQUEST,
        Kind::Internal => UNKNOWN_SERVER_ERROR,
    }
}
