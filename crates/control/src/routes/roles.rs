//! Roles and who has them. Nobody gives, takes or makes what he does not have himself, and each
//! change needs a recent proof of identity. It counts with the very next request of whom it
//! concerns.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::{BindingPath, RolePath};
use crate::routes::conditions_view::{
    BindingView, ConditionsSchema, check, check_givable, view_of,
};
use crate::routes::people_view::{RoleView, names};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use identity::people::stored_conditions;
use port::{Code, Refusal};
use rules::{BuiltIn, Permission, PermissionSet, Place, RoleConditions};
use serde::{Deserialize, Serialize};
use tenancy::{Binding, NewBinding, NewRole, RoleId, RolePatch, UserId};
use types::{ProjectId, TenantId};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_permissions))
        .routes(routes!(list_roles, create_role))
        .routes(routes!(update_role, delete_role))
        .routes(routes!(give_role))
        .routes(routes!(take_role))
}

#[derive(Serialize, ToSchema)]
struct PermissionView {
    name: &'static str,
    meaning: &'static str,
}

#[derive(Serialize, ToSchema)]
struct PermissionList {
    permissions: Vec<PermissionView>,
}

#[derive(Serialize, ToSchema)]
struct RoleList {
    roles: Vec<RoleView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateRole {
    /// 1 to 128 bytes, unique, and not that of a built-in role.
    name: String,
    /// At most 1000 bytes.
    #[serde(default)]
    description: String,
    /// One or more of those that `/v1/permissions` lists.
    permissions: Vec<String>,
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateRole {
    name: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<String>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GiveRole {
    /// The user's id.
    #[schema(value_type = String)]
    user: UserId,
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

pub(super) fn place(tenant: Option<TenantId>, project: Option<ProjectId>) -> Place {
    match (tenant, project) {
        (Some(tenant), Some(project)) => Place::Project(tenant, project),
        (Some(tenant), None) => Place::Tenant(tenant),
        (None, _) => Place::Installation,
    }
}

pub(super) fn place_of(binding: &Binding) -> Place {
    place(binding.tenant, binding.project)
}

/// What a role allows.
pub(super) async fn set_of(admin: &Admin, role: &str) -> Result<PermissionSet, Refusal> {
    admin.people.permissions_of(role).await
}

/// Refuses unless who is asking may give this role there, under these conditions.
pub(super) async fn check_may_give(
    admin: &Admin,
    role: &str,
    there: Place,
    under: Option<&RoleConditions>,
) -> Result<(), Refusal> {
    admin.require(Permission::RolesWrite, there)?;
    if BuiltIn::named(role).is_none() {
        let id = role.parse::<RoleId>().map_err(|_| {
            let built_in: Vec<&str> = BuiltIn::ALL.iter().map(|role| role.name()).collect();
            Refusal::new(Code::InvalidRequest, "there is no such role")
                .field("role")
                .hint(format!("{}, or the id of a role that was made", built_in.join(", ")))
        })?;
        admin.tenancy.role(id).await?;
    }
    check_givable(admin, set_of(admin, role).await?, there, under)
}

/// Refuses unless who is asking may take all of `set` away there, at this moment.
pub(super) fn check_takes(admin: &Admin, set: PermissionSet, there: Place) -> Result<(), Refusal> {
    let rights = admin.rights();
    if rights.may_take(set, there) {
        return Ok(());
    }
    let held = rights.at(there);
    let lacking: Vec<&str> =
        set.iter().filter(|it| !held.has(*it)).map(|permission| permission.name()).collect();
    Err(Refusal::new(Code::InsufficientScope, "nobody gives or takes what he does not have")
        .field("role")
        .hint(format!("you lack {}", lacking.join(", "))))
}

fn read_set(wanted: &[String]) -> Result<PermissionSet, Refusal> {
    let invalid = |why: String| Refusal::new(Code::InvalidRequest, why).field("permissions");
    if wanted.is_empty() {
        return Err(invalid("a role has at least one permission".to_owned()));
    }
    let named = wanted.iter().map(|name| {
        Permission::named(name).ok_or_else(|| {
            invalid(format!("there is no permission `{name}`")).hint("see /v1/permissions")
        })
    });
    named.collect::<Result<PermissionSet, Refusal>>()
}

fn as_stored(set: PermissionSet) -> Vec<String> {
    names(set).into_iter().map(str::to_owned).collect()
}

/// List the permissions there are
#[utoipa::path(
    get, path = "/v1/permissions", tag = "roles",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 200, description = "All of them", body = PermissionList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_permissions(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let all = Permission::ALL.iter();
    let permissions =
        all.map(|it| PermissionView { name: it.name(), meaning: it.meaning().trim() }).collect();
    admin.answer(Ok(Json(PermissionList { permissions })))
}

/// List roles: the built-in ones first
#[utoipa::path(
    get, path = "/v1/roles", tag = "roles",
    extensions(("x-permission" = json!("roles:read")), ("x-checked" = json!("handler"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Roles", body = RoleList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_roles(admin: Admin, StrictQuery(query): StrictQuery<PageQuery>) -> Response {
    let outcome = async {
        let after = query.place()?;
        let page = admin.tenancy.roles(after, query.limit()?).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let built_in = BuiltIn::ALL.iter().filter(|_| after.is_none()).map(|role| RoleView {
            id: role.name().to_owned(),
            name: role.name().to_owned(),
            description: role.meaning().to_owned(),
            is_built_in: true,
            permissions: as_stored(role.permissions()),
            created_at: None,
            updated_at: None,
        });
        let roles = built_in.chain(page.items.into_iter().map(RoleView::from)).collect();
        Ok(Json(RoleList { roles, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Make a role of one's own choice of permissions
#[utoipa::path(
    post, path = "/v1/roles", tag = "roles",
    extensions(("x-permission" = json!("roles:write")), ("x-elevated" = json!(true))),
    request_body = CreateRole,
    responses(
        (status = 201, description = "Created", body = RoleView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_role(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateRole>,
) -> Response {
    let outcome = async {
        let set = read_set(&body.permissions)?;
        check_takes(&admin, set, Place::Installation)?;
        let permissions = as_stored(set);
        let new = NewRole { name: body.name, description: body.description, permissions };
        let made = admin.tenancy.create_role(new, &admin.actor()).await?;
        Ok((StatusCode::CREATED, Json(RoleView::from(made))))
    };
    admin.answer(outcome.await)
}

/// Change a role that was made; counts at once for all who have it
#[utoipa::path(
    patch, path = "/v1/roles/{role}", tag = "roles",
    extensions(("x-permission" = json!("roles:write")), ("x-elevated" = json!(true))),
    params(("role" = String, Path, description = "The role's id")),
    request_body = UpdateRole,
    responses(
        (status = 200, description = "Changed", body = RoleView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_role(
    admin: Admin,
    RolePath(role): RolePath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UpdateRole>,
) -> Response {
    let outcome = async {
        // What it allowed until now is taken from those who have it.
        check_takes(&admin, set_of(&admin, &role.to_string()).await?, Place::Installation)?;
        let permissions = match body.permissions {
            Some(wanted) => {
                let set = read_set(&wanted)?;
                // Whoever has the role may have it under no conditions.
                check_givable(&admin, set, Place::Installation, None)?;
                Some(as_stored(set))
            }
            None => None,
        };
        let patch = RolePatch { name: body.name, description: body.description, permissions };
        let changed = admin.tenancy.update_role(role, patch, &admin.actor()).await?;
        Ok(Json(RoleView::from(changed)))
    };
    admin.answer(outcome.await)
}

/// Delete a role that nobody has
#[utoipa::path(
    delete, path = "/v1/roles/{role}", tag = "roles",
    extensions(("x-permission" = json!("roles:write")), ("x-elevated" = json!(true))),
    params(("role" = String, Path, description = "The role's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_role(admin: Admin, RolePath(role): RolePath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = admin.tenancy.delete_role(role, &admin.actor()).await;
    admin.answer(outcome.map(|()| StatusCode::NO_CONTENT).map_err(Into::into))
}

/// Give a user a role in the installation, a tenant or a project
#[utoipa::path(
    post, path = "/v1/role-bindings", tag = "roles",
    extensions(
        ("x-permission" = json!("roles:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    request_body = GiveRole,
    responses(
        (status = 201, description = "Given", body = BindingView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn give_role(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<GiveRole>,
) -> Response {
    let outcome = async {
        check(body.conditions.as_ref())?;
        let (there, under) = (place(body.tenant, body.project), body.conditions.as_ref());
        check_may_give(&admin, &body.role, there, under).await?;
        let conditions = stored_conditions(under)?;
        let new = NewBinding {
            user: body.user,
            role: body.role,
            tenant: body.tenant,
            project: body.project,
            conditions,
        };
        let given = admin.tenancy.bind_role(new, &admin.actor()).await?;
        Ok((StatusCode::CREATED, Json(view_of(&admin, given).await?)))
    };
    admin.answer(outcome.await)
}

/// Take a role from a user
#[utoipa::path(
    delete, path = "/v1/role-bindings/{binding}", tag = "roles",
    extensions(
        ("x-permission" = json!("roles:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(("binding" = String, Path, description = "The binding's id")),
    responses(
        (status = 204, description = "Taken"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn take_role(
    admin: Admin,
    BindingPath(binding): BindingPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let missing = || Refusal::new(Code::NotFound, "there is no such binding");
        let found = admin.tenancy.binding(binding).await?;
        // Where he may not look, it is not there.
        admin.require(Permission::RolesWrite, place_of(&found)).map_err(|_| missing())?;
        check_takes(&admin, set_of(&admin, &found.role).await?, place_of(&found))?;
        admin.tenancy.unbind_role(binding, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
