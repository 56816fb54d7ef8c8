//! What a project's own principals see and change of it on the public port: its connections, with
//! the scopes `admin:read` and `admin:write`, its webhooks, with the same, and its usage, with
//! `billing:read`. Never another project's: the tenant and the project are those of the proven
//! identity.

mod token;
mod webhooks;

use crate::Control;
use crate::page::{limit, next_cursor, place};
use crate::path::ConnectionPath;
use crate::routes::accounts::{AccountView, account_view};
use crate::routes::audit::{AuditList, AuditQuery};
use crate::routes::connections::{ConnectionList, close, list};
use crate::routes::principals::{RevokePrincipal, RevokedPrincipal, revoke};
use crate::routes::usage::{UsageList, UsageQuery, UsageTotals, list as list_usage};
use crate::view::AuditView;
use axum::extract::{FromRef, State};
use axum::response::Response;
use axum::{Json, Router};
use http::StatusCode;
use port::{Code, ConnectionFilter, ConnectionId, HttpState, Refusal};
use serde::Deserialize;
use std::sync::Arc;
use tenancy::{Actor, AuditFilter, UsageFilter, UsageMetric};
use types::{Scope, TimestampMs};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{Caller, StrictJson, StrictQuery};

#[derive(Clone)]
struct Own(Arc<Control>);

impl FromRef<Own> for HttpState {
    fn from_ref(own: &Own) -> HttpState {
        HttpState { hub: Arc::clone(&own.0.hub) }
    }
}

fn described() -> OpenApiRouter<Own> {
    OpenApiRouter::new()
        .routes(routes!(list_own_connections))
        .routes(routes!(close_own_connection))
        .routes(routes!(revoke_own_principal))
        .routes(routes!(sum_own_usage))
        .routes(routes!(list_own_usage))
        .routes(routes!(get_own_account))
        .routes(routes!(list_own_audit))
        .routes(routes!(token::revoke_own_token))
        .merge(webhooks::described())
}

pub(crate) fn routes(control: &Control) -> Router {
    let (router, _) = described().split_for_parts();
    router.with_state(Own(Arc::new(control.clone())))
}

