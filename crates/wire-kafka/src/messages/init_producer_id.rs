//! InitProducerId (API key 22).

use crate::wire::message;

message! {
    InitProducerIdRequest {
        transactional_id: Option<String>;
        transaction_timeout_ms: i32;
        producer_id: i64 = -1, [3..];
        producer_epoch: i16 = -1, [3..];
        enable2_pc: bool, [6..];
        keep_prepared_txn: bool, [6..];
    }

    InitProducerIdResponse {
        throttle_time_ms: i32;
        error_code: i16;
        producer_id: i64 = -1;
        producer_epoch: i16;
        ongoing_txn_producer_id: i64 = -1, [6..];
        ongoing_txn_producer_epoch: i16 = -1, [6..];
    }
}
