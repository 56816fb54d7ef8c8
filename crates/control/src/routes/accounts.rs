//! A tenant's account: its plan, what the month used and costs so far, where it will end, and the
//! budgets set on it.

use crate::accounts::month;
use crate::admin::Admin;
use crate::path::{BudgetPath, TenantPath};
use crate::{Control, Routes};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::{Change, Refusal};
use rules::plan::{self, Period};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tenancy::{Budget, BudgetAction, NewBudget, UsageFilter, UsageMetric};
use types::plan::{DAY_MS, MetricTerms};
use types::{ProjectId, TenantId, TimestampMs, Usage};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// Days that a trend compares with as many before.
const TREND_DAYS: i64 = 7;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(get_account))
        .routes(routes!(list_budgets, create_budget))
        .routes(routes!(delete_budget))
}

/// One metric of the month.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountMetric)]
struct MetricView {
    #[schema(value_type = String)]
    metric: UsageMetric,
    /// So far.
    used: u64,
    /// At the month's end, if it goes on as it did.
    forecast: u64,
    /// `null`: the plan does not name the metric; it is free and unbounded.
    included: Option<u64>,
    soft_max: Option<u64>,
    hard_max: Option<u64>,
    /// Of what use beyond the included amount costs so far, in minor units.
    amount_minor: u64,
    forecast_minor: u64,
    /// The last seven days, and the seven before.
    last_week: u64,
    week_before: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccountProject)]
struct ProjectUse {
    project: String,
    /// So far, by metric.
    #[schema(value_type = Object)]
    used: Usage,
    /// Bytes that its topics take on the device now.
    stored_bytes: u64,
}

/// A month as it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountView {
    tenant: String,
    plan: String,
    /// `active`, `trial`, `past_due` or `suspended`.
    status: &'static str,
    status_reason: Option<String>,
    trial_ends_at: Option<TimestampMs>,
    past_due_at: Option<TimestampMs>,
    /// The tenant is suspended then unless a payment comes.
    grace_ends_at: Option<TimestampMs>,
    /// Why further use is refused, and until when.
    stop_reason: Option<String>,
    stop_until: Option<TimestampMs>,
    stripe_subscription_id: Option<String>,
    stripe_status: Option<String>,
    period_start: TimestampMs,
    period_end: TimestampMs,
    currency: String,
    base_minor: u64,
    metrics: Vec<MetricView>,
    projects: Vec<ProjectUse>,
    /// The invoice as it stands.
    total_minor: u64,
    /// The invoice at the month's end, if it goes on as it did.
    forecast_minor: u64,
    budgets: Vec<BudgetView>,
    /// What could be saved, in words.
    hints: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetView {
    id: String,
    name: String,
    /// `null`: of money, in minor units of the plan's currency.
    #[schema(value_type = Option<String>)]
    metric: Option<UsageMetric>,
    /// Per calendar month.
    amount: u64,
    /// `warn` or `stop`.
    #[schema(value_type = String)]
    action: BudgetAction,
    created_at: TimestampMs,
}

