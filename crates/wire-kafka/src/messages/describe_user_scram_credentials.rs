//! DescribeUserScramCredentials (API key 50).

use crate::wire::message;

message! {
    DescribeUserScramCredentialsRequest {
        users: Option<Vec<UserName>>;
    }

    UserName {
        name: String;
    }

    DescribeUserScramCredentialsResponse {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<String>;
        results: Vec<DescribeUserScramCredentialsResult>;
    }

    DescribeUserScramCredentialsResult {
        user: String;
        error_code: i16;
        error_message: Option<String>;
        credential_infos: Vec<CredentialInfo>;
    }

    CredentialInfo {
        mechanism: i8;
        iterations: i32;
    }
}
