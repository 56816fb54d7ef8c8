//! SaslAuthenticate (API key 36).

use crate::wire::message;
use bytes::Bytes;

message! {
    SaslAuthenticateRequest {
        auth_bytes: Bytes;
    }

    SaslAuthenticateResponse {
        error_code: i16;
        error_message: Option<String>;
        auth_bytes: Bytes;
        session_lifetime_ms: i64, [1..];
    }
}