pub(crate) fn openapi() -> OpenApi {
    described().into_openapi()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnQuery {
    protocol: Option<String>,
    principal: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnTotals {
    metric: Option<UsageMetric>,
    from: Option<TimestampMs>,
    to: Option<TimestampMs>,
}

/// List the project's open connections
#[utoipa::path(
    get, path = "/v1/connections", tag = "connections",
    params(
        ("protocol" = Option<String>, Query, description = "Only of this protocol"),
        ("principal" = Option<String>, Query, description = "Only this principal's"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Connections of this node in the order they were opened",
            body = ConnectionList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_connections(
    caller: Caller,
    State(Own(control)): State<Own>,
    StrictQuery(query): StrictQuery<OwnQuery>,
) -> Response {
    let outcome = || {
        rules::scopes::require(caller.identity.claims().scopes, Scope::AdminRead)?;
        let filter = ConnectionFilter {
            tenant: Some(caller.identity.tenant()),
            project: Some(caller.identity.project()),
            protocol: query.protocol,
            principal: query.principal,
            after: place(query.cursor.as_deref())?.map(ConnectionId),
        };
        let (connections, has_more) = list(control.live.as_ref(), &filter, limit(query.limit)?);
        let next_cursor = next_cursor(connections.last().map(|open| open.id), has_more);
        Ok(Json(ConnectionList { connections, next_cursor }))
    };
    caller.answer(outcome())
}

/// Close one of the project's connections
#[utoipa::path(
    delete, path = "/v1/connections/{connection}", tag = "connections",
    params(("connection" = u64, Path, description = "The connection's id")),
    responses(
        (status = 204, description = "Closing"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn close_own_connection(
    caller: Caller,
    State(Own(control)): State<Own>,
    ConnectionPath(connection): ConnectionPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        rules::scopes::require(caller.identity.claims().scopes, Scope::AdminWrite)?;
        let filter = ConnectionFilter {
            tenant: Some(caller.identity.tenant()),
            project: Some(caller.identity.project()),
            ..ConnectionFilter::default()
        };
        close(&control, filter, connection, &Actor::from(&caller.identity)).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    caller.answer(outcome.await)
}

/// Revoke a principal
///
/// Its sessions end at once, and its tokens of before now are refused from now on.
#[utoipa::path(
    post, path = "/v1/principals/revoke", tag = "connections",
    request_body = RevokePrincipal,
    responses(
        (status = 200, description = "Revoked", body = RevokedPrincipal),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn revoke_own_principal(
    caller: Caller,
    State(Own(control)): State<Own>,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RevokePrincipal>,
) -> Response {
    let outcome = async {
        let who = &caller.identity;
        rules::scopes::require(who.claims().scopes, Scope::AdminWrite)?;
        let by = Actor::from(who);
        revoke(&control, (who.tenant(), who.project()), &body, &by).await.map(Json)
    };
    caller.answer(outcome.await)
}

/// The project's usage, summed up per metric
#[utoipa::path(
    get, path = "/v1/usage", tag = "usage",
    params(
        ("metric" = Option<String>, Query, description = "`events_published`, \
            `events_delivered`, `connection_seconds`, `api_requests`, `bytes_published`, \
            `bytes_delivered` or `stored_byte_hours`"),
        ("from" = Option<i64>, Query, description = "Windows that begin then or later (ms)"),
        ("to" = Option<i64>, Query, description = "Windows that begin before then (ms)"),
    ),
    responses(
        (status = 200, description = "Sums", body = UsageTotals),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn sum_own_usage(
    caller: Caller,
    State(Own(control)): State<Own>,
    StrictQuery(query): StrictQuery<OwnTotals>,
) -> Response {
    let outcome = async {
        rules::scopes::require(caller.identity.claims().scopes, Scope::BillingRead)?;
        let filter = UsageFilter {
            project: Some(caller.identity.project()),
            metric: query.metric,
            from: query.from,
            to: query.to,
            after: None,
        };
        let totals = control.tenancy.usage_totals(caller.identity.tenant(), &filter).await?;
        Ok(Json(UsageTotals { totals: totals.into_iter().map(Into::into).collect() }))
    };
    caller.answer(outcome.await)
}

/// The project's usage hour by hour, or day by day
#[utoipa::path(
    get, path = "/v1/usage/windows", tag = "usage",
    params(
        ("metric" = Option<String>, Query, description = "`events_published`, \
            `events_delivered`, `connection_seconds`, `api_requests`, `bytes_published`, \
            `bytes_delivered` or `stored_byte_hours`"),
        ("from" = Option<i64>, Query, description = "Windows that begin then or later (ms)"),
        ("to" = Option<i64>, Query, description = "Windows that begin before then (ms)"),
        ("step" = Option<String>, Query, description = "`hour` when absent, or `day` (UTC)"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Windows in the order of time and metric", body = UsageList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_usage(
    caller: Caller,
    State(Own(control)): State<Own>,
    StrictQuery(mut query): StrictQuery<UsageQuery>,
) -> Response {
    let outcome = async {
        rules::scopes::require(caller.identity.claims().scopes, Scope::BillingRead)?;
        let own = caller.identity.project();
        if query.project.is_some_and(|project| project != own) {
            let refusal = Refusal::new(Code::NotFound, "there is no such project here");
            return Err(refusal.field("project"));
        }
        query.project = Some(own);
        list_usage(&control, caller.identity.tenant(), &query).await.map(Json)
    };
    caller.answer(outcome.await)
}

/// The account that the project belongs to: plan, the month's use and cost, forecast
#[utoipa::path(
    get, path = "/v1/account", tag = "usage",
    responses(
        (status = 200, description = "The tenant's account; of projects, only this one",
            body = AccountView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_own_account(
    caller: Caller,
    State(Own(control)): State<Own>,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        rules::scopes::require(caller.identity.claims().scopes, Scope::BillingRead)?;
        let view = account_view(&control, caller.identity.tenant()).await?;
        Ok(Json(view.of_project(caller.identity.project())))
    };
    caller.answer(outcome.await)
}

/// The project's part of the audit trail, newest first
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit",
    params(
        ("action" = Option<String>, Query,
            description = "Only this action, such as `key.revoke` or `key.*`"),
        ("actor" = Option<String>, Query, description = "Only what he did"),
        ("target" = Option<String>, Query, description = "Only what was done to it"),
        ("outcome" = Option<String>, Query, description = "`done`, `refused` or `failed`"),
        ("address" = Option<String>, Query, description = "Only what was asked for from there"),
        ("from" = Option<i64>, Query, description = "Written then or later (ms since 1970)"),
        ("to" = Option<i64>, Query, description = "Written before then (ms since 1970)"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Records, newest first", body = AuditList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_audit(
    caller: Caller,
    State(Own(control)): State<Own>,
    StrictQuery(query): StrictQuery<AuditQuery>,
) -> Response {
    let outcome = async {
        let who = &caller.identity;
        rules::scopes::require(who.claims().scopes, Scope::AdminRead)?;
        let is_own = query.tenant.is_none_or(|tenant| tenant == who.tenant())
            && query.project.is_none_or(|project| project == who.project());
        if !is_own {
            let refusal = Refusal::new(Code::NotFound, "there is no such project here");
            return Err(refusal.field("project"));
        }
        let filter = AuditFilter { project: Some(who.project()), ..query.filter()? };
        let page = control.tenancy.audit(who.tenant(), &filter, limit(query.limit)?).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let records = page.items.into_iter().map(AuditView::from).collect();
        Ok(Json(AuditList { records, next_cursor }))
    };
    caller.answer(outcome.await)
}
