//! Which acts wait for a second person: the catalogue of those that may, and the marks of the
//! installation and of tenants. Taking a mark away waits for a second person itself.

use crate::Routes;
use crate::access::Checked;
use crate::admin::Admin;
use crate::approvals::catalogue::Act;
use crate::approvals::decide::{Needs, approvers};
use crate::approvals::view::{ActView, AskedView};
use crate::routes::roles::place;
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use port::{Code, Refusal};
use rules::{Permission, Place};
use serde::{Deserialize, Serialize};
use tenancy::{APPROVAL_HOURS_MAX, ApprovalPlace, ApprovalRule, NewApprovalRule};
use types::{TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// How long an act waits unless it is said otherwise.
const HOURS: u32 = 24;
const _: () = assert!(HOURS <= APPROVAL_HOURS_MAX);

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_acts))
        .routes(routes!(list_rules))
        .routes(routes!(mark_act, unmark_act))
}

#[derive(Serialize, ToSchema)]
struct ActList {
    acts: Vec<ActView>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleQuery {
    tenant: Option<TenantId>,
}

/// A mark.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalRule)]
struct RuleView {
    /// `null`: of the whole installation.
    tenant: Option<String>,
    act: String,
    summary: String,
    /// How long it waits for somebody to decide.
    hours: u32,
    /// Who marked it, and when.
    actor: String,
    at: TimestampMs,
}

#[derive(Serialize, ToSchema)]
struct RuleList {
    rules: Vec<RuleView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MarkAct {
    /// 1 to 168; 24 when absent.
    hours: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Marked {
    rule: RuleView,
    /// How many may approve it at this moment, who asks counted in: with fewer than two nobody can
    /// do it any more but by breaking the glass.
    approvers: usize,
}

fn show(admin: &Admin, rule: ApprovalRule) -> RuleView {
    let act = admin.shared().acts.named(&rule.act);
    RuleView {
        tenant: rule.tenant.map(|id| id.to_string()),
        summary: act.map(|act| act.summary.clone()).unwrap_or_default(),
        act: rule.act,
        hours: rule.hours,
        actor: rule.actor,
        at: rule.at,
    }
}

/// The act, which the tenant must be able to mark for itself when it is named.
fn find<'a>(admin: &'a Admin, name: &str, tenant: Option<TenantId>) -> Result<&'a Act, Refusal> {
    let act = admin.shared().acts.named(name).ok_or_else(|| {
        Refusal::new(Code::NotFound, "there is no such act")
            .field("act")
            .hint("/v1/approval-acts lists them")
    })?;
    if tenant.is_some() && !act.is_of_tenant() {
        let why = "this act is the installation's: no tenant can mark it";
        return Err(Refusal::new(Code::InvalidRequest, why).field("tenant"));
    }
    Ok(act)
}

/// List the acts that may be made to wait for a second person
///
/// Whatever changes something and needs a permission is one, and reading records or keys in bulk.
#[utoipa::path(
    get, path = "/v1/approval-acts", tag = "approvals", operation_id = "list_approval_acts",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 200, description = "All of them", body = ActList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_acts(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let acts = admin.shared().acts.all().iter().map(ActView::from).collect();
    admin.answer(Ok(Json(ActList { acts })))
}

/// List the acts that wait for a second person
#[utoipa::path(
    get, path = "/v1/approval-rules", tag = "approvals", operation_id = "list_approval_rules",
    extensions(("x-permission" = json!("approvals:read")), ("x-checked" = json!("handler"))),
    params(("tenant" = Option<String>, Query, description = "Also this tenant's own; those of the \
        installation only when absent")),
    responses(
        (status = 200, description = "Marks", body = RuleList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_rules(admin: Admin, StrictQuery(query): StrictQuery<RuleQuery>) -> Response {
    let outcome = async {
        // Those of the installation concern everybody.
        if query.tenant.is_some() {
            admin.require(Permission::ApprovalsRead, place(query.tenant, None))?;
        }
        let rules = admin.tenancy.approval_rules(query.tenant).await?;
        let rules = rules.into_iter().map(|rule| show(&admin, rule)).collect();
        Ok(Json(RuleList { rules }))
    };
    admin.answer(outcome.await)
}

/// Make an act wait for a second person, in the installation or in a tenant
#[utoipa::path(
    put, path = "/v1/approval-rules/{act}", tag = "approvals", operation_id = "mark_act",
    extensions(
        ("x-permission" = json!("approvals:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(
        ("act" = String, Path, description = "The act's name"),
        ("tenant" = Option<String>, Query, description = "In this tenant only"),
    ),
    request_body = MarkAct,
    responses(
        (status = 200, description = "Marked", body = Marked),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn mark_act(
    admin: Admin,
    Path(name): Path<String>,
    StrictQuery(query): StrictQuery<RuleQuery>,
    StrictJson(body): StrictJson<MarkAct>,
) -> Response {
    let outcome = async {
        admin.require(Permission::ApprovalsWrite, place(query.tenant, None))?;
        let act = find(&admin, &name, query.tenant)?;
        if act.checked == Checked::InInstallation {
            // What is the installation's to do is not the tenant's to hold up.
            admin.require(Permission::ApprovalsWrite, Place::Installation)?;
        }
        let hours = body.hours.unwrap_or(HOURS);
        let new = NewApprovalRule { tenant: query.tenant, act: act.name.clone(), hours };
        let made = admin.tenancy.put_approval_rule(new, &admin.actor()).await?;
        let at_installation = act.checked == Checked::InInstallation;
        let there = ApprovalPlace { tenant: query.tenant, project: None, at_installation };
        let needs = Needs::new(act.permission, &there);
        let approvers = approvers(admin.shared(), needs, None).await?.len();
        Ok(Json(Marked { rule: show(&admin, made), approvers }))
    };
    admin.answer(outcome.await)
}

/// Let an act be done by one person again; a second one must approve that
#[utoipa::path(
    delete, path = "/v1/approval-rules/{act}", tag = "approvals", operation_id = "unmark_act",
    extensions(
        ("x-permission" = json!("approvals:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(
        ("act" = String, Path, description = "The act's name"),
        ("tenant" = Option<String>, Query, description = "In this tenant"),
    ),
    responses(
        (status = 202, description = "Waits for a second person", body = AskedView),
        (status = 204, description = "Taken away"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn unmark_act(
    admin: Admin,
    Path(name): Path<String>,
    StrictQuery(query): StrictQuery<RuleQuery>,
) -> Response {
    let outcome = async {
        admin.require(Permission::ApprovalsWrite, place(query.tenant, None))?;
        admin.tenancy.delete_approval_rule(query.tenant, &name, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
