//! The audit trail, newest first: of one tenant, or of the whole installation.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{limit, next_cursor, place};
use crate::view::AuditView;
use axum::Json;
use axum::response::Response;
use rules::Permission;
use serde::{Deserialize, Serialize};
use tenancy::AuditFilter;
use types::{ProjectId, TenantId};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::schema::ErrorSchema;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list_audit))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AuditQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    action: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct AuditList {
    records: Vec<AuditView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// List the audit trail
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit",
    extensions(("x-permission" = json!("audit:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("action" = Option<String>, Query, description = "Only this action, such as `key.revoke`"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Records, newest first", body = AuditList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_audit(admin: Admin, StrictQuery(query): StrictQuery<AuditQuery>) -> Response {
    let outcome = async {
        let limit = limit(query.limit)?;
        let (tenant, project) =
            admin.narrowed(Permission::AuditRead, (query.tenant, query.project))?;
        let filter =
            AuditFilter { project, action: query.action, before: place(query.cursor.as_deref())? };
        let page = match tenant {
            Some(tenant) => admin.tenancy.audit(tenant, &filter, limit).await?,
            None => admin.tenancy.audit_of_all_tenants(&filter, limit).await?,
        };
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let records = page.items.into_iter().map(AuditView::from).collect();
        Ok(Json(AuditList { records, next_cursor }))
    };
    admin.answer(outcome.await)
}
