//! The keys of encryption at rest: what the ring holds, rotating the root key and tenants' keys,
//! shredding a tenant, carrying the ring to another machine. All of it blocks, so it runs off the
//! asynchronous threads. It must not show a key.

mod view;

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::TenantPath;
use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use keys::{Keyring, KeysError, NODE};
use port::{Change, Code, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tenancy::SYSTEM;
use types::TenantId;
use utoipa::ToSchema;
use utoipa_axum::routes;
use view::{
    ImportView, KeyringView, RootRotationView, ShreddedView, TenantKeysView, TenantRotationView,
    refusal,
};
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery, read_body};

/// Of an export; a ring of 100,000 tenants has 17 MB.
const EXPORT_BYTES_MAX: usize = 256 << 20;
const REASON_BYTES_MAX: usize = 1_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(keys_at_rest_status))
        .routes(routes!(tenant_keys_at_rest))
        .routes(routes!(rotate_root_key))
        .routes(routes!(rotate_tenant_key))
        .routes(routes!(shred_tenant))
        .routes(routes!(export_keys_at_rest))
        .routes(routes!(import_keys_at_rest))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rotate {
    /// Why, for the audit trail.
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Shred {
    /// The tenant's id or name once more, so that the wrong one is not shredded.
    confirm: String,
    /// Why, for the audit trail.
    reason: Option<String>,
}

fn ring(admin: &Admin) -> Result<Arc<Keyring>, Refusal> {
    admin.keyring.clone().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "encryption at rest is off on this server")
            .hint("set `encryption.enabled` to true and restart")
    })
}

/// Makes a new tenant's keys before its first record waits for them.
pub(super) async fn prepare(admin: &Admin, tenant: TenantId) {
    let Some(ring) = admin.keyring.clone() else { return };
    if let Err(refusal) = blocking(ring, move |ring| ring.prepare(&[tenant])).await {
        tracing::warn!(%tenant, %refusal, "the tenant's keys wait for its first record");
    }
}

/// Runs off the asynchronous threads.
async fn blocking<T: Send + 'static>(
    ring: Arc<Keyring>,
    work: impl FnOnce(&Keyring) -> Result<T, KeysError> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(move || work(&ring)).await;
    done.map_err(|error| Refusal::internal(&error))?.map_err(refusal)
}

/// What is to be done, in the trail before it is done: a change that the trail does not tell of
/// must not be. How it failed is added.
async fn noted<T: Send + 'static>(
    admin: &Admin,
    action: &'static str,
    tenant: Option<TenantId>,
    reason: Option<&str>,
    work: impl FnOnce(&Keyring) -> Result<T, KeysError> + Send + 'static,
) -> Result<T, Refusal> {
    if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        let refusal = Refusal::new(Code::InvalidRequest, "a reason has at most 1000 bytes");
        return Err(refusal.field("reason"));
    }
    let ring = ring(admin)?;
    let (trail, by) = (&admin.tenancy, admin.actor());
    trail.note_keyring(action, tenant, json!({"reason": reason}), &by).await?;
    let done = blocking(ring, work).await;
    if let Err(refusal) = &done {
        let details = json!({"failed": refusal.to_string()});
        trail.note_keyring(action, tenant, details, &by).await?;
    }
    done
}

