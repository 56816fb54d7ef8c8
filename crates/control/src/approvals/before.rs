//! What an act is about, as it is: read the way who asks could read it himself, when it is asked
//! for and again before it is carried out, so that nobody carries out what was approved of
//! something else. What changes by itself (sizes, times of use) does not count. It must not know
//! what it reads.

use super::Holding;
use super::catalogue::Act;
use super::sealed::body_digest;
use crate::access::{Access, Checked};
use crate::admin::{Admitted, Who};
use crate::gate;
use axum::body::Body;
use http::{Method, Request};
use port::{Peer, Refusal};
use rules::Place;
use serde_json::Value;
use std::sync::Arc;
use tower_service::Service;
use types::{ProjectId, TenantId};
use wire_http::read_body;

/// Bytes of what is read; a larger thing is not compared.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of it that are kept to be shown; of a larger thing only the digest is.
const SHOWN_BYTES_MAX: usize = 64 * 1024;
/// What changes by itself.
const MOVING: &[&str] = &[
    "signed_in_at",
    "seen_at",
    "is_current",
    "stored_bytes",
    "breaker",
    "failures",
    "rests_ms",
    "lag",
    "pending",
    "retrying",
    "held",
    "dead_letters",
    "last_error",
];

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Before {
    pub(crate) shown: Option<Value>,
    pub(crate) digest: Option<Vec<u8>>,
}

/// The path, as it is written and as it was asked, of what the act is about. A collection is about
/// nothing that is there yet.
fn subject(holding: &Holding, act: &Act, path: &str) -> Option<(String, String)> {
    let mut written: Vec<&str> = act.path.split('/').collect();
    let mut asked: Vec<&str> = path.split('/').collect();
    // What is deleted without being named, such as a backup under way, changes by itself.
    let is_whole = act.method == Method::PUT || act.method == Method::PATCH;
    let mut is_first = true;
    while written.len() > 1 && written.len() == asked.len() {
        let names_one = written.last().is_some_and(|last| last.starts_with('{'));
        let candidate = written.join("/");
        if (names_one || is_first && is_whole)
            && holding.shared.access.has(&Method::GET, &candidate)
        {
            return Some((candidate, asked.join("/")));
        }
        is_first = false;
        written.pop();
        asked.pop();
    }
    None
}

/// Whether who asks could read it.
fn may_read(holding: &Holding, who: &Who, written: &str, asked: &str) -> bool {
    let Access::Needs { permission, checked, .. } =
        holding.shared.access.find(&Method::GET, written)
    else {
        return false;
    };
    let find = |name: &str| {
        let at = written.split('/').position(|part| part == name)?;
        asked.split('/').nth(at)
    };
    let tenant = find("{tenant}").and_then(|text| text.parse::<TenantId>().ok());
    let project = find("{project}").and_then(|text| text.parse::<ProjectId>().ok());
    let place = match (checked, tenant, project) {
        // The handler looks itself.
        (Checked::ByHandler, _, _) => return true,
        (Checked::ByPath, Some(tenant), Some(project)) => Place::Project(tenant, project),
        (Checked::ByPath, Some(tenant), None) => Place::Tenant(tenant),
        _ => Place::Installation,
    };
    gate::require(who, permission, place).is_ok()
}

/// Nothing when there is nothing to read, or who asks may not.
pub(crate) async fn read(
    holding: &Holding,
    act: &Act,
    path_and_query: &str,
    who: &Arc<Who>,
    peer: &Peer,
) -> Result<Before, Refusal> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let Some((written, asked)) = subject(holding, act, path) else {
        return Ok(Before::default());
    };
    if !may_read(holding, who, &written, &asked) {
        return Ok(Before::default());
    }
    let keeps_query = written == act.path && !query.is_empty();
    let uri = if keeps_query { format!("{asked}?{query}") } else { asked };
    let request = Request::get(uri)
        .extension(Admitted(Arc::clone(who)))
        .extension(peer.clone())
        .body(Body::empty())
        .map_err(|error| Refusal::internal(&error))?;
    let Ok(response) = holding.bare.clone().call(request).await;
    if !response.status().is_success() {
        return Ok(Before::default());
    }
    let Ok(bytes) = read_body(response.into_body(), READ_BYTES_MAX).await else {
        return Ok(Before::default());
    };
    let Ok(mut found) = serde_json::from_slice::<Value>(&bytes) else {
        return Ok(Before::default());
    };
    settle(&mut found);
    let text = found.to_string();
    let digest = Some(body_digest(text.as_bytes()));
    crate::redact::redact(&mut found);
    Ok(Before { shown: Some(found).filter(|_| text.len() <= SHOWN_BYTES_MAX), digest })
}

/// Takes out what changes by itself.
fn settle(found: &mut Value) {
    match found {
        Value::Object(fields) => {
            fields.retain(|name, _| !MOVING.contains(&name.as_str()));
            fields.values_mut().for_each(settle);
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
