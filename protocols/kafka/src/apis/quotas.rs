//! Client quotas (KIP-546). Kafka's are bytes per second, a share of its threads and mutations per
//! second. Limits here are records and requests per second, connections and stored bytes: none of
//! Kafka's means the same, so there are none to tell and none to set.

use crate::call::Call;
use crate::config::SecurityAccess;
use crate::errors;
use crate::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterEntryData, AlteredEntryData,
};
use crate::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData,
};
use std::collections::BTreeSet;

/// What quotas may be of.
const ENTITIES: [&str; 3] = ["user", "client-id", "ip"];
/// How an entity is meant: by its name, the default of all, or any that has a name.
const BY_NAME: i8 = 0;
const MATCHES: std::ops::RangeInclusive<i8> = BY_NAME..=2;

type Told = (i16, String);

pub async fn describe(
    call: &Call,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let looked = call.security(SecurityAccess::Read).and_then(|_| check(&request.components));
    match looked {
        Ok(()) => DescribeClientQuotasResponse { entries: Some(Vec::new()), ..Default::default() },
        Err((error_code, why)) => DescribeClientQuotasResponse {
            error_code,
            error_message: Some(why),
            ..DescribeClientQuotasResponse::default()
        },
    }
}

fn check(components: &[ComponentData]) -> Result<(), Told> {
    let mut seen = BTreeSet::new();
    for component in components {
        let kind = component.entity_type.as_str();
        let is_named = component.r#match.is_some();
        let why = if !ENTITIES.contains(&kind) {
            "quotas are of a `user`, a `client-id` or an `ip`"
        } else if !seen.insert(kind) {
            "an entity is named twice"
        } else if !MATCHES.contains(&component.match_type) {
            "there is no such way to match"
        } else if (component.match_type == BY_NAME) != is_named {
            "a name stands where one is matched, and nowhere else"
        } else {
            continue;
        };
        return Err((errors::INVALID_REQUEST, why.to_owned()));
    }
    Ok(())
}

pub async fn alter(call: &Call, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let may = call.security(SecurityAccess::Write).map(|_| ());
    let entries = request.entries.into_iter().map(|entry| {
        let (error_code, why) = may.clone().err().unwrap_or_else(|| refused(&entry));
        AlteredEntryData { error_code, error_message: Some(why), entity: entry.entity }
    });
    AlterClientQuotasResponse { entries: entries.collect(), ..Default::default() }
}

fn refused(entry: &AlterEntryData) -> Told {
    let is_known = |entity: &EntityData| ENTITIES.contains(&entity.entity_type.as_str());
    if entry.entity.is_empty() || !entry.entity.iter().all(is_known) {
        let why = "quotas are of a `user`, a `client-id` or an `ip`";
        return (errors::INVALID_REQUEST, why.to_owned());
    }
    let why = match entry.ops.first().map(|op| op.key.as_str()) {
        Some("producer_byte_rate") => {
            "bytes per second are not bounded here; records per second are, of a project: \
             `publish_per_second_max` of its limits"
        }
        Some("request_percentage") => {
            "shares of threads are not bounded here; requests per second are: `rate_per_second` of \
             a key, `request_per_second_max` of a project's limits"
        }
        Some("consumer_byte_rate" | "controller_mutation_rate" | "connection_creation_rate") => {
            "nothing of the same meaning is bounded here; see the limits of a project"
        }
        _ => "there is no such quota",
    };
    (errors::INVALID_REQUEST, format!("{why}. Limits are set by the admin API"))
}
