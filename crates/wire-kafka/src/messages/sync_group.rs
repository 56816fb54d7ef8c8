//! SyncGroup (API key 14).

use crate::wire::message;
use bytes::Bytes;

message! {
    SyncGroupRequest {
        group_id: String;
        generation_id: i32;
        member_id: String;
        group_instance_id: Option<String>, [3..];
        protocol_type: Option<String>, [5..];
        protocol_name: Option<String>, [5..];
        assignments: Vec<SyncGroupRequestAssignment>;
    }

    SyncGroupRequestAssignment {
        member_id: String;
        assignment: Bytes;
    }

    SyncGroupResponse {
        throttle_time_ms: i32, [1..];
        error_code: i16;
        protocol_type: Option<String>, [5..];
        protocol_name: Option<String>, [5..];
        assignment: Bytes;
    }
}
