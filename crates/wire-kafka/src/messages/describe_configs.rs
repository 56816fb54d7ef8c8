//! DescribeConfigs (API key 32).

use crate::wire::message;

message! {
    DescribeConfigsRequest {
        resources: Vec<DescribeConfigsResource>;
        include_synonyms: bool;
        include_documentation: bool, [3..];
    }

    DescribeConfigsResource {
        resource_type: i8;
        resource_name: String;
        configuration_keys: Option<Vec<String>>;
    }

    DescribeConfigsResponse {
        throttle_time_ms: i32;
        results: Vec<DescribeConfigsResult>;
    }

    DescribeConfigsResult {
        error_code: i16;
        error_message: Option<String>;
        resource_type: i8;
        resource_name: String;
        configs: Vec<DescribeConfigsResourceResult>;
    }

    DescribeConfigsResourceResult {
        name: String;
        value: Option<String>;
        read_only: bool;
        config_source: i8 = -1;
        is_sensitive: bool;
        synonyms: Vec<DescribeConfigsSynonym>;
        config_type: i8, [3..];
        documentation: Option<String>, [3..];
    }

    DescribeConfigsSynonym {
        name: String;
        value: Option<String>;
        source: i8;
    }
}
