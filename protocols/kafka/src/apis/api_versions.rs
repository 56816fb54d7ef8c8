//! What we understand. It is asked before anything else, also by clients that are newer than us.

use crate::messages::Api;
use crate::messages::api_versions::{ApiVersion, ApiVersionsResponse};

pub fn answer(error_code: i16) -> ApiVersionsResponse {
    let api_keys = Api::ALL.iter().map(|api| {
        let versions = api.advertised();
        ApiVersion {
            api_key: api.key(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        }
    });
    ApiVersionsResponse { error_code, api_keys: api_keys.collect(), ..Default::default() }
}
