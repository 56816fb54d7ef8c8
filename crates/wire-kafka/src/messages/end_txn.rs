//! EndTxn (API key 26).

use crate::wire::message;

message! {
    EndTxnRequest {
        transactional_id: String;
        producer_id: i64;
        producer_epoch: i16;
        committed: bool;
    }

    EndTxnResponse {
        throttle_time_ms: i32;
        error_code: i16;
        producer_id: i64 = -1, [5..];
        producer_epoch: i16 = -1, [5..];
    }
}
