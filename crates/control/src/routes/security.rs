//! How well the installation, or a tenant of it, is set up: what the security checks find, why it
//! matters and how to cure it; and what somebody accepts until a day. Who looks sees what belongs
//! to places where he may.

mod activity;
mod view;

use crate::Routes;
use crate::admin::Admin;
use crate::page::{limit, next_cursor, place};
use crate::path::AcceptancePath;
use crate::security::{Look, Scope, look};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::{Code, Refusal};
use posture::{Area, Finding, Severity};
use rules::{Permission, Place};
use serde::{Deserialize, Serialize};
use tenancy::{Acceptance, NewAcceptance};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use view::{AcceptanceView, CheckView, CountsSchema, FindingView};
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_findings))
        .routes(routes!(list_checks))
        .routes(routes!(accept_finding))
        .routes(routes!(reopen_finding))
        .merge(activity::routes())
}

/// Which findings are wanted, by what was said of them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    Open,
    Accepted,
    All,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FindingQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    severity: Option<Severity>,
    area: Option<Area>,
    check: Option<String>,
    state: State,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SecurityFindings)]
struct FindingList {
    /// When it was looked.
    at: TimestampMs,
    /// Findings that nobody has accepted, whatever else was asked for.
    #[schema(value_type = CountsSchema)]
    open: posture::Counts,
    accepted: u64,
    /// Some records were left out of the look: there are too many.
    is_partial: bool,
    findings: Vec<FindingView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// Looks where who is asking may, and keeps what belongs there.
pub(super) async fn look_for(
    admin: &Admin,
    permission: Permission,
    wanted: (Option<TenantId>, Option<ProjectId>),
) -> Result<Look, Refusal> {
    let (tenant, project) = admin.narrowed(permission, wanted)?;
    let scope = tenant.map_or(Scope::Installation, Scope::Tenant);
    let mut look = look(admin, scope).await?;
    if let Some(project) = project {
        look.findings.retain(|(finding, _)| finding.place.project() == Some(project));
    }
    Ok(look)
}

/// Names a place in the list: the worst come first, then the names in their order.
fn key(finding: &Finding) -> String {
    let rank = match finding.severity {
        Severity::Critical => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    };
    format!("{rank}:{}", finding.id())
}

/// List what the security checks find, the worst first
///
/// Of the whole installation, or of one tenant. Looks now: what was put right is gone.
#[utoipa::path(
    get, path = "/v1/security/findings", tag = "security",
    extensions(("x-permission" = json!("security:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("severity" = Option<String>, Query, description = "`critical`, `warning` or `info`"),
        ("area" = Option<String>, Query,
            description = "`configuration`, `records` or `running`"),
        ("check" = Option<String>, Query, description = "Only what this check finds"),
        ("state" = Option<String>, Query,
            description = "`open` when absent; `accepted`, or `all`"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "What was found", body = FindingList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_findings(admin: Admin, StrictQuery(query): StrictQuery<FindingQuery>) -> Response {
    let outcome = async {
        let limit = limit(query.limit)?;
        let after: Option<String> = place(query.cursor.as_deref())?;
        if query.check.as_ref().is_some_and(|id| posture::check(id).is_none()) {
            return Err(Refusal::new(Code::InvalidRequest, "there is no such check")
                .field("check")
                .hint("/v1/security/checks lists them"));
        }
        let wanted = (query.tenant, query.project);
        let look = look_for(&admin, Permission::SecurityRead, wanted).await?;
        let (open, accepted) = (look.open(), look.accepted());
        let is_wanted = |(finding, acceptance): &(Finding, Option<Acceptance>)| {
            let is_in_state = match query.state {
                State::All => true,
                State::Open => acceptance.is_none(),
                State::Accepted => acceptance.is_some(),
            };
            is_in_state
                && query.severity.is_none_or(|severity| finding.severity == severity)
                && query.area.is_none_or(|area| finding.check.area == area)
                && query.check.as_ref().is_none_or(|id| finding.check.id == id)
                && after.as_ref().is_none_or(|after| key(finding) > *after)
        };
        let mut found: Vec<_> = look.findings.into_iter().filter(is_wanted).collect();
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = next_cursor(found.last().map(|(last, _)| key(last)), has_more);
        let findings = found.into_iter().map(FindingView::from).collect();
        let (at, is_partial) = (look.at, look.is_partial);
        Ok(Json(FindingList { at, open, accepted, is_partial, findings, next_cursor }))
    };
    admin.answer(outcome.await)
}

#[derive(Serialize, ToSchema)]
struct CheckList {
    checks: Vec<CheckView>,
}

/// List the security checks there are
#[utoipa::path(
    get, path = "/v1/security/checks", tag = "security", operation_id = "list_security_checks",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 200, description = "All of them", body = CheckList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_checks(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let checks = posture::checks().map(CheckView::from).collect();
    admin.answer(Ok(Json(CheckList { checks })))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptFinding {
    /// As the list of findings names it.
    finding: String,
    /// The tenant where it was found; absent: the installation.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Milliseconds since 1970, at most a year from now.
    until: TimestampMs,
    /// Why it may stay as it is, in one line for whoever looks at it later.
    reason: String,
}

/// Accept a finding until a day: it counts as open no more
#[utoipa::path(
    post, path = "/v1/security/acceptances", tag = "security",
    extensions(("x-permission" = json!("security:write")), ("x-checked" = json!("handler"))),
    request_body = AcceptFinding,
    responses(
        (status = 201, description = "Accepted", body = AcceptanceView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn accept_finding(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<AcceptFinding>,
) -> Response {
    let outcome = async {
        let wanted = (body.tenant, None);
        let look = look_for(&admin, Permission::SecurityWrite, wanted).await?;
        let found = look.findings.into_iter().find(|(finding, _)| finding.id() == body.finding);
        let (finding, _) = found.ok_or_else(|| {
            Refusal::new(Code::NotFound, "there is no such finding")
                .field("finding")
                .hint("it may be cured; /v1/security/findings lists those that are there")
        })?;
        admin.require(Permission::SecurityWrite, finding.place)?;
        let new = NewAcceptance {
            finding: body.finding,
            tenant: finding.place.tenant(),
            project: finding.place.project(),
            reason: body.reason,
            until: body.until,
        };
        let made = admin.tenancy.accept_finding(new, &admin.actor()).await?;
        Ok((StatusCode::CREATED, Json(AcceptanceView::from(made))))
    };
    admin.answer(outcome.await)
}

/// Let an accepted finding count again
#[utoipa::path(
    delete, path = "/v1/security/acceptances/{acceptance}", tag = "security",
    extensions(("x-permission" = json!("security:write")), ("x-checked" = json!("handler"))),
    params(("acceptance" = String, Path, description = "The acceptance's id")),
    responses(
        (status = 204, description = "It counts again"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn reopen_finding(
    admin: Admin,
    AcceptancePath(acceptance): AcceptancePath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let found = admin.tenancy.acceptance(acceptance).await?;
        let place = match (found.tenant, found.project) {
            (None, _) => Place::Installation,
            (Some(tenant), None) => Place::Tenant(tenant),
            (Some(tenant), Some(project)) => Place::Project(tenant, project),
        };
        // Whether there is one elsewhere is not told.
        if !admin.rights().allow(Permission::SecurityWrite, place) {
            return Err(Refusal::new(Code::NotFound, "there is no such acceptance"));
        }
        admin.tenancy.reopen_finding(acceptance, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
