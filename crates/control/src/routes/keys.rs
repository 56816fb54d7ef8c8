//! API keys: made with the secret shown once, rotated with grace, revoked.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::{KeyPath, ProjectPath};
use crate::repeat::Kept;
use crate::view::{GrantSchema, KeyView};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use identity::grant_text::{self, GrantText};
use identity::{Environment, NewApiKey};
use port::{Change, Code, Refusal};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenancy::{ApiKey, KeyMode, NewKey};
use types::{Scopes, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// How long a replaced key counts when nothing else is asked for: a day.
const GRACE_MS_DEFAULT: u64 = 24 * 3_600_000;
/// Thirty days.
const GRACE_MS_MAX: u64 = 30 * 24 * 3_600_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(create_key, list_keys))
        .routes(routes!(get_key))
        .routes(routes!(rotate_key))
        .routes(routes!(revoke_key))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    /// 1 to 128 bytes.
    name: String,
    /// `live` when absent, or `test`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mode: KeyMode,
    /// One or more of `events:publish`, `events:subscribe`, `admin:read`, `admin:write` and
    /// `billing:read`.
    #[schema(value_type = Vec<String>)]
    scopes: Scopes,
    /// Bounds the key to addresses; bounded by scopes alone when absent.
    #[schema(value_type = Option<Vec<GrantSchema>>)]
    grants: Option<Vec<GrantText>>,
    /// Sustained requests per second; not bounded by itself when absent.
    rate_per_second: Option<u32>,
    /// Milliseconds since 1970; for ever when absent.
    expires_at: Option<TimestampMs>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateKey {
    /// How long the old key still counts: a day when absent, at most thirty days.
    grace_ms: Option<u64>,
}

#[derive(Serialize, ToSchema)]
struct KeyWithSecret {
    key: KeyView,
    /// The key's text, shown this once and never stored.
    secret: String,
    /// After a rotation, the key that was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<KeyView>,
}

