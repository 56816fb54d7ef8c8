//! DeleteTopics (API key 20).

use crate::wire::{Uuid, message};

message! {
    DeleteTopicsRequest {
        topics: Vec<DeleteTopicState>, [6..];
        topic_names: Vec<String>, [..=5];
        timeout_ms: i32;
    }

    DeleteTopicState {
        name: Option<String>, [6..];
        topic_id: Uuid, [6..];
    }

    DeleteTopicsResponse {
        throttle_time_ms: i32;
        responses: Vec<DeletableTopicResult>;
    }

    DeletableTopicResult {
        name: Option<String>;
        topic_id: Uuid, [6..];
        error_code: i16;
        error_message: Option<String>, [5..];
    }
}