impl From<Budget> for BudgetView {
    fn from(budget: Budget) -> BudgetView {
        BudgetView {
            id: budget.id.to_string(),
            name: budget.name,
            metric: budget.metric,
            amount: budget.amount,
            action: budget.action,
            created_at: budget.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct BudgetList {
    budgets: Vec<BudgetView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateBudget {
    name: String,
    /// A metric's name; absent: money, in minor units of the plan's currency.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    metric: Option<UsageMetric>,
    /// Per calendar month.
    amount: u64,
    /// `warn` when absent, or `stop`: further use is refused until the month is over.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    action: BudgetAction,
}

async fn used_between(
    control: &Control,
    tenant: TenantId,
    from: TimestampMs,
    to: TimestampMs,
) -> Result<HashMap<ProjectId, Usage>, Refusal> {
    let filter = UsageFilter { from: Some(from), to: Some(to), ..UsageFilter::default() };
    let mut by_project: HashMap<ProjectId, Usage> = HashMap::new();
    for total in control.tenancy.usage_totals(tenant, &filter).await? {
        *by_project.entry(total.project).or_default().at(total.metric) = total.quantity;
    }
    Ok(by_project)
}

fn sum(by_project: &HashMap<ProjectId, Usage>) -> Usage {
    by_project.values().fold(Usage::default(), |sum, usage| sum.plus(usage))
}

fn metric_view(
    metric: UsageMetric,
    of: Option<&MetricTerms>,
    used: u64,
    period: Period,
    (last, before): (&Usage, &Usage),
) -> MetricView {
    let forecast = plan::forecast(used, period);
    // Use beyond a hard limit is refused, so it cannot be paid for.
    let forecast =
        of.and_then(|of| of.hard_max).map_or(forecast, |max| forecast.min(max.max(used)));
    MetricView {
        metric,
        used,
        forecast,
        included: of.map(|of| of.included),
        soft_max: of.and_then(|of| of.soft_max),
        hard_max: of.and_then(|of| of.hard_max),
        amount_minor: of.map_or(0, |of| plan::price(of, used)),
        forecast_minor: of.map_or(0, |of| plan::price(of, forecast)),
        last_week: last.get(metric),
        week_before: before.get(metric),
    }
}

/// What the numbers suggest; each names what it rests on.
fn hints(metrics: &[MetricView], stored: u64) -> Vec<String> {
    let of = |metric: UsageMetric| metrics.iter().find(|view| view.metric == metric);
    let mut hints = Vec::new();
    let costs = |metric| of(metric).is_some_and(|view| view.forecast_minor > 0);
    let (published, delivered) =
        (of(UsageMetric::EventsPublished), of(UsageMetric::EventsDelivered));
    if let (Some(published), Some(delivered)) = (published, delivered)
        && costs(UsageMetric::EventsDelivered)
        && delivered.used > published.used.saturating_mul(10)
    {
        let each = delivered.used / published.used.max(1);
        hints.push(format!(
            "each published event is delivered {each} times: `where` and `conflate_ms` of \
             subscriptions leave out what readers do not need"
        ));
    }
    if costs(UsageMetric::StoredByteHours) && stored > 0 {
        hints.push(format!(
            "{stored} bytes are stored: a shorter retention or compaction of topics keeps less"
        ));
    }
    if costs(UsageMetric::BytesDelivered) {
        hints.push(
            "bytes delivered cost beyond the included amount: topics with `delta` send differences"
                .to_owned(),
        );
    }
    hints
}

/// The account of a tenant; of one project only, when it is the project's own principal who asks.
pub(crate) async fn account_view(
    control: &Control,
    tenant: TenantId,
) -> Result<AccountView, Refusal> {
    let found = control.tenancy.tenant(tenant).await?;
    let account = control.tenancy.account(tenant).await?;
    let terms = control.tenancy.allowance(&found.plan, tenant).await?.terms;
    let now = control.clock.now_ms();
    let period = month(now);
    let projects = used_between(control, tenant, period.start, period.end).await?;
    let used = sum(&projects);
    let week = TREND_DAYS * DAY_MS;
    let last = sum(&used_between(control, tenant, now - week, now + DAY_MS).await?);
    let before = sum(&used_between(control, tenant, now - 2 * week, now - week).await?);
    let view = |metric: UsageMetric| {
        let of = terms.metrics.get(&metric);
        metric_view(metric, of, used.get(metric), period, (&last, &before))
    };
    let metrics: Vec<MetricView> =
        UsageMetric::ALL.iter().map(|(metric, _)| view(*metric)).collect();
    let forecast = metrics.iter().map(|metric| metric.forecast_minor);
    let mut of_projects: Vec<ProjectUse> = projects
        .iter()
        .map(|(project, used)| ProjectUse {
            project: project.to_string(),
            used: *used,
            stored_bytes: control.live.stored_bytes(*project),
        })
        .collect();
    of_projects.sort_unstable_by(|left, right| left.project.cmp(&right.project));
    let stored = of_projects.iter().map(|project| project.stored_bytes).sum();
    let stop = account.stop.filter(|stop| stop.until > now);
    let budgets = control.tenancy.budgets(tenant).await?;
    Ok(AccountView {
        tenant: tenant.to_string(),
        plan: found.plan.name().to_owned(),
        status: found.status.name(),
        status_reason: found.status_reason,
        trial_ends_at: account.trial_ends_at,
        past_due_at: account.past_due_at,
        grace_ends_at: account.grace_ends_at,
        stop_reason: stop.as_ref().map(|stop| stop.reason.clone()),
        stop_until: stop.map(|stop| stop.until),
        stripe_subscription_id: account.stripe_subscription_id,
        stripe_status: account.stripe_status,
        period_start: period.start,
        period_end: period.end,
        total_minor: plan::cost(&terms, &used).total_minor,
        forecast_minor: forecast.fold(terms.base_minor, u64::saturating_add),
        currency: terms.currency,
        base_minor: terms.base_minor,
        hints: hints(&metrics, stored),
        metrics,
        projects: of_projects,
        budgets: budgets.into_iter().map(BudgetView::from).collect(),
    })
}

impl AccountView {
    /// Without what belongs to the tenant's other projects alone.
    pub(crate) fn of_project(mut self, project: ProjectId) -> AccountView {
        let own = project.to_string();
        self.projects.retain(|of| of.project == own);
        self
    }
}

/// Look at a tenant's account: plan, the month's use and cost, forecast, budgets
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/account", tag = "plans", operation_id = "get_tenant_account",
    extensions(("x-permission" = json!("billing:read"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "The account", body = AccountView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_account(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    admin.answer(account_view(&admin, tenant).await.map(Json))
}

/// List a tenant's budgets
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/budgets", tag = "plans",
    extensions(("x-permission" = json!("billing:read"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "All of them, oldest first", body = BudgetList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_budgets(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.tenant(tenant).await?;
        let budgets = admin.tenancy.budgets(tenant).await?;
        Ok(Json(BudgetList { budgets: budgets.into_iter().map(BudgetView::from).collect() }))
    };
    admin.answer(outcome.await)
}

/// Set a budget
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/budgets", tag = "plans",
    extensions(("x-permission" = json!("billing:write"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = CreateBudget,
    responses(
        (status = 201, description = "Set", body = BudgetView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_budget(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateBudget>,
) -> Response {
    let CreateBudget { name, metric, amount, action } = body;
    let new = NewBudget { name, metric, amount, action };
    let outcome = admin.tenancy.create_budget(tenant, new, &admin.actor()).await;
    let outcome = outcome.map(|made| (StatusCode::CREATED, Json(BudgetView::from(made))));
    admin.answer(outcome.map_err(Into::into))
}

/// Drop a budget; use that it had stopped goes on
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/budgets/{budget}", tag = "plans",
    extensions(("x-permission" = json!("billing:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("budget" = String, Path, description = "The budget's id"),
    ),
    responses(
        (status = 204, description = "Dropped"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_budget(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    BudgetPath(budget): BudgetPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let by = admin.actor();
        admin.tenancy.delete_budget(tenant, budget, &by).await?;
        // Another budget that is used up stops it again at the next look.
        if admin.tenancy.account(tenant).await?.stop.is_some() {
            admin.tenancy.set_stop(tenant, None, &by).await?;
            admin.changed(Change::Tenant(tenant));
        }
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
