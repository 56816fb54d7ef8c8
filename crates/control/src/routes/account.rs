//! One's own account: who one is, what one may do, a new password, one's sessions.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::SessionPath;
use crate::routes::conditions_view::BindingView;
use crate::routes::people_view::{RightsView, SessionView, UserView};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use identity::people::Proof;
use port::Refusal;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tenancy::{SessionEnd, SessionId, UserId};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(get_account))
        .routes(routes!(change_password))
        .routes(routes!(list_own_sessions))
        .routes(routes!(end_own_session))
}

#[derive(Serialize, ToSchema)]
struct Account {
    user: UserView,
    session: SessionView,
    /// Whether signing in asks for a code too.
    has_second_factor: bool,
    /// Whether each of them counts in this very request, and if not, why.
    roles: Vec<BindingView>,
    /// What those allow that count, place by place.
    rights: Vec<RightsView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    #[schema(value_type = String, format = Password)]
    current: SecretString,
    /// Of the second factor, when the account has one.
    #[schema(value_type = Option<String>)]
    code: Option<SecretString>,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SessionList {
    sessions: Vec<SessionView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// Look at one's own account
#[utoipa::path(
    get, path = "/v1/account", tag = "account",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 200, description = "Who is signed in, and what he may do", body = Account),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_account(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let person = admin.person()?;
        let here = person.circumstances(admin.clock.now_ms());
        let roles = admin.people.standing(person.user.id, here).await?;
        let rights = person.rights.places();
        let has_second_factor = admin.people.has_second_factor(person.user.id).await?;
        Ok(Json(Account {
            user: person.user.clone().into(),
            session: SessionView::new(person.session.clone(), Some(person.session.id)),
            has_second_factor,
            roles: roles.into_iter().map(BindingView::of_oneself).collect(),
            rights: rights.map(|(place, set)| RightsView::new(place, set)).collect(),
        }))
    };
    admin.answer(outcome.await)
}

/// Change one's own password; one's other sessions end
#[utoipa::path(
    post, path = "/v1/account/password", tag = "account",
    extensions(("x-permission" = json!("session"))),
    request_body = ChangePassword,
    responses(
        (status = 204, description = "Changed"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn change_password(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ChangePassword>,
) -> Response {
    let outcome = async {
        let (person, address) = (admin.person()?, admin.address());
        let proof = Proof { password: body.current, code: body.code, address };
        admin.people.change_password(person, &proof, &body.password).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// List one's own sessions
#[utoipa::path(
    get, path = "/v1/account/sessions", tag = "account",
    extensions(("x-permission" = json!("session"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Open sessions in the order of their identifiers",
            body = SessionList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_sessions(admin: Admin, StrictQuery(query): StrictQuery<PageQuery>) -> Response {
    let outcome = async {
        let person = admin.person()?;
        sessions(&admin, person.user.id, &query, Some(person.session.id)).await.map(Json)
    };
    admin.answer(outcome.await)
}

/// The open sessions of a user.
pub(super) async fn sessions(
    admin: &Admin,
    user: UserId,
    query: &PageQuery,
    current: Option<SessionId>,
) -> Result<SessionList, Refusal> {
    let page = admin.tenancy.sessions(user, query.place()?, query.limit()?).await?;
    let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
    let open = page.items.into_iter().filter(|session| admin.people.is_open(session));
    let sessions = open.map(|session| SessionView::new(session, current)).collect();
    Ok(SessionList { sessions, next_cursor })
}

/// End one of one's own sessions
#[utoipa::path(
    delete, path = "/v1/account/sessions/{session}", tag = "account",
    extensions(("x-permission" = json!("session"))),
    params(("session" = String, Path, description = "The session's id")),
    responses(
        (status = 204, description = "Ended"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn end_own_session(
    admin: Admin,
    SessionPath(session): SessionPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        admin.people.end_own(admin.person()?, session, SessionEnd::Revoked).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
