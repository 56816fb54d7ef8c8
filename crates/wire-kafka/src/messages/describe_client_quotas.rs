//! DescribeClientQuotas (API key 48).

use crate::wire::message;

message! {
    DescribeClientQuotasRequest {
        components: Vec<ComponentData>;
        strict: bool;
    }

    ComponentData {
        entity_type: String;
        match_type: i8;
        r#match: Option<String>;
    }

    DescribeClientQuotasResponse {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<String>;
        entries: Option<Vec<EntryData>>;
    }

    EntryData {
        entity: Vec<EntityData>;
        values: Vec<ValueData>;
    }

    EntityData {
        entity_type: String;
        entity_name: Option<String>;
    }

    ValueData {
        key: String;
        value: f64;
    }
}
