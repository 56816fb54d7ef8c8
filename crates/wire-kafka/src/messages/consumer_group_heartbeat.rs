//! ConsumerGroupHeartbeat (API key 68).

use crate::wire::{Uuid, message};

message! {
    ConsumerGroupHeartbeatRequest {
        group_id: String;
        member_id: String;
        member_epoch: i32;
        instance_id: Option<String>;
        rack_id: Option<String>;
        rebalance_timeout_ms: i32 = -1;
        subscribed_topic_names: Option<Vec<String>>;
        subscribed_topic_regex: Option<String>, [1..];
        server_assignor: Option<String>;
        topic_partitions: Option<Vec<TopicPartitionsAsked>>;
    }

    TopicPartitionsAsked {
        topic_id: Uuid;
        partitions: Vec<i32>;
    }

    ConsumerGroupHeartbeatResponse {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<String>;
        member_id: Option<String>;
        member_epoch: i32;
        heartbeat_interval_ms: i32;
        assignment: Option<Assignment>;
    }

    Assignment {
        topic_partitions: Vec<TopicPartitionsTold>;
    }

    TopicPartitionsTold {
        topic_id: Uuid;
        partitions: Vec<i32>;
    }
}
