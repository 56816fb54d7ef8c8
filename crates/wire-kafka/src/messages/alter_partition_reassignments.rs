//! AlterPartitionReassignments (API key 45).

use crate::wire::message;

message! {
    AlterPartitionReassignmentsRequest {
        timeout_ms: i32 = 60000;
        allow_replication_factor_change: bool = true, [1..];
        topics: Vec<ReassignableTopic>;
    }

    ReassignableTopic {
        name: String;
        partitions: Vec<ReassignablePartition>;
    }

    ReassignablePartition {
        partition_index: i32;
        replicas: Option<Vec<i32>>;
    }

    AlterPartitionReassignmentsResponse {
        throttle_time_ms: i32;
        allow_replication_factor_change: bool = true, [1..];
        error_code: i16;
        error_message: Option<String>;
        responses: Vec<ReassignableTopicResponse>;
    }

    ReassignableTopicResponse {
        name: String;
        partitions: Vec<ReassignablePartitionResponse>;
    }

    ReassignablePartitionResponse {
        partition_index: i32;
        error_code: i16;
        error_message: Option<String>;
    }
}
