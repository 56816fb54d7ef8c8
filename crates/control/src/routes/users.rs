//! Users as those see them who look after them: list, look at, disable, enable, delete, sessions.
//! Nobody touches somebody who may do more than himself, anywhere.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, limit, next_cursor, place};
use crate::path::UserPath;
use crate::routes::account::{SessionList, sessions};
use crate::routes::conditions_view::BindingView;
use crate::routes::people_view::UserView;
use crate::routes::roles::{place_of, set_of};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use identity::people::Standing;
use port::{Code, Refusal};
use rules::{Permission, Place};
use serde::{Deserialize, Serialize};
use tenancy::UserId;
use types::TenantId;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_users))
        .routes(routes!(get_user, delete_user))
        .routes(routes!(disable_user))
        .routes(routes!(enable_user))
        .routes(routes!(list_sessions))
        .routes(routes!(end_sessions))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UserQuery {
    tenant: Option<TenantId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct UserWithRoles {
    #[serde(flatten)]
    user: UserView,
    /// Those in places that who is asking may look into.
    roles: Vec<BindingView>,
}

#[derive(Serialize, ToSchema)]
struct UserList {
    users: Vec<UserWithRoles>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Ended {
    /// Sessions that ended.
    count: u64,
}

/// The user's roles that who is asking may see. A user with none of them is not there for him.
async fn seen(admin: &Admin, user: UserId) -> Result<Vec<Standing>, Refusal> {
    let rights = admin.rights();
    let mut roles = admin.people.standing_apart(user, admin.clock.now_ms()).await?;
    roles.retain(|role| rights.allow(Permission::UsersRead, place_of(&role.binding)));
    if roles.is_empty() && !rights.allow(Permission::UsersRead, Place::Installation) {
        return Err(missing());
    }
    Ok(roles)
}

/// Refuses unless who is asking may look at this user.
pub(super) async fn check_may_see(admin: &Admin, user: UserId) -> Result<(), Refusal> {
    seen(admin, user).await?;
    admin.tenancy.user(user).await?;
    Ok(())
}

fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such user")
}

/// Refuses unless who is asking may look after this user: he needs the permission in every place
/// where the user has a role, and must hold there whatever the user holds.
pub(super) async fn check_may_change(admin: &Admin, user: UserId) -> Result<(), Refusal> {
    seen(admin, user).await?;
    let rights = admin.rights();
    let bindings = admin.tenancy.bindings_of(user).await?;
    if bindings.is_empty() {
        admin.require(Permission::UsersWrite, Place::Installation)?;
    }
    for binding in &bindings {
        let place = place_of(binding);
        admin.require(Permission::UsersWrite, place)?;
        if !rights.may_take(set_of(admin, &binding.role).await?, place) {
            let why = "the user may do more than you";
            return Err(Refusal::new(Code::InsufficientScope, why)
                .field("permission")
                .hint("somebody with all of the user's permissions can do this"));
        }
    }
    Ok(())
}

async fn show(admin: &Admin, user: UserId) -> Result<UserWithRoles, Refusal> {
    let roles = seen(admin, user).await?.into_iter().map(BindingView::new).collect();
    let user = admin.tenancy.user(user).await?;
    Ok(UserWithRoles { user: user.into(), roles })
}

/// List users
///
/// Of the installation, or, with `tenant`, those with a role in that tenant.
#[utoipa::path(
    get, path = "/v1/users", tag = "users",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only those with a role in this tenant"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Users in the order of their identifiers", body = UserList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_users(admin: Admin, StrictQuery(query): StrictQuery<UserQuery>) -> Response {
    let outcome = async {
        let (tenant, _) = admin.narrowed(Permission::UsersRead, (query.tenant, None))?;
        let (after, limit) = (place(query.cursor.as_deref())?, limit(query.limit)?);
        let page = match tenant {
            Some(tenant) => admin.tenancy.users_of_tenant(tenant, after, limit).await?,
            None => admin.tenancy.users(after, limit).await?,
        };
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let mut users = Vec::with_capacity(page.items.len());
        for user in page.items {
            // Who holds the permission in one project only sees those of that project.
            if let Ok(roles) = seen(&admin, user.id).await {
                let roles = roles.into_iter().map(BindingView::new).collect();
                users.push(UserWithRoles { user: user.into(), roles });
            }
        }
        Ok(Json(UserList { users, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at a user
#[utoipa::path(
    get, path = "/v1/users/{user}", tag = "users",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "The user with his roles", body = UserWithRoles),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_user(admin: Admin, UserPath(user): UserPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = show(&admin, user).await;
    admin.answer(outcome.map(Json))
}

/// Disable a user: his sessions end, and he cannot sign in
#[utoipa::path(
    post, path = "/v1/users/{user}/disable", tag = "users",
    extensions(("x-permission" = json!("users:write")), ("x-checked" = json!("handler"))),
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "Disabled", body = UserWithRoles),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn disable_user(admin: Admin, UserPath(user): UserPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        check_may_change(&admin, user).await?;
        admin.tenancy.disable_user(user, &admin.actor()).await?;
        show(&admin, user).await.map(Json)
    };
    admin.answer(outcome.await)
}

/// Let a disabled user sign in again
#[utoipa::path(
    post, path = "/v1/users/{user}/enable", tag = "users",
    extensions(("x-permission" = json!("users:write")), ("x-checked" = json!("handler"))),
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "Enabled", body = UserWithRoles),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn enable_user(admin: Admin, UserPath(user): UserPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        check_may_change(&admin, user).await?;
        admin.tenancy.enable_user(user, &admin.actor()).await?;
        show(&admin, user).await.map(Json)
    };
    admin.answer(outcome.await)
}

/// Delete a user with his sessions and roles
#[utoipa::path(
    delete, path = "/v1/users/{user}", tag = "users",
    extensions(
        ("x-permission" = json!("users:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 204, description = "Deleted; the trail keeps what he did"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_user(admin: Admin, UserPath(user): UserPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        check_may_change(&admin, user).await?;
        admin.tenancy.delete_user(user, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// List a user's open sessions
#[utoipa::path(
    get, path = "/v1/users/{user}/sessions", tag = "users",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(
        ("user" = String, Path, description = "The user's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Open sessions", body = SessionList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_sessions(
    admin: Admin,
    UserPath(user): UserPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        seen(&admin, user).await?;
        admin.tenancy.user(user).await?;
        let current = admin.person().ok().map(|person| person.session.id);
        sessions(&admin, user, &query, current).await.map(Json)
    };
    admin.answer(outcome.await)
}

/// End all sessions of a user
#[utoipa::path(
    post, path = "/v1/users/{user}/sessions/revoke", tag = "users",
    extensions(("x-permission" = json!("users:write")), ("x-checked" = json!("handler"))),
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "How many ended", body = Ended),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn end_sessions(admin: Admin, UserPath(user): UserPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        check_may_change(&admin, user).await?;
        let count = admin.tenancy.end_sessions(user, None, &admin.actor()).await?;
        Ok(Json(Ended { count }))
    };
    admin.answer(outcome.await)
}
