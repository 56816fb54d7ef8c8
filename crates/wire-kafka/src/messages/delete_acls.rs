//! DeleteAcls (API key 31).

use crate::wire::message;

message! {
    DeleteAclsRequest {
        filters: Vec<DeleteAclsFilter>;
    }

    DeleteAclsFilter {
        resource_type_filter: i8;
        resource_name_filter: Option<String>;
        pattern_type_filter: i8 = 3, [1..];
        principal_filter: Option<String>;
        host_filter: Option<String>;
        operation: i8;
        permission_type: i8;
    }

    DeleteAclsResponse {
        throttle_time_ms: i32;
        filter_results: Vec<DeleteAclsFilterResult>;
    }

    DeleteAclsFilterResult {
        error_code: i16;
        error_message: Option<String>;
        matching_acls: Vec<DeleteAclsMatchingAcl>;
    }

    DeleteAclsMatchingAcl {
        error_code: i16;
        error_message: Option<String>;
        resource_type: i8;
        resource_name: String;
        pattern_type: i8 = 3, [1..];
        principal: String;
        host: String;
        operation: i8;
        permission_type: i8;
    }
}
