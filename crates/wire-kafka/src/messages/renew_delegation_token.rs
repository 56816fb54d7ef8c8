//! RenewDelegationToken (API key 39).

use crate::wire::message;
use bytes::Bytes;

message! {
    RenewDelegationTokenRequest {
        hmac: Bytes;
        renew_period_ms: i64;
    }

    RenewDelegationTokenResponse {
        error_code: i16;
        expiry_timestamp_ms: i64;
        throttle_time_ms: i32;
    }
}