/// What the key ring holds
#[utoipa::path(
    get, path = "/v1/keys-at-rest", tag = "keys at rest",
    extensions(("x-permission" = json!("encryption:read"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "The root key's id and tenants by id", body = KeyringView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn keys_at_rest_status(admin: Admin, StrictQuery(query): StrictQuery<PageQuery>) -> Response {
    let outcome = async {
        let (after, limit) = (query.place()?, query.limit()?);
        let status = blocking(ring(&admin)?, move |ring| ring.status(after, limit)).await?;
        let last = status.tenants.last().map(|last| last.tenant);
        let next_cursor = next_cursor(last, status.has_more);
        let mut view = KeyringView::of(status, next_cursor);
        for tenant in &mut view.tenants {
            name(&admin, tenant).await?;
        }
        Ok(Json(view))
    };
    admin.answer(outcome.await)
}

async fn name(admin: &Admin, view: &mut TenantKeysView) -> Result<(), Refusal> {
    if view.id == NODE {
        view.hint = Some("what the log keeps of itself for all tenants; it cannot be shredded");
        return Ok(());
    }
    match admin.tenancy.tenant(view.id).await.map_err(Refusal::from) {
        Ok(tenant) => view.name = Some(tenant.name),
        Err(refusal) if refusal.code() == Code::NotFound => {
            view.hint = match view.state {
                "live" => Some("the tenant was deleted; shred its keys to end its records too"),
                _ => None,
            };
        }
        Err(refusal) => return Err(refusal),
    }
    Ok(())
}

/// The keys of one tenant
#[utoipa::path(
    get, path = "/v1/keys-at-rest/tenants/{tenant}", tag = "keys at rest",
    extensions(("x-permission" = json!("encryption:read"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "Its key versions", body = TenantKeysView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn tenant_keys_at_rest(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let found = blocking(ring(&admin)?, move |ring| ring.tenant_status(tenant)).await?;
        let found = found.ok_or_else(|| refusal(KeysError::Unknown(tenant)))?;
        let mut view = TenantKeysView::from(found);
        name(&admin, &mut view).await?;
        Ok(Json(view))
    };
    admin.answer(outcome.await)
}

/// Put the ring under a new root key
#[utoipa::path(
    post, path = "/v1/keys-at-rest/rotate-root", tag = "keys at rest",
    extensions(("x-permission" = json!("encryption:write"))),
    request_body = Rotate,
    responses(
        (status = 200, description = "Rotated", body = RootRotationView),
        (status = "default", description = "Refused; the old root key is in force",
            body = ErrorSchema),
    ),
)]
async fn rotate_root_key(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Rotate>,
) -> Response {
    let reason = body.reason.as_deref();
    let done = noted(&admin, "root_key.rotate", None, reason, Keyring::rotate_root).await;
    admin.answer(done.map(|done| Json(RootRotationView::from(done))))
}

/// Give a tenant a new key, and end its old ones
#[utoipa::path(
    post, path = "/v1/keys-at-rest/tenants/{tenant}/rotate", tag = "keys at rest",
    extensions(("x-permission" = json!("encryption:write"))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = Rotate,
    responses(
        (status = 200, description = "Rotated; all records stay readable",
            body = TenantRotationView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn rotate_tenant_key(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Rotate>,
) -> Response {
    let reason = body.reason.as_deref();
    let work = move |ring: &Keyring| ring.rotate_tenant(tenant);
    let done = noted(&admin, "tenant_key.rotate", Some(tenant), reason, work).await;
    admin.answer(done.map(|done| Json(TenantRotationView::of(tenant, done))))
}

/// Destroy a tenant's keys: its records cannot be read any more, by anybody, for ever
#[utoipa::path(
    post, path = "/v1/keys-at-rest/tenants/{tenant}/shred", tag = "keys at rest",
    extensions(("x-permission" = json!("encryption:shred")), ("x-elevated" = json!(true))),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = Shred,
    responses(
        (status = 200, description = "Shredded, now or before", body = ShreddedView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn shred_tenant(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Shred>,
) -> Response {
    let outcome = async {
        confirmed(&admin, tenant, &body.confirm).await?;
        let work = move |ring: &Keyring| ring.shred(tenant);
        let reason = body.reason.as_deref();
        let at = noted(&admin, "tenant_key.shred", Some(tenant), reason, work).await?;
        admin.changed(Change::Tenant(tenant));
        Ok(Json(ShreddedView { tenant: tenant.to_string(), shredded_at: at }))
    };
    admin.answer(outcome.await)
}

/// A deleted tenant has no name any more, and one that the ring never heard of is a mistake.
async fn confirmed(admin: &Admin, tenant: TenantId, typed: &str) -> Result<(), Refusal> {
    let name = match admin.tenancy.tenant(tenant).await.map_err(Refusal::from) {
        Ok(tenant) => Some(tenant.name),
        Err(refusal) if refusal.code() == Code::NotFound => {
            let known = blocking(ring(admin)?, move |ring| ring.tenant_status(tenant)).await?;
            known.map(|_| None).ok_or(refusal)?
        }
        Err(refusal) => return Err(refusal),
    };
    if name.as_deref() == Some(SYSTEM) {
        let text = "the platform keeps its own changes under this tenant; its key can be rotated, \
                    not shredded";
        return Err(Refusal::new(Code::Conflict, text).field("tenant"));
    }
    if typed == tenant.to_string() || name.as_deref() == Some(typed) {
        return Ok(());
    }
    Err(Refusal::new(Code::InvalidRequest, "the confirmation names another tenant")
        .field("confirm")
        .hint("repeat the tenant's id or its name; shredding cannot be undone"))
}

/// The ring in one file, still wrapped by its root key
#[utoipa::path(
    get, path = "/v1/keys-at-rest/export", tag = "keys at rest",
    extensions(
        ("x-permission" = json!("encryption:shred")),
        ("x-elevated" = json!(true)),
        ("x-approval" = json!("pass"))
    ),
    responses(
        (status = 200, description = "The export; worthless without the root key",
            body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn export_keys_at_rest(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let done = noted(&admin, "key_ring.export", None, None, Keyring::export).await;
    admin.answer(done.map(|bytes| {
        let headers = [
            (CONTENT_TYPE, "application/octet-stream"),
            (CONTENT_DISPOSITION, "attachment; filename=\"mainstem-keys.export\""),
        ];
        (headers, bytes).into_response()
    }))
}

/// Add what an export has and the ring lacks; shredded tenants stay shredded
#[utoipa::path(
    post, path = "/v1/keys-at-rest/import", tag = "keys at rest",
    extensions(("x-permission" = json!("encryption:write")), ("x-approval" = json!("pass"))),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "Imported", body = ImportView),
        (status = "default", description = "Refused; nothing was changed", body = ErrorSchema),
    ),
)]
async fn import_keys_at_rest(admin: Admin, _: StrictQuery<NoQuery>, body: Body) -> Response {
    let outcome = async {
        let bytes = read_body(body, EXPORT_BYTES_MAX).await?;
        let work = move |ring: &Keyring| ring.import(&bytes);
        let done = noted(&admin, "key_ring.import", None, None, work).await?;
        Ok(Json::<Value>(json!(ImportView::from(done))))
    };
    admin.answer(outcome.await)
}
