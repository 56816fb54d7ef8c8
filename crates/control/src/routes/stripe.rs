//! A tenant at Stripe: subscribe it, look at its next invoice, and at what was reported of it.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{limit, next_cursor, place};
use crate::path::TenantPath;
use axum::Json;
use axum::response::Response;
use billing::{Billing, Preview};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tenancy::{MeterReport, ReportState};
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(subscribe_tenant))
        .routes(routes!(preview_invoice))
        .routes(routes!(list_reports))
        .routes(routes!(settle_report))
}

#[derive(Serialize, ToSchema)]
struct Subscribed {
    subscription: String,
}

#[derive(Serialize, ToSchema)]
struct InvoicePreview {
    currency: String,
    /// Minor units; credits may make it negative.
    total_minor: i64,
    amount_due_minor: i64,
    lines: Vec<InvoiceLine>,
}

#[derive(Serialize, ToSchema)]
struct InvoiceLine {
    description: String,
    amount_minor: i64,
}

/// One hour of one metric on its way to Stripe.
#[derive(Serialize, ToSchema)]
#[schema(as = MeterReport)]
struct ReportView {
    /// Tenant, metric, window and part: Stripe counts it once.
    identifier: String,
    metric: &'static str,
    window_start: TimestampMs,
    /// 0: the window as it was first reported; others came later.
    part: u32,
    quantity: u64,
    /// `pending`, `sent` or `stuck`.
    state: &'static str,
    attempts: u32,
    /// When Stripe may first have counted it without an answer.
    uncertain_at: Option<TimestampMs>,
    next_at: TimestampMs,
    sent_at: Option<TimestampMs>,
    error: Option<String>,
}

impl From<MeterReport> for ReportView {
    fn from(report: MeterReport) -> ReportView {
        ReportView {
            identifier: report.identifier,
            metric: report.metric.name(),
            window_start: report.window_start,
            part: report.part,
            quantity: report.quantity,
            state: report.state.name(),
            attempts: report.attempts,
            uncertain_at: report.uncertain_at,
            next_at: report.next_at,
            sent_at: report.sent_at,
            error: report.error,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ReportList {
    reports: Vec<ReportView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Pending,
    Sent,
    Stuck,
}

impl From<State> for ReportState {
    fn from(state: State) -> ReportState {
        match state {
            State::Pending => ReportState::Pending,
            State::Sent => ReportState::Sent,
            State::Stuck => ReportState::Stuck,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReportQuery {
    state: Option<State>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Settle {
    /// Of a report that is `stuck`.
    identifier: String,
    /// `sent`: Stripe has it. `pending`: Stripe does not, send it again.
    #[schema(value_type = String)]
    state: State,
}

fn billing(admin: &Admin) -> Result<&Arc<Billing>, Refusal> {
    admin.billing.as_ref().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this node does not bill through Stripe")
            .field("billing.secret_key")
            .hint("configure `billing.secret_key_file`")
    })
}

/// Subscribe a tenant to the prices of its plan
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/stripe/subscribe", tag = "billing",
    extensions(("x-permission" = json!("billing:write"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "Subscribed; a subscription that is there stays",
            body = Subscribed),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn subscribe_tenant(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let subscription = billing(&admin)?.subscribe(tenant, &admin.actor()).await?;
        Ok(Json(Subscribed { subscription }))
    };
    admin.answer(outcome.await)
}

/// Look at the invoice that Stripe would make now
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/stripe/preview", tag = "billing",
    extensions(("x-permission" = json!("billing:read"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "The preview", body = InvoicePreview),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn preview_invoice(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let Preview { currency, total_minor, amount_due_minor, lines } =
            billing(&admin)?.preview(tenant).await?;
        let line = |line: billing::PreviewLine| InvoiceLine {
            description: line.description,
            amount_minor: line.amount_minor,
        };
        let lines = lines.into_iter().map(line).collect();
        Ok(Json(InvoicePreview { currency, total_minor, amount_due_minor, lines }))
    };
    admin.answer(outcome.await)
}

/// List what was and is to be reported of a tenant
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/stripe/reports", tag = "billing",
    extensions(("x-permission" = json!("billing:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("state" = Option<String>, Query, description = "`pending`, `sent` or `stuck`"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "In the order of their identifiers", body = ReportList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_reports(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    StrictQuery(query): StrictQuery<ReportQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.tenant(tenant).await?;
        let after: Option<String> = place(query.cursor.as_deref())?;
        let state = query.state.map(ReportState::from);
        let limit = limit(query.limit)?;
        let page = admin.tenancy.reports(tenant, state, after.as_deref(), limit).await?;
        let last = page.items.last().map(|last| last.identifier.clone());
        let next_cursor = next_cursor(last, page.has_more);
        let reports = page.items.into_iter().map(ReportView::from).collect();
        Ok(Json(ReportList { reports, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Decide what became of a report that is stuck
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/stripe/reports/settle", tag = "billing",
    extensions(
        ("x-permission" = json!("billing:write")),
        ("x-checked" = json!("installation"))
    ),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = Settle,
    responses(
        (status = 200, description = "Settled", body = ReportView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn settle_report(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Settle>,
) -> Response {
    let outcome = async {
        if matches!(body.state, State::Stuck) {
            let message = "a report is settled as `sent` or as `pending`";
            return Err(Refusal::new(Code::InvalidRequest, message).field("state"));
        }
        let (identifier, by) = (&body.identifier, admin.actor());
        let settled =
            admin.tenancy.settle_report(tenant, identifier, body.state.into(), &by).await?;
        Ok(Json(ReportView::from(settled)))
    };
    admin.answer(outcome.await)
}
