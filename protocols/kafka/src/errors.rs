//! Which of Kafka's errors a refusal is.

use port::{Code, Kind, Refusal};

pub use wire_kafka::errors::*;

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
                "at" => OFFSET_OUT_OF_RANGE,
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

/// Of something refused in the administration of security, with what is to be told of it.
pub fn of_security(refusal: &Refusal) -> (i16, String) {
    let error = match refusal.kind() {
        Kind::Unauthenticated | Kind::Forbidden => CLUSTER_AUTHORIZATION_FAILED,
        Kind::NotFound => RESOURCE_NOT_FOUND,
        Kind::Invalid => INVALID_REQUEST,
        Kind::TooLarge | Kind::RateLimited | Kind::QuotaExceeded => POLICY_VIOLATION,
        Kind::Conflict | Kind::Overloaded | Kind::NotLeader | Kind::Unavailable => {
            REQUEST_TIMED_OUT
        }
        Kind::Unsupported => SECURITY_DISABLED,
        Kind::Internal => UNKNOWN_SERVER_ERROR,
    };
    let hint = refusal.hint_text().map(|hint| format!("; {hint}")).unwrap_or_default();
    (error, format!("{}{hint}", refusal.message()))
}
