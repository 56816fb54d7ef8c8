//! JoinGroup (API key 11).

use crate::wire::message;
use bytes::Bytes;

message! {
    JoinGroupRequest {
        group_id: String;
        session_timeout_ms: i32;
        rebalance_timeout_ms: i32 = -1, [1..];
        member_id: String;
        group_instance_id: Option<String>, [5..];
        protocol_type: String;
        protocols: Vec<JoinGroupRequestProtocol>;
        reason: Option<String>, [8..];
    }

    JoinGroupRequestProtocol {
        name: String;
        metadata: Bytes;
    }

    JoinGroupResponse {
        throttle_time_ms: i32, [2..];
        error_code: i16;
        generation_id: i32 = -1;
        protocol_type: Option<String>, [7..];
        protocol_name: Option<String>;
        leader: String;
        skip_assignment: bool, [9..];
        member_id: String;
        members: Vec<JoinGroupResponseMember>;
    }

    JoinGroupResponseMember {
        member_id: String;
        group_instance_id: Option<String>, [5..];
        metadata: Bytes;
    }
}
