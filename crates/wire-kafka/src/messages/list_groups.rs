//! ListGroups (API key 16).

use crate::wire::message;

message! {
    ListGroupsRequest {
        states_filter: Vec<String>, [4..];
        types_filter: Vec<String>, [5..];
    }

    ListGroupsResponse {
        throttle_time_ms: i32, [1..];
        error_code: i16;
        groups: Vec<ListedGroup>;
    }

    ListedGroup {
        group_id: String;
        protocol_type: String;
        group_state: String, [4..];
        group_type: String, [5..];
    }
}
