//! Tenants: make, look at, change, suspend with a reason, resume, delete.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::TenantPath;
use crate::view::TenantView;
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::{Change, Refusal};
use rules::{Permission, Place, Visible};
use serde::{Deserialize, Serialize};
use tenancy::{NewTenant, Page, Plan, Tenant, TenantPatch, TenantStatus};
use types::TenantId;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(create_tenant, list_tenants))
        .routes(routes!(get_tenant, update_tenant, delete_tenant))
        .routes(routes!(suspend_tenant))
        .routes(routes!(resume_tenant))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateTenant {
    /// 1 to 128 bytes.
    name: String,
    /// `free` when absent, `pro`, `enterprise`, or one of the operator's own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    plan: Plan,
    /// `active` when absent, `trial` or `past_due`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    status: TenantStatus,
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateTenant {
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    plan: Option<Plan>,
    /// `active`, `trial` or `past_due`.
    #[schema(value_type = Option<String>)]
    status: Option<TenantStatus>,
    stripe_customer_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Suspend {
    /// 1 to 1000 bytes; kept in the audit trail.
    reason: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Resume {
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TenantList {
    tenants: Vec<TenantView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// Create a tenant
#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants",
    extensions(("x-permission" = json!("tenants:write"))),
    request_body = CreateTenant,
    responses(
        (status = 201, description = "Created", body = TenantView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_tenant(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateTenant>,
) -> Response {
    let new = NewTenant { name: body.name, plan: body.plan, status: body.status };
    let outcome = admin.tenancy.create_tenant(new, &admin.actor()).await;
    if let Ok(tenant) = &outcome {
        super::keys_at_rest::prepare(&admin, tenant.id).await;
    }
    let outcome = outcome.map(|tenant| (StatusCode::CREATED, Json(TenantView::from(tenant))));
    admin.answer(outcome.map_err(Into::into))
}

/// List tenants
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants",
    extensions(("x-permission" = json!("tenants:read")), ("x-checked" = json!("handler"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Tenants in the order of their identifiers",
            body = TenantList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_tenants(admin: Admin, StrictQuery(query): StrictQuery<PageQuery>) -> Response {
    let outcome = async {
        let (after, limit) = (query.place()?, query.limit()?);
        let page = match admin.places_of(Permission::TenantsRead) {
            Visible::Everywhere => admin.tenancy.tenants(after, limit).await?,
            Visible::In(places) => visible_tenants(&admin, &places, after, limit).await?,
        };
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let tenants = page.items.into_iter().map(TenantView::from).collect();
        Ok(Json(TenantList { tenants, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Of those tenants in which somebody may look at the tenant itself.
async fn visible_tenants(
    admin: &Admin,
    places: &[Place],
    after: Option<TenantId>,
    limit: usize,
) -> Result<Page<Tenant>, Refusal> {
    let mut ids: Vec<TenantId> = places
        .iter()
        .filter(|place| place.project().is_none())
        .filter_map(|place| place.tenant())
        .filter(|id| after.is_none_or(|after| *id > after))
        .collect();
    ids.sort_unstable();
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        items.push(admin.tenancy.tenant(id).await?);
    }
    Ok(Page { items, has_more })
}

/// Look at a tenant
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}", tag = "tenants",
    extensions(("x-permission" = json!("tenants:read"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "The tenant", body = TenantView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_tenant(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = admin.tenancy.tenant(tenant).await;
    admin.answer(outcome.map(|found| Json(TenantView::from(found))).map_err(Into::into))
}

/// Change a tenant
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}", tag = "tenants",
    extensions(
        ("x-permission" = json!("tenants:write")),
        ("x-checked" = json!("installation"))
    ),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = UpdateTenant,
    responses(
        (status = 200, description = "Changed", body = TenantView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_tenant(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UpdateTenant>,
) -> Response {
    let patch = TenantPatch {
        name: body.name,
        plan: body.plan,
        status: body.status,
        stripe_customer_id: body.stripe_customer_id,
    };
    let outcome = async {
        let changed = admin.tenancy.update_tenant(tenant, patch, &admin.actor()).await?;
        admin.changed(Change::Tenant(tenant));
        Ok(Json(TenantView::from(changed)))
    };
    admin.answer(outcome.await)
}

/// Delete a tenant that has no projects
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", tag = "tenants",
    extensions(("x-permission" = json!("tenants:delete")), ("x-elevated" = json!(true))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses(
        (status = 204, description = "Deleted; usage and audit records stay"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_tenant(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.delete_tenant(tenant, &admin.actor()).await?;
        admin.changed(Change::Tenant(tenant));
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// Suspend a tenant: its credentials are refused and its connections end
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/suspend", tag = "tenants",
    extensions(
        ("x-permission" = json!("tenants:write")),
        ("x-checked" = json!("installation"))
    ),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = Suspend,
    responses(
        (status = 200, description = "Suspended", body = TenantView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn suspend_tenant(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Suspend>,
) -> Response {
    let outcome = async {
        let by = admin.actor();
        let suspended = admin.tenancy.suspend_tenant(tenant, &body.reason, &by).await?;
        admin.changed(Change::Tenant(tenant));
        Ok(Json(TenantView::from(suspended)))
    };
    admin.answer(outcome.await)
}

/// Resume a suspended tenant with the status it had before
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/resume", tag = "tenants",
    extensions(
        ("x-permission" = json!("tenants:write")),
        ("x-checked" = json!("installation"))
    ),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = Resume,
    responses(
        (status = 200, description = "Resumed", body = TenantView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn resume_tenant(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Resume>,
) -> Response {
    let outcome = async {
        let by = admin.actor();
        let resumed = admin.tenancy.resume_tenant(tenant, body.reason.as_deref(), &by).await?;
        admin.changed(Change::Tenant(tenant));
        Ok(Json(TenantView::from(resumed)))
    };
    admin.answer(outcome.await)
}
