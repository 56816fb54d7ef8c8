//! OffsetCommit (API key 8).

use crate::wire::{Uuid, message};

message! {
    OffsetCommitRequest {
        group_id: String;
        generation_id_or_member_epoch: i32 = -1;
        member_id: String;
        group_instance_id: Option<String>, [7..];
        retention_time_ms: i64 = -1, [..=4];
        topics: Vec<OffsetCommitRequestTopic>;
    }

    OffsetCommitRequestTopic {
        name: String, [..=9];
        topic_id: Uuid, [10..];
        partitions: Vec<OffsetCommitRequestPartition>;
    }

    OffsetCommitRequestPartition {
        partition_index: i32;
        committed_offset: i64;
        committed_leader_epoch: i32 = -1, [6..];
        committed_metadata: Option<String>;
    }

    OffsetCommitResponse {
        throttle_time_ms: i32, [3..];
        topics: Vec<OffsetCommitResponseTopic>;
    }

    OffsetCommitResponseTopic {
        name: String, [..=9];
        topic_id: Uuid, [10..];
        partitions: Vec<OffsetCommitResponsePartition>;
    }

    OffsetCommitResponsePartition {
        partition_index: i32;
        error_code: i16;
    }
}
