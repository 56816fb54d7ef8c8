//! Fetch (API key 1).

use crate::wire::{Records, Uuid, message};

message! {
    FetchRequest {
        cluster_id: Option<String>, [12..], tag 0;
        replica_id: i32 = -1, [..=14];
        replica_state: ReplicaState, [15..], tag 1;
        max_wait_ms: i32;
        min_bytes: i32;
        max_bytes: i32 = i32::MAX;
        isolation_level: i8;
        session_id: i32, [7..];
        session_epoch: i32 = -1, [7..];
        topics: Vec<FetchTopic>;
        forgotten_topics_data: Vec<ForgottenTopic>, [7..];
        rack_id: String, [11..];
    }

    ReplicaState {
        replica_id: i32 = -1, [15..];
        replica_epoch: i64 = -1, [15..];
    }

    FetchTopic {
        topic: String, [..=12];
        topic_id: Uuid, [13..];
        partitions: Vec<FetchPartition>;
    }

    FetchPartition {
        partition: i32;
        current_leader_epoch: i32 = -1, [9..];
        fetch_offset: i64;
        last_fetched_epoch: i32 = -1, [12..];
        log_start_offset: i64 = -1, [5..];
        partition_max_bytes: i32;
        replica_directory_id: Uuid, [17..], tag 0;
        high_watermark: i64 = i64::MAX, [18..], tag 1;
    }

    ForgottenTopic {
        topic: String, [7..=12];
        topic_id: Uuid, [13..];
        partitions: Vec<i32>, [7..];
    }

    FetchResponse {
        throttle_time_ms: i32;
        error_code: i16, [7..];
        session_id: i32, [7..];
        responses: Vec<FetchableTopicResponse>;
        node_endpoints: Vec<NodeEndpoint>, [16..], tag 0;
    }

    FetchableTopicResponse {
        topic: String, [..=12];
        topic_id: Uuid, [13..];
        partitions: Vec<PartitionData>;
    }

    PartitionData {
        partition_index: i32;
        error_code: i16;
        high_watermark: i64;
        last_stable_offset: i64 = -1;
        log_start_offset: i64 = -1, [5..];
        diverging_epoch: EpochEndOffset, [12..], tag 0;
        current_leader: LeaderIdAndEpoch, [12..], tag 1;
        snapshot_id: SnapshotId, [12..], tag 2;
        aborted_transactions: Option<Vec<AbortedTransaction>>;
        preferred_read_replica: i32 = -1, [11..];
        records: Option<Records>;
    }

    EpochEndOffset {
        epoch: i32 = -1, [12..];
        end_offset: i64 = -1, [12..];
    }

    LeaderIdAndEpoch {
        leader_id: i32 = -1, [12..];
        leader_epoch: i32 = -1, [12..];
    }

    SnapshotId {
        end_offset: i64 = -1;
        epoch: i32 = -1;
    }

    AbortedTransaction {
        producer_id: i64;
        first_offset: i64;
    }

    NodeEndpoint {
        node_id: i32, [16..];
        host: String, [16..];
        port: i32, [16..];
        rack: Option<String>, [16..];
    }
}
