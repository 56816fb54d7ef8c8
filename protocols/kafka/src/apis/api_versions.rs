//! What we understand. It is asked before anything else, also by clients that are newer than us.

use crate::messages::Api;
use crate::messages::api_versions::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

/// Features with the level that is in force (KIP-584). Clients speak of transactions as KIP-890 has
/// it when they are told so, and of groups as KIP-848 has it.
const FEATURES: [(&str, i16); 2] = [("group.version", 1), ("transaction.version", 2)];

pub fn answer(error_code: i16) -> ApiVersionsResponse {
    let api_keys = Api::ALL.iter().map(|api| {
        let versions = api.advertised();
        ApiVersion {
            api_key: api.key(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        }
    });
    let features = FEATURES.map(|(name, level)| {
        // Java clients before 3.9 do not start when a level may be 0 (KAFKA-17011).
        let supported =
            SupportedFeatureKey { name: name.to_owned(), min_version: 1, max_version: level };
        let finalized = FinalizedFeatureKey {
            name: name.to_owned(),
            max_version_level: level,
            min_version_level: level,
        };
        (supported, finalized)
    });
    let (supported_features, finalized_features) = features.into_iter().unzip();
    ApiVersionsResponse {
        error_code,
        api_keys: api_keys.collect(),
        supported_features,
        finalized_features_epoch: 0,
        finalized_features,
        ..ApiVersionsResponse::default()
    }
}
