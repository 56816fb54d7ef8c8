//! AlterClientQuotas (API key 49).

use super::describe_client_quotas::EntityData;
use crate::wire::message;

message! {
    AlterClientQuotasRequest {
        entries: Vec<AlterEntryData>;
        validate_only: bool;
    }

    AlterEntryData {
        entity: Vec<EntityData>;
        ops: Vec<OpData>;
    }

    OpData {
        key: String;
        value: f64;
        remove: bool;
    }

    AlterClientQuotasResponse {
        throttle_time_ms: i32;
        entries: Vec<AlteredEntryData>;
    }

    AlteredEntryData {
        error_code: i16;
        error_message: Option<String>;
        entity: Vec<EntityData>;
    }
}
