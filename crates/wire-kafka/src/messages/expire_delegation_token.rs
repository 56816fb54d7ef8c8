//! ExpireDelegationToken (API key 40).

use crate::wire::message;
use bytes::Bytes;

message! {
    ExpireDelegationTokenRequest {
        hmac: Bytes;
        expiry_time_period_ms: i64;
    }

    ExpireDelegationTokenResponse {
        error_code: i16;
        expiry_timestamp_ms: i64;
        throttle_time_ms: i32;
    }
}
