//! Acts that wait for a second person: list, look at, approve, refuse, withdraw. Who asked sees his
//! own; others what belongs where they hold `approvals:read` or may decide.

use crate::Routes;
use crate::admin::Admin;
use crate::approvals::decide::{APPROVERS_MAX, Needs, approvers, asker, decider, may_decide};
use crate::approvals::place::asked_at;
use crate::approvals::sealed::{open, open_answer, shown};
use crate::approvals::view::{ApprovalView, ApproverView, DetailsView};
use crate::page::{limit, next_cursor, place};
use crate::path::ApprovalPath;
use crate::repeat::Kept;
use axum::Json;
use axum::response::{IntoResponse, Response};
use port::{Code, Refusal, metric};
use rules::{Permission, Place, Visible};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{Approval, ApprovalEnd, ApprovalFilter, ApprovalMode, ApprovalState, TenancyError};
use types::TenantId;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

const _: () = assert!(APPROVERS_MAX <= 100, "they are named in one answer");

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_approvals))
        .routes(routes!(get_approval))
        .routes(routes!(approve))
        .routes(routes!(refuse))
        .routes(routes!(withdraw))
        .routes(routes!(take_answer))
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Show {
    Mine,
    Others,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListQuery {
    state: Option<String>,
    show: Option<Show>,
    tenant: Option<TenantId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ApprovalList {
    approvals: Vec<ApprovalView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Decision {
    /// At most 1000 bytes; who asked reads it.
    #[serde(default)]
    comment: String,
}

#[derive(Serialize, ToSchema)]
struct TakenAnswer {
    /// The whole answer of what was carried out, with its secrets.
    #[schema(value_type = Object)]
    answer: Value,
}

fn states(text: Option<&str>) -> Result<Vec<ApprovalState>, Refusal> {
    let named = |word: &str| {
        ApprovalState::named(word).ok_or_else(|| {
            Refusal::new(Code::InvalidRequest, format!("there is no state `{word}`"))
                .field("state")
                .hint(
                    "`pending`, `approved`, `running`, `done`, `failed`, `refused`, `expired`, \
                       `withdrawn` or `void`; several with commas between them",
                )
        })
    };
    text.into_iter().flat_map(|text| text.split(',')).map(named).collect()
}

/// What whoever asks may see beside his own.
fn filter(admin: &Admin, query: &ListQuery) -> Result<ApprovalFilter, Refusal> {
    let me = admin.who().actor().as_str().to_owned();
    let mut places = Vec::new();
    let mut is_everywhere = false;
    for permission in [Permission::ApprovalsRead, Permission::ApprovalsDecide] {
        match admin.places_of(permission) {
            Visible::Everywhere => is_everywhere = true,
            Visible::In(held) => places
                .extend(held.iter().filter_map(|place| Some((place.tenant()?, place.project())))),
        }
    }
    let (asker, places) = match query.show {
        Some(Show::Mine) => (Some(me), Some(Vec::new())),
        Some(Show::Others) | None if is_everywhere => (None, None),
        Some(Show::Others) => (None, Some(places)),
        None => (Some(me), Some(places)),
    };
    let before = place(query.cursor.as_deref())?;
    let states = states(query.state.as_deref())?;
    Ok(ApprovalFilter { asker, places, tenant: query.tenant, states, before })
}

/// The approval, for who may see it; for others it is not there.
async fn seen(admin: &Admin, ApprovalPath(id): ApprovalPath) -> Result<Approval, Refusal> {
    let missing = || Refusal::new(Code::NotFound, "there is no such approval");
    let found = match admin.tenancy.approval(id).await {
        Err(TenancyError::NotFound { .. }) => return Err(missing()),
        other => other?,
    };
    let is_mine = found.asker == admin.who().actor().as_str();
    let named = match (found.place.tenant, found.place.project) {
        (Some(tenant), Some(project)) => Place::Project(tenant, project),
        (Some(tenant), None) => Place::Tenant(tenant),
        (None, _) => Place::Installation,
    };
    let rights = admin.rights();
    let may = rights.allow(Permission::ApprovalsRead, named)
        || rights.allow(Permission::ApprovalsDecide, asked_at(&found.place));
    if is_mine || may { Ok(found) } else { Err(missing()) }
}

fn show(admin: &Admin, approval: &Approval) -> ApprovalView {
    ApprovalView::new(admin.shared(), admin.who(), approval)
}

/// List acts that wait, or waited, for a second person; newest first
///
/// One's own, and those that belong where one holds `approvals:read` or `approvals:decide`.
#[utoipa::path(
    get, path = "/v1/approvals", tag = "approvals",
    extensions(("x-permission" = json!("session"))),
    params(
        ("state" = Option<String>, Query, description = "Only in these states, with commas \
            between them"),
        ("show" = Option<String>, Query, description = "`mine` or `others`; both when absent"),
        ("tenant" = Option<String>, Query, description = "Only what names this tenant"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Approvals", body = ApprovalList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_approvals(admin: Admin, StrictQuery(query): StrictQuery<ListQuery>) -> Response {
    let outcome = async {
        let filter = filter(&admin, &query)?;
        let page = admin.tenancy.approvals(&filter, limit(query.limit)?).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        // `others` of who sees everything leaves out what is his own.
        let is_mine = |it: &Approval| it.asker == admin.who().actor().as_str();
        let wanted = |it: &&Approval| !matches!(query.show, Some(Show::Others)) || !is_mine(it);
        let approvals = page.items.iter().filter(wanted).map(|it| show(&admin, it)).collect();
        Ok(Json(ApprovalList { approvals, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at an act that waits: what was sent, what it is about, who may decide
#[utoipa::path(
    get, path = "/v1/approvals/{approval}", tag = "approvals",
    extensions(("x-permission" = json!("session"))),
    params(("approval" = String, Path, description = "The approval's id")),
    responses(
        (status = 200, description = "The approval", body = DetailsView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_approval(admin: Admin, path: ApprovalPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let found = seen(&admin, path).await?;
        let is_mine = found.asker == admin.who().actor().as_str();
        let may_look = is_mine || may_decide(admin.shared(), admin.who(), &found);
        let (body, before) = match may_look {
            true => {
                let (_, body) = open(admin.shared(), &found.sealed, &found.digest)?;
                (shown(&body), found.before.clone())
            }
            // Who only sees that it waits does not see what is in it.
            false => (Value::Null, None),
        };
        let people = approvers(admin.shared(), Needs::of(&found)?, found.asker_user).await?;
        let approvers = people.iter().map(ApproverView::from).collect();
        Ok(Json(DetailsView { approval: show(&admin, &found), body, before, approvers }))
    };
    admin.answer(outcome.await)
}

/// Approve what somebody else asks for; it is carried out at once
#[utoipa::path(
    post, path = "/v1/approvals/{approval}/approve", tag = "approvals",
    operation_id = "approve_act",
    extensions(
        ("x-permission" = json!("approvals:decide")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true)),
        ("x-approval" = json!("never"))
    ),
    params(("approval" = String, Path, description = "The approval's id")),
    request_body = Decision,
    responses(
        (status = 200, description = "Approved", body = ApprovalView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn approve(
    admin: Admin,
    path: ApprovalPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Decision>,
) -> Response {
    let outcome = async {
        let found = seen(&admin, path).await?;
        let by = decider(admin.shared(), admin.who(), &found)?;
        if found.state == ApprovalState::Pending && asker(admin.shared(), &found).await?.is_none() {
            let why = "who asked is gone, or may it no more";
            let end = ApprovalEnd::because(ApprovalState::Void, why);
            admin.tenancy.close_approval(found.id, ApprovalState::Pending, end).await?;
            metrics::counter!(metric::APPROVALS, "outcome" => "void").increment(1);
            return Err(Refusal::new(Code::Conflict, why).field("approval"));
        }
        let approved = admin.tenancy.approve(found.id, by, &body.comment, &admin.actor()).await?;
        metrics::counter!(metric::APPROVALS, "outcome" => "approved").increment(1);
        if approved.mode == ApprovalMode::Pass {
            crate::approvals::write_to_asker(admin.shared(), &approved).await?;
        }
        admin.shared().approved.notify_one();
        Ok(Json(show(&admin, &approved)))
    };
    admin.answer(outcome.await)
}

/// Refuse what somebody else asks for
#[utoipa::path(
    post, path = "/v1/approvals/{approval}/refuse", tag = "approvals",
    operation_id = "refuse_act",
    extensions(
        ("x-permission" = json!("approvals:decide")),
        ("x-checked" = json!("handler")),
        ("x-approval" = json!("never"))
    ),
    params(("approval" = String, Path, description = "The approval's id")),
    request_body = Decision,
    responses(
        (status = 200, description = "Refused", body = ApprovalView),
        (status = "default", description = "Not possible", body = ErrorSchema),
    ),
)]
async fn refuse(
    admin: Admin,
    path: ApprovalPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Decision>,
) -> Response {
    let outcome = async {
        let found = seen(&admin, path).await?;
        let by = decider(admin.shared(), admin.who(), &found)?;
        let (store, comment) = (&admin.tenancy, &body.comment);
        let refused = store.refuse_approval(found.id, by, comment, &admin.actor()).await?;
        metrics::counter!(metric::APPROVALS, "outcome" => "refused").increment(1);
        crate::approvals::write_to_asker(admin.shared(), &refused).await?;
        Ok(Json(show(&admin, &refused)))
    };
    admin.answer(outcome.await)
}

/// Withdraw what one asked for, as long as it is not carried out
#[utoipa::path(
    post, path = "/v1/approvals/{approval}/withdraw", tag = "approvals",
    operation_id = "withdraw_act",
    extensions(("x-permission" = json!("session"))),
    params(("approval" = String, Path, description = "The approval's id")),
    responses(
        (status = 200, description = "Withdrawn", body = ApprovalView),
        (status = "default", description = "Not possible", body = ErrorSchema),
    ),
)]
async fn withdraw(admin: Admin, path: ApprovalPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let found = seen(&admin, path).await?;
        let gone = admin.tenancy.withdraw_approval(found.id, &admin.actor()).await?;
        metrics::counter!(metric::APPROVALS, "outcome" => "withdrawn").increment(1);
        Ok(Json(show(&admin, &gone)))
    };
    admin.answer(outcome.await)
}

/// Take the whole answer of what one asked for, with its secrets: once
#[utoipa::path(
    post, path = "/v1/approvals/{approval}/answer", tag = "approvals",
    operation_id = "take_answer_of_act",
    extensions(("x-permission" = json!("session"))),
    params(("approval" = String, Path, description = "The approval's id")),
    responses(
        (status = 200, description = "The answer", body = TakenAnswer),
        (status = "default", description = "There is none to take", body = ErrorSchema),
    ),
)]
async fn take_answer(admin: Admin, path: ApprovalPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let found = seen(&admin, path).await?;
        let sealed = admin.tenancy.take_approval_answer(found.id, &admin.actor()).await?;
        let answer = open_answer(admin.shared(), &sealed, &found.digest)?;
        let mut response = Json(TakenAnswer { answer }).into_response();
        // A repeated request gets it without its secrets.
        response.extensions_mut().insert(Kept(json!({"answer": found.answer})));
        Ok(response)
    };
    admin.answer(outcome.await)
}
