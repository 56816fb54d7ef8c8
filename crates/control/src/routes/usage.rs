//! What a tenant consumed: hour by hour, and summed up.

use crate::admin::Admin;
use crate::page::{limit, next_cursor};
use crate::path::TenantPath;
use crate::view::{UsageTotalView, UsageWindowView};
use crate::{Control, Routes};
use axum::Json;
use axum::response::Response;
use port::Refusal;
use serde::{Deserialize, Serialize};
use tenancy::{UsageFilter, UsageMetric, UsageStep, UsageWindow, UsageWindowKey};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::param::{bad_page_cursor, parse_page_cursor};
use wire_http::schema::ErrorSchema;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list_usage)).routes(routes!(sum_usage))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UsageQuery {
    pub(crate) project: Option<ProjectId>,
    metric: Option<UsageMetric>,
    from: Option<TimestampMs>,
    to: Option<TimestampMs>,
    step: UsageStep,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TotalQuery {
    project: Option<ProjectId>,
    metric: Option<UsageMetric>,
    from: Option<TimestampMs>,
    to: Option<TimestampMs>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UsageList {
    windows: Vec<UsageWindowView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UsageTotals {
    pub(crate) totals: Vec<UsageTotalView>,
}

/// The place after a window, in the order of the list.
#[derive(Serialize, Deserialize)]
struct Place(TimestampMs, ProjectId, UsageMetric);

fn read_place(cursor: Option<&str>) -> Result<Option<UsageWindowKey>, Refusal> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = parse_page_cursor(cursor)?;
    let Place(window_start, project, metric) =
        serde_json::from_slice(&bytes).map_err(|_| bad_page_cursor())?;
    Ok(Some(UsageWindowKey { window_start, project, metric }))
}

fn write_place(window: &UsageWindow) -> Result<String, Refusal> {
    let place = Place(window.window_start, window.project, window.metric);
    serde_json::to_string(&place).map_err(|error| Refusal::internal(&error))
}

/// Usage hour by hour, or day by day
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/usage", tag = "usage",
    extensions(("x-permission" = json!("usage:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = Option<String>, Query, description = "Only this project's"),
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
        (status = 200, description = "Windows in the order of time, project and metric",
            body = UsageList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_usage(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    StrictQuery(query): StrictQuery<UsageQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.tenant(tenant).await?;
        list(&admin, tenant, &query).await.map(Json)
    };
    admin.answer(outcome.await)
}

/// Windows of a tenant, hours or days.
pub(crate) async fn list(
    control: &Control,
    tenant: TenantId,
    query: &UsageQuery,
) -> Result<UsageList, Refusal> {
    let filter = UsageFilter {
        project: query.project,
        metric: query.metric,
        from: query.from,
        to: query.to,
        after: read_place(query.cursor.as_deref())?,
    };
    let limit = limit(query.limit)?;
    let page = match query.step {
        UsageStep::Hour => control.tenancy.usage(tenant, &filter, limit).await?,
        UsageStep::Day => control.tenancy.usage_days(tenant, &filter, limit).await?,
    };
    let last = page.items.last().map(write_place).transpose()?;
    let next_cursor = next_cursor(last, page.has_more);
    let windows = page.items.into_iter().map(UsageWindowView::from).collect();
    Ok(UsageList { windows, next_cursor })
}

/// Usage summed up per project and metric
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/usage/totals", tag = "usage",
    extensions(("x-permission" = json!("usage:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("metric" = Option<String>, Query, description = "Only this metric"),
        ("from" = Option<i64>, Query, description = "Windows that begin then or later (ms)"),
        ("to" = Option<i64>, Query, description = "Windows that begin before then (ms)"),
    ),
    responses(
        (status = 200, description = "Sums", body = UsageTotals),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn sum_usage(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    StrictQuery(query): StrictQuery<TotalQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.tenant(tenant).await?;
        let filter = UsageFilter {
            project: query.project,
            metric: query.metric,
            from: query.from,
            to: query.to,
            after: None,
        };
        let totals = admin.tenancy.usage_totals(tenant, &filter).await?;
        Ok(Json(UsageTotals { totals: totals.into_iter().map(Into::into).collect() }))
    };
    admin.answer(outcome.await)
}
