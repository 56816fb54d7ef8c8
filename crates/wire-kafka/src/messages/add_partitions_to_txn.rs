//! AddPartitionsToTxn (API key 24). From version 4 on it is a question among brokers.

use crate::wire::message;

message! {
    AddPartitionsToTxnRequest {
        transactional_id: String;
        producer_id: i64;
        producer_epoch: i16;
        topics: Vec<AddPartitionsToTxnTopic>;
    }

    AddPartitionsToTxnTopic {
        name: String;
        partitions: Vec<i32>;
    }

    AddPartitionsToTxnResponse {
        throttle_time_ms: i32;
        results_by_topic: Vec<AddPartitionsToTxnTopicResult>;
    }

    AddPartitionsToTxnTopicResult {
        name: String;
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult>;
    }

    AddPartitionsToTxnPartitionResult {
        partition_index: i32;
        partition_error_code: i16;
    }
}
