//! Plans: look at those that are always there, make and change one's own.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::PlanPath;
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::{Change, Refusal};
use serde::{Deserialize, Serialize};
use tenancy::{PAGE_ITEMS_MAX, Plan, PlanRecord};
use types::TimestampMs;
use types::plan::Terms;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// Tenants of one plan that are told at once when it changes; others learn of it when their
/// settings are next read, which is within the time that settings are trusted.
const TOLD_PAGES_MAX: usize = 100;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list_plans)).routes(routes!(get_plan, put_plan, archive_plan))
}

/// A price list's step.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanTier)]
#[allow(dead_code, reason = "describes; the value itself is `types::plan::Tier`")]
pub(crate) struct TierSchema {
    /// Units beyond the included ones up to which the price holds; absent on the last.
    up_to: Option<u64>,
    /// Minor units (cents) for each `per` units.
    price_minor: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PlanMetricTerms)]
#[allow(dead_code, reason = "describes; the value itself is `types::plan::MetricTerms`")]
pub(crate) struct MetricTermsSchema {
    /// Used at no further cost.
    included: u64,
    /// Beyond it the tenant is warned and goes on.
    soft_max: Option<u64>,
    /// Beyond it use is refused until the next month.
    hard_max: Option<u64>,
    /// How many units one price is for; 1 when absent.
    per: Option<u64>,
    tiers: Vec<TierSchema>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PlanTerms)]
#[allow(dead_code, reason = "describes; the value itself is `types::plan::Terms`")]
pub(crate) struct TermsSchema {
    /// Three small letters (ISO 4217).
    currency: String,
    /// What a month costs before anything is used, in minor units.
    base_minor: u64,
    trial_days: u32,
    /// The plan a trial ends in when no subscription was taken; absent keeps this one.
    after_trial: Option<String>,
    /// How long a tenant whose payment failed goes on.
    grace_days: u32,
    /// By the names of metrics; what is not named is free and unbounded.
    metrics: std::collections::BTreeMap<String, MetricTermsSchema>,
    /// Bounds of each project, beside its own.
    #[schema(value_type = Object)]
    limits: types::Limits,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanView {
    plan: String,
    title: String,
    #[schema(value_type = TermsSchema)]
    terms: Terms,
    is_builtin: bool,
    created_at: Option<TimestampMs>,
    /// New tenants are refused it since.
    archived_at: Option<TimestampMs>,
}

impl From<PlanRecord> for PlanView {
    fn from(found: PlanRecord) -> PlanView {
        PlanView {
            plan: found.plan.name().to_owned(),
            title: found.title,
            terms: found.terms,
            is_builtin: found.created_at.is_none(),
            created_at: found.created_at,
            archived_at: found.archived_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct PlanList {
    plans: Vec<PlanView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutPlan {
    /// For people, 1 to 128 bytes.
    title: String,
    #[schema(value_type = TermsSchema)]
    terms: Terms,
}

/// List plans
#[utoipa::path(
    get, path = "/v1/plans", tag = "plans",
    extensions(("x-permission" = json!("billing:read"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Those that are always there first", body = PlanList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_plans(admin: Admin, StrictQuery(query): StrictQuery<PageQuery>) -> Response {
    let outcome = async {
        let after: Option<String> = query.place()?;
        let page = admin.tenancy.plans(after.as_deref(), query.limit()?).await?;
        let last = page.items.last().map(|last| last.plan.name().to_owned());
        let next_cursor = next_cursor(last, page.has_more);
        let plans = page.items.into_iter().map(PlanView::from).collect();
        Ok(Json(PlanList { plans, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at a plan
#[utoipa::path(
    get, path = "/v1/plans/{plan}", tag = "plans",
    extensions(("x-permission" = json!("billing:read"))),
    params(("plan" = String, Path, description = "The plan's name")),
    responses(
        (status = 200, description = "The plan", body = PlanView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_plan(admin: Admin, PlanPath(plan): PlanPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = admin.tenancy.plan(&plan).await;
    admin.answer(outcome.map(|found| Json(PlanView::from(found))).map_err(Into::into))
}

/// Make a plan or change it, in force for its tenants at once
#[utoipa::path(
    put, path = "/v1/plans/{plan}", tag = "plans",
    extensions(("x-permission" = json!("billing:write"))),
    params(("plan" = String, Path, description = "1 to 40 of `a-z`, `0-9` and `-`")),
    request_body = PutPlan,
    responses(
        (status = 200, description = "Changed", body = PlanView),
        (status = 201, description = "Made", body = PlanView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn put_plan(
    admin: Admin,
    PlanPath(plan): PlanPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<PutPlan>,
) -> Response {
    let outcome = async {
        rules::plan::check(&body.terms)?;
        if let Some(after) = &body.terms.after_trial {
            let found = admin.tenancy.plan(&Plan::parse(after)?).await;
            found.map_err(|error| Refusal::from(error).field("terms.after_trial"))?;
        }
        let by = admin.actor();
        let (found, is_new) = admin.tenancy.put_plan(&plan, &body.title, &body.terms, &by).await?;
        if !is_new {
            tell(&admin, &plan).await?;
        }
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(PlanView::from(found))))
    };
    admin.answer(outcome.await)
}

async fn tell(admin: &Admin, plan: &Plan) -> Result<(), Refusal> {
    let mut after = None;
    for _ in 0..TOLD_PAGES_MAX {
        let page = admin.tenancy.tenants_of_plan(plan, after, PAGE_ITEMS_MAX).await?;
        page.items.iter().for_each(|tenant| admin.changed(Change::Tenant(*tenant)));
        after = page.items.last().copied();
        if !page.has_more {
            break;
        }
    }
    Ok(())
}

/// Archive a plan: no tenant takes it any more, those who have it keep it
#[utoipa::path(
    delete, path = "/v1/plans/{plan}", tag = "plans",
    extensions(("x-permission" = json!("billing:write"))),
    params(("plan" = String, Path, description = "The plan's name")),
    responses(
        (status = 204, description = "Archived"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn archive_plan(admin: Admin, PlanPath(plan): PlanPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = admin.tenancy.archive_plan(&plan, &admin.actor()).await;
    admin.answer(outcome.map(|()| StatusCode::NO_CONTENT).map_err(Into::into))
}
