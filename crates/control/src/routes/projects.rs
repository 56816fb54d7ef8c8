//! Projects of a tenant, with their limits.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::{ProjectPath, TenantPath};
use crate::view::{LimitsSchema, ProjectView};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::Change;
use rules::{Permission, Place};
use serde::{Deserialize, Serialize};
use tenancy::{NewProject, ProjectPatch};
use types::Limits;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(create_project, list_projects)).routes(routes!(
        get_project,
        update_project,
        delete_project
    ))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateProject {
    /// 1 to 128 bytes, unique in the tenant.
    name: String,
    #[serde(default)]
    #[schema(value_type = Option<LimitsSchema>)]
    limits: Limits,
}

/// What is absent stays as it is; limits are replaced whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateProject {
    name: Option<String>,
    #[schema(value_type = Option<LimitsSchema>)]
    limits: Option<Limits>,
}

#[derive(Serialize, ToSchema)]
struct ProjectList {
    projects: Vec<ProjectView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// Create a project
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects", tag = "projects",
    extensions(("x-permission" = json!("projects:write"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = CreateProject,
    responses(
        (status = 201, description = "Created", body = ProjectView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_project(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateProject>,
) -> Response {
    let outcome = async {
        if body.limits != Limits::default() {
            admin.require(Permission::BillingWrite, Place::Installation)?;
        }
        let new = NewProject { name: body.name, limits: body.limits };
        let made = admin.tenancy.create_project(tenant, new, &admin.actor()).await?;
        admin.changed(Change::Project(made.id));
        Ok((StatusCode::CREATED, Json(ProjectView::from(made))))
    };
    admin.answer(outcome.await)
}

/// List the projects of a tenant
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects", tag = "projects",
    extensions(("x-permission" = json!("projects:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Projects in the order of their identifiers",
            body = ProjectList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_projects(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        // Tells a tenant without projects from none at all.
        admin.tenancy.tenant(tenant).await?;
        let page = admin.tenancy.projects(tenant, query.place()?, query.limit()?).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let projects = page.items.into_iter().map(ProjectView::from).collect();
        Ok(Json(ProjectList { projects, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at a project
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}", tag = "projects",
    extensions(("x-permission" = json!("projects:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    responses(
        (status = 200, description = "The project", body = ProjectView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_project(admin: Admin, at: ProjectPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = admin.tenancy.project(at.tenant, at.project).await;
    admin.answer(outcome.map(|found| Json(ProjectView::from(found))).map_err(Into::into))
}

/// Change a project
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/projects/{project}", tag = "projects",
    extensions(("x-permission" = json!("projects:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    request_body = UpdateProject,
    responses(
        (status = 200, description = "Changed", body = ProjectView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_project(
    admin: Admin,
    at: ProjectPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UpdateProject>,
) -> Response {
    let outcome = async {
        if body.limits.is_some() {
            // What a tenant may use is not for the tenant to say.
            admin.require(Permission::BillingWrite, Place::Installation)?;
        }
        let patch = ProjectPatch { name: body.name, limits: body.limits };
        let by = admin.actor();
        let changed = admin.tenancy.update_project(at.tenant, at.project, patch, &by).await?;
        admin.changed(Change::Project(at.project));
        Ok(Json(ProjectView::from(changed)))
    };
    admin.answer(outcome.await)
}

/// Delete a project that has no topics, with its keys
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/projects/{project}", tag = "projects",
    extensions(("x-permission" = json!("projects:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    responses(
        (status = 204, description = "Deleted; usage and audit records stay"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_project(admin: Admin, at: ProjectPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        admin.tenancy.delete_project(at.tenant, at.project, &admin.actor()).await?;
        admin.changed(Change::Project(at.project));
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
