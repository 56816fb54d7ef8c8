//! DescribeTopicPartitions (API key 75).

use crate::wire::{Uuid, message};

message! {
    DescribeTopicPartitionsRequest {
        topics: Vec<TopicRequest>;
        response_partition_limit: i32 = 2000;
        cursor: Option<CursorAsked>;
    }

    TopicRequest {
        name: String;
    }

    CursorAsked {
        topic_name: String;
        partition_index: i32;
    }

    DescribeTopicPartitionsResponse {
        throttle_time_ms: i32;
        topics: Vec<DescribeTopicPartitionsResponseTopic>;
        next_cursor: Option<CursorTold>;
    }

    DescribeTopicPartitionsResponseTopic {
        error_code: i16;
        name: Option<String>;
        topic_id: Uuid;
        is_internal: bool;
        partitions: Vec<DescribeTopicPartitionsResponsePartition>;
        topic_authorized_operations: i32 = i32::MIN;
    }

    DescribeTopicPartitionsResponsePartition {
        error_code: i16;
        partition_index: i32;
        leader_id: i32;
        leader_epoch: i32 = -1;
        replica_nodes: Vec<i32>;
        isr_nodes: Vec<i32>;
        eligible_leader_replicas: Option<Vec<i32>>;
        last_known_elr: Option<Vec<i32>>;
        offline_replicas: Vec<i32>;
    }

    CursorTold {
        topic_name: String;
        partition_index: i32;
    }
}
