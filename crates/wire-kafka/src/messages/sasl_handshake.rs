//! SaslHandshake (API key 17).

use crate::wire::message;

message! {
    SaslHandshakeRequest {
        mechanism: String;
    }

    SaslHandshakeResponse {
        error_code: i16;
        mechanisms: Vec<String>;
    }
}
