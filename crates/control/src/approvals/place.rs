//! Where an act belongs: whose marks concern it, and where its permission must be held. What the
//! path does not say is looked for in the query, in the body, or at what the path names. It must
//! not know what the act does: who is not sure is told a wider place, never a narrower one.

use super::catalogue::Act;
use crate::access::Checked;
use crate::admin::Shared;
use crate::routes::connections::open_at;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use port::{ConnectionId, Refusal};
use rules::Place;
use serde_json::Value;
use tenancy::{AcceptanceId, ApprovalPlace, BindingId, TenancyError, UserId};
use types::{ProjectId, TenantId};

/// What a request names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Whose marks concern it, beside those of the installation.
    pub(crate) tenants: Vec<TenantId>,
    pub(crate) place: ApprovalPlace,
}

/// Where the permission is asked for.
pub(crate) fn asked_at(place: &ApprovalPlace) -> Place {
    match (place.tenant, place.project) {
        _ if place.at_installation => Place::Installation,
        (Some(tenant), Some(project)) => Place::Project(tenant, project),
        (Some(tenant), None) => Place::Tenant(tenant),
        (None, _) => Place::Installation,
    }
}

/// The parameters of the path, by name.
pub(crate) async fn path_params(parts: &mut Parts) -> Vec<(String, String)> {
    let Ok(params) = RawPathParams::from_request_parts(parts, &()).await else {
        return Vec::new();
    };
    params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn of<T: std::str::FromStr>(params: &[(String, String)], name: &str) -> Option<T> {
    let found = params.iter().find(|(found, _)| found == name);
    found.and_then(|(_, text)| text.parse().ok())
}

pub(crate) async fn named(
    shared: &Shared,
    act: &Act,
    parts: &mut Parts,
    body: &[u8],
) -> Result<Named, Refusal> {
    let params = path_params(parts).await;
    let (tenant, project) = (of(&params, "tenant"), of(&params, "project"));
    match act.checked {
        Checked::ByPath => Ok(Named::at(tenant, project)),
        Checked::InInstallation => {
            let mut named = Named::at(tenant, project);
            named.place.at_installation = true;
            Ok(named)
        }
        Checked::ByHandler => by_handler(shared, &params, parts, body).await,
    }
}

impl Named {
    fn at(tenant: Option<TenantId>, project: Option<ProjectId>) -> Named {
        let project = project.filter(|_| tenant.is_some());
        let place = ApprovalPlace { tenant, project, at_installation: false };
        Named { tenants: tenant.into_iter().collect(), place }
    }
}

async fn by_handler(
    shared: &Shared,
    params: &[(String, String)],
    parts: &Parts,
    body: &[u8],
) -> Result<Named, Refusal> {
    if let Some(binding) = of::<BindingId>(params, "binding") {
        return match shared.control.tenancy.binding(binding).await {
            Ok(found) => Ok(Named::at(found.tenant, found.project)),
            Err(TenancyError::NotFound { .. }) => Ok(Named::default()),
            Err(error) => Err(error.into()),
        };
    }
    if let Some(acceptance) = of::<AcceptanceId>(params, "acceptance") {
        return match shared.control.tenancy.acceptance(acceptance).await {
            Ok(found) => Ok(Named::at(found.tenant, found.project)),
            Err(TenancyError::NotFound { .. }) => Ok(Named::default()),
            Err(error) => Err(error.into()),
        };
    }
    if let Some(user) = of::<UserId>(params, "user") {
        return of_user(shared, user).await;
    }
    if let Some(connection) = of::<u64>(params, "connection") {
        let open = open_at(&*shared.control.live, ConnectionId(connection));
        return Ok(
            open.map_or_else(Named::default, |place| Named::at(place.tenant(), place.project()))
        );
    }
    Ok(in_words(parts.uri.query().unwrap_or_default(), body))
}

/// A user belongs where all of his roles are.
async fn of_user(shared: &Shared, user: UserId) -> Result<Named, Refusal> {
    let bindings = shared.control.tenancy.bindings_of(user).await?;
    let mut tenants: Vec<TenantId> = bindings.iter().filter_map(|held| held.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let is_of_one = tenants.len() == 1 && bindings.iter().all(|held| held.tenant.is_some());
    let tenant = tenants.first().copied().filter(|_| is_of_one);
    Ok(Named { tenants, ..Named::at(tenant, None) })
}

/// From the query and from the body, whichever names it. Who names different ones is concerned by
/// the marks of all of them, and needs the permission in the installation.
fn in_words(query: &str, body: &[u8]) -> Named {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|it| it.split_once('=')).collect();
    let in_query = |name: &str| {
        let found = pairs.iter().filter(move |(found, _)| *found == name);
        found.map(|(_, text)| (*text).to_owned()).collect::<Vec<String>>()
    };
    let in_body = |name: &str| body[name].as_str().map(str::to_owned);
    let texts = in_query("tenant").into_iter().chain(in_body("tenant"));
    let mut tenants: Vec<TenantId> = texts.filter_map(|text| text.parse().ok()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    if tenants.len() > 1 {
        return Named { tenants, place: ApprovalPlace::default() };
    }
    let projects = in_query("project").into_iter().chain(in_body("project"));
    let project = projects.filter_map(|text| text.parse().ok()).next();
    Named::at(tenants.first().copied(), project)
}
