//! TxnOffsetCommit (API key 28).

use crate::wire::message;

message! {
    TxnOffsetCommitRequest {
        transactional_id: String;
        group_id: String;
        producer_id: i64;
        producer_epoch: i16;
        generation_id: i32 = -1, [3..];
        member_id: String, [3..];
        group_instance_id: Option<String>, [3..];
        topics: Vec<TxnOffsetCommitRequestTopic>;
    }

    TxnOffsetCommitRequestTopic {
        name: String;
        partitions: Vec<TxnOffsetCommitRequestPartition>;
    }

    TxnOffsetCommitRequestPartition {
        partition_index: i32;
        committed_offset: i64;
        committed_leader_epoch: i32 = -1, [2..];
        committed_metadata: Option<String>;
    }

    TxnOffsetCommitResponse {
        throttle_time_ms: i32;
        topics: Vec<TxnOffsetCommitResponseTopic>;
    }

    TxnOffsetCommitResponseTopic {
        name: String;
        partitions: Vec<TxnOffsetCommitResponsePartition>;
    }

    TxnOffsetCommitResponsePartition {
        partition_index: i32;
        error_code: i16;
    }
}
