//! Heartbeat (API key 12).

use crate::wire::message;

message! {
    HeartbeatRequest {
        group_id: String;
        generation_id: i32;
        member_id: String;
        group_instance_id: Option<String>, [3..];
    }

    HeartbeatResponse {
        throttle_time_ms: i32, [1..];
        error_code: i16;
    }
}
