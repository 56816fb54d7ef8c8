//! What people do by way of their mail: they are invited, choose a first password, forget it.

use crate::Routes;
use crate::admin::Admin;
use crate::repeat::Kept;
use crate::routes::conditions_view::{BindingView, ConditionsSchema, check, view_of};
use crate::routes::people_view::UserView;
use crate::routes::roles::{check_may_give, place};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use identity::people::{Invitation, Redeem};
use port::Refusal;
use rules::{Permission, RoleConditions};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::{ProjectId, TenantId};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(invite))
        .routes(routes!(accept))
        .routes(routes!(forgot))
        .routes(routes!(reset))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    email: String,
    /// 1 to 128 bytes; the address when absent. The user may choose another.
    name: Option<String>,
    /// `owner`, `admin`, `developer`, `billing`, `support`, or the id of a role that was made.
    role: String,
    /// In this tenant only; in the whole installation when absent.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// In this project of the tenant only.
    #[schema(value_type = Option<String>)]
    project: Option<ProjectId>,
    /// Under these circumstances only; always when absent.
    #[schema(value_type = Option<ConditionsSchema>)]
    conditions: Option<RoleConditions>,
}

#[derive(Serialize, ToSchema)]
struct Invited {
    user: UserView,
    role: BindingView,
    /// To be passed on by hand: only where no mail is set up, and shown this once.
    link: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Accept {
    /// From the link in the letter.
    #[schema(value_type = String)]
    token: SecretString,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// How you want to be called; as you were invited when absent.
    name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Forgot {
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// From the link in the letter.
    #[schema(value_type = String)]
    token: SecretString,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Invite somebody by mail, with a role
///
/// Who has an account already gets the role at once.
#[utoipa::path(
    post, path = "/v1/users/invite", tag = "users",
    extensions(
        ("x-permission" = json!("users:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    request_body = Invite,
    responses(
        (status = 201, description = "Invited", body = Invited),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn invite(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Invite>,
) -> Response {
    let outcome = async {
        let there = place(body.tenant, body.project);
        admin.require(Permission::UsersWrite, there)?;
        check(body.conditions.as_ref())?;
        check_may_give(&admin, &body.role, there, body.conditions.as_ref()).await?;
        let wish = Invitation {
            name: body.name.unwrap_or_else(|| body.email.clone()),
            email: body.email,
            role: body.role,
            tenant: body.tenant,
            project: body.project,
            conditions: body.conditions,
        };
        let sent = admin.people.invite(wish, &admin.actor()).await?;
        let shown = Invited {
            user: sent.invited.user.into(),
            role: view_of(&admin, sent.invited.binding).await?,
            link: sent.link.map(|link| link.expose_secret().to_owned()),
        };
        let mut kept = serde_json::to_value(&shown).map_err(|error| Refusal::internal(&error))?;
        if let Some(object) = kept.as_object_mut() {
            object.insert("link".to_owned(), Value::Null);
        }
        let mut response = (StatusCode::CREATED, Json(shown)).into_response();
        response.extensions_mut().insert(Kept(kept));
        Ok(response)
    };
    admin.answer(outcome.await)
}

/// Accept an invitation by choosing a password
#[utoipa::path(
    post, path = "/v1/auth/accept", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = Accept,
    responses(
        (status = 200, description = "Accepted: sign in now", body = UserView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn accept(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Accept>,
) -> Response {
    let wish = Redeem { token: body.token, password: body.password, name: body.name };
    let outcome = admin.people.accept(wish).await;
    admin.answer(outcome.map(|user| Json(UserView::from(user))))
}

/// Ask for a link to choose another password
///
/// The answer is the same whether or not there is such a user.
#[utoipa::path(
    post, path = "/v1/auth/forgot", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = Forgot,
    responses(
        (status = 202, description = "If there is such a user, a letter is on its way"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn forgot(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Forgot>,
) -> Response {
    let outcome = admin.people.forgot(&body.email, admin.address()).await;
    admin.answer(outcome.map(|()| StatusCode::ACCEPTED))
}

/// Choose another password with the link of a letter
///
/// All sessions of the user end; a second factor stays.
#[utoipa::path(
    post, path = "/v1/auth/reset", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = Reset,
    responses(
        (status = 200, description = "Changed: sign in now", body = UserView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn reset(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Reset>,
) -> Response {
    let wish = Redeem { token: body.token, password: body.password, name: None };
    let outcome = admin.people.reset(wish).await;
    admin.answer(outcome.map(|user| Json(UserView::from(user))))
}