#[derive(Serialize, ToSchema)]
struct KeyList {
    keys: Vec<KeyView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

fn environment(mode: KeyMode) -> Environment {
    match mode {
        KeyMode::Live => Environment::Live,
        KeyMode::Test => Environment::Test,
    }
}

/// What is stored of freshly made text; the rest is the caller's.
async fn new_key(admin: &Admin, body: CreateKey) -> Result<(NewApiKey, NewKey), Refusal> {
    let invalid = |field: &str, why: String| Refusal::new(Code::InvalidRequest, why).field(field);
    if body.scopes == Scopes::NONE {
        return Err(invalid("scopes", "a key has at least one scope".to_owned()));
    }
    if let Some(grants) = &body.grants {
        grant_text::read(grants).map_err(|why| invalid("grants", why))?;
    }
    let grants = body.grants.map(serde_json::to_value).transpose();
    let made = admin.authenticator.new_api_key(environment(body.mode));
    let new = NewKey {
        name: body.name,
        mode: body.mode,
        prefix: made.lookup.clone(),
        hash: made.hash.to_vec(),
        scopes: body.scopes,
        grants: grants.map_err(|error| Refusal::internal(&error))?,
        rate_per_second: body.rate_per_second,
        expires_at: body.expires_at,
        verifier: admin.authenticator.verifier(&made).await,
    };
    Ok((made, new))
}

/// The answer with the secret; what is kept for a repetition of the request is without.
fn show_once(
    admin: &Admin,
    made: &NewApiKey,
    key: ApiKey,
    replaced: Option<ApiKey>,
) -> Result<Response, Refusal> {
    let now = admin.clock.now_ms();
    let shown = KeyWithSecret {
        key: KeyView::new(key, now),
        secret: made.text.expose_secret().to_owned(),
        replaced: replaced.map(|key| KeyView::new(key, now)),
    };
    let mut kept = serde_json::to_value(&shown).map_err(|error| Refusal::internal(&error))?;
    if let Some(object) = kept.as_object_mut() {
        object.insert("secret".to_owned(), serde_json::Value::Null);
    }
    let mut response = (StatusCode::CREATED, Json(shown)).into_response();
    response.extensions_mut().insert(Kept(kept));
    Ok(response)
}

/// Create an API key; its secret is shown once
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/keys", tag = "keys",
    extensions(("x-permission" = json!("keys:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    request_body = CreateKey,
    responses(
        (status = 201, description = "Created; repeated by an idempotency key, without secret",
            body = KeyWithSecret),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_key(
    admin: Admin,
    at: ProjectPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateKey>,
) -> Response {
    let outcome = async {
        let (made, new) = new_key(&admin, body).await?;
        let by = admin.actor();
        let key = admin.tenancy.create_key(at.tenant, at.project, new, &by).await?;
        admin.changed(Change::Key(key.id));
        show_once(&admin, &made, key, None)
    };
    admin.answer(outcome.await)
}

/// List the API keys of a project
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/keys", tag = "keys",
    extensions(("x-permission" = json!("keys:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Keys in the order of their identifiers, revoked ones too",
            body = KeyList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_keys(
    admin: Admin,
    at: ProjectPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.project(at.tenant, at.project).await?;
        let (after, limit) = (query.place()?, query.limit()?);
        let page = admin.tenancy.keys(at.tenant, at.project, after, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let now = admin.clock.now_ms();
        let keys = page.items.into_iter().map(|key| KeyView::new(key, now)).collect();
        Ok(Json(KeyList { keys, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at an API key
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/keys/{key}", tag = "keys",
    extensions(("x-permission" = json!("keys:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("key" = String, Path, description = "The key's id"),
    ),
    responses(
        (status = 200, description = "The key without its secret", body = KeyView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_key(
    admin: Admin,
    at: ProjectPath,
    KeyPath(key): KeyPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = admin.tenancy.key(at.tenant, at.project, key).await;
    let now = admin.clock.now_ms();
    admin.answer(outcome.map(|key| Json(KeyView::new(key, now))).map_err(Into::into))
}

/// Replace an API key; the old one counts through a grace period
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/keys/{key}/rotate", tag = "keys",
    extensions(("x-permission" = json!("keys:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("key" = String, Path, description = "The key's id"),
    ),
    request_body = RotateKey,
    responses(
        (status = 201, description = "The new key, with all that the old one had",
            body = KeyWithSecret),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn rotate_key(
    admin: Admin,
    at: ProjectPath,
    KeyPath(key): KeyPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RotateKey>,
) -> Response {
    let outcome = async {
        let grace_ms = body.grace_ms.unwrap_or(GRACE_MS_DEFAULT);
        if grace_ms > GRACE_MS_MAX {
            return Err(Refusal::new(Code::InvalidRequest, "the grace is too long")
                .field("grace_ms")
                .hint(format!("at most {GRACE_MS_MAX}")));
        }
        let old = admin.tenancy.key(at.tenant, at.project, key).await?;
        let made = admin.authenticator.new_api_key(environment(old.mode));
        let new = NewKey {
            name: old.name,
            mode: old.mode,
            prefix: made.lookup.clone(),
            hash: made.hash.to_vec(),
            scopes: old.scopes,
            grants: old.grants,
            rate_per_second: old.rate_per_second,
            expires_at: old.expires_at,
            verifier: admin.authenticator.verifier(&made).await,
        };
        let (grace, by) = (Duration::from_millis(grace_ms), admin.actor());
        let rotated = admin.tenancy.rotate_key(at.tenant, at.project, key, new, grace, &by).await?;
        admin.changed(Change::Key(key));
        admin.changed(Change::Key(rotated.new.id));
        show_once(&admin, &made, rotated.new, Some(rotated.old))
    };
    admin.answer(outcome.await)
}

/// Revoke an API key for ever; connections that stand on it end
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/keys/{key}/revoke", tag = "keys",
    extensions(("x-permission" = json!("keys:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("key" = String, Path, description = "The key's id"),
    ),
    responses(
        (status = 200, description = "Revoked", body = KeyView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn revoke_key(
    admin: Admin,
    at: ProjectPath,
    KeyPath(key): KeyPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let by = admin.actor();
        let revoked = admin.tenancy.revoke_key(at.tenant, at.project, key, &by).await?;
        admin.changed(Change::Key(key));
        Ok(Json(KeyView::new(revoked, admin.clock.now_ms())))
    };
    admin.answer(outcome.await)
}
