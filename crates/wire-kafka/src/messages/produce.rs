//! Produce (API key 0). `at_offset` is ours: where the records shall lie, for copies of a topic;
//! other brokers pass over a tag that they do not know.

use crate::wire::{Uuid, message};
use bytes::Bytes;

message! {
    ProduceRequest {
        transactional_id: Option<String>;
        acks: i16;
        timeout_ms: i32;
        topic_data: Vec<TopicProduceData>;
    }

    TopicProduceData {
        name: String, [..=12];
        topic_id: Uuid, [13..];
        partition_data: Vec<PartitionProduceData>;
    }

    PartitionProduceData {
        index: i32;
        records: Option<Bytes>;
        at_offset: i64 = -1, [9..], tag 9000;
    }

    ProduceResponse {
        responses: Vec<TopicProduceResponse>;
        throttle_time_ms: i32;
        node_endpoints: Vec<NodeEndpoint>, [10..], tag 0;
    }

    TopicProduceResponse {
        name: String, [..=12];
        topic_id: Uuid, [13..];
        partition_responses: Vec<PartitionProduceResponse>;
    }

    PartitionProduceResponse {
        index: i32;
        error_code: i16;
        base_offset: i64;
        log_append_time_ms: i64 = -1;
        log_start_offset: i64 = -1, [5..];
        record_errors: Vec<BatchIndexAndErrorMessage>, [8..];
        error_message: Option<String>, [8..];
        current_leader: LeaderIdAndEpoch, [10..], tag 0;
    }

    BatchIndexAndErrorMessage {
        batch_index: i32, [8..];
        batch_index_error_message: Option<String>, [8..];
    }

    LeaderIdAndEpoch {
        leader_id: i32 = -1, [10..];
        leader_epoch: i32 = -1, [10..];
    }

    NodeEndpoint {
        node_id: i32, [10..];
        host: String, [10..];
        port: i32, [10..];
        rack: Option<String>, [10..];
    }
}
