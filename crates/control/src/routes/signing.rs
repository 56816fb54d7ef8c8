//! What a project's tokens are checked with: signing keys, and the tenant's own key set.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::{ProjectPath, SigningKeyPath};
use crate::repeat::Kept;
use crate::view::{SigningKeyView, TokenSettingsView};
use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use identity::Algorithm;
use identity::signing::{self, Material};
use port::{Change, Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use tenancy::{NewSigningKey, SigningAlgorithm, TokenSettings};
use types::ProjectId;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(add_signing_key, list_signing_keys))
        .routes(routes!(remove_signing_key))
        .routes(routes!(get_token_settings, set_token_settings))
}

/// Brings a key (`secret_base64` or `public_key`), or without either has one made here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddSigningKey {
    /// 1 to 64 letters, digits, `_` and `-`, unique in the project.
    name: String,
    /// `HS256`, `RS256`, `ES256` or `EdDSA`.
    #[schema(value_type = String)]
    algorithm: SigningAlgorithm,
    /// For `HS256`: the shared secret, at least 32 bytes.
    #[serde(default, deserialize_with = "hidden")]
    #[schema(value_type = Option<String>)]
    secret_base64: Option<SecretString>,
    /// For the others: the public key as PEM.
    public_key: Option<String>,
}

/// Wiped from memory when dropped, and never printed.
fn hidden<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(SecretString::from))
}

#[derive(Serialize, ToSchema)]
struct AddedSigningKey {
    #[serde(flatten)]
    key: SigningKeyView,
    /// The shared secret when it was made here, shown this once.
    secret_base64: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct SigningKeyList {
    signing_keys: Vec<SigningKeyView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

fn algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Hs256 => Algorithm::Hs256,
        SigningAlgorithm::Rs256 => Algorithm::Rs256,
        SigningAlgorithm::Es256 => Algorithm::Es256,
        SigningAlgorithm::EdDsa => Algorithm::EdDsa,
    }
}

fn invalid(field: &str, why: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, why).field(field)
}

/// What is stored, and the secret to show when it was made here.
fn material(
    admin: &Admin,
    project: ProjectId,
    body: &AddSigningKey,
) -> Result<(Material, Option<String>), Refusal> {
    let (name, algorithm) = (&body.name, algorithm(body.algorithm));
    match (&body.secret_base64, &body.public_key) {
        (Some(_), Some(_)) => {
            Err(invalid("public_key", "a signing key has a secret or a public key, not both"))
        }
        (Some(_), None) if algorithm != Algorithm::Hs256 => {
            Err(invalid("secret_base64", "only HS256 has a shared secret: send `public_key`"))
        }
        (Some(secret), None) => {
            let secret = STANDARD
                .decode(secret.expose_secret())
                .map_err(|_| invalid("secret_base64", "the secret is not base64"))?;
            let imported = signing::import_secret(&admin.sealer, project, name, &secret);
            Ok((imported.map_err(rename_secret)?, None))
        }
        (None, Some(pem)) => Ok((signing::import_public_key(name, algorithm, pem)?, None)),
        (None, None) => {
            let rng = admin.rng.as_ref();
            let made = signing::SigningKey::generate(&admin.sealer, project, name, algorithm, rng)?;
            let (key, material) = made;
            let secret = key.shared_secret.as_ref();
            Ok((material, secret.map(|secret| STANDARD.encode(secret.expose_secret()))))
        }
    }
}

/// The field as this API calls it.
fn rename_secret(refusal: Refusal) -> Refusal {
    match refusal.field_name() {
        Some("secret") => refusal.field("secret_base64"),
        _ => refusal,
    }
}

/// Add a signing key
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/signing-keys", tag = "tokens",
    extensions(("x-permission" = json!("tokens:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    request_body = AddSigningKey,
    responses(
        (status = 201, description = "Added; repeated by an idempotency key, without secret",
            body = AddedSigningKey),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn add_signing_key(
    admin: Admin,
    at: ProjectPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<AddSigningKey>,
) -> Response {
    let outcome = async {
        let (material, secret_base64) = material(&admin, at.project, &body)?;
        let new = NewSigningKey {
            kid: body.name,
            algorithm: body.algorithm,
            material: material.encode(),
        };
        let by = admin.actor();
        let key = admin.tenancy.add_signing_key(at.tenant, at.project, new, &by).await?;
        admin.changed(Change::Project(at.project));
        let mut shown = AddedSigningKey { key: key.into(), secret_base64: None };
        let kept = serde_json::to_value(&shown).map_err(|error| Refusal::internal(&error))?;
        shown.secret_base64 = secret_base64;
        let mut response = (StatusCode::CREATED, Json(shown)).into_response();
        response.extensions_mut().insert(Kept(kept));
        Ok(response)
    };
    admin.answer(outcome.await)
}

/// List the signing keys of a project
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/signing-keys", tag = "tokens",
    extensions(("x-permission" = json!("tokens:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Signing keys in the order of their identifiers",
            body = SigningKeyList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_signing_keys(
    admin: Admin,
    at: ProjectPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.project(at.tenant, at.project).await?;
        let (after, limit) = (query.place()?, query.limit()?);
        let page = admin.tenancy.signing_keys(at.tenant, at.project, after, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let signing_keys = page.items.into_iter().map(SigningKeyView::from).collect();
        Ok(Json(SigningKeyList { signing_keys, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Remove a signing key; tokens signed with it are refused from now on
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/projects/{project}/signing-keys/{signing_key}",
    tag = "tokens",
    extensions(("x-permission" = json!("tokens:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("signing_key" = String, Path, description = "The signing key's id"),
    ),
    responses(
        (status = 204, description = "Removed"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn remove_signing_key(
    admin: Admin,
    at: ProjectPath,
    SigningKeyPath(key): SigningKeyPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let by = admin.actor();
        admin.tenancy.remove_signing_key(at.tenant, at.project, key, &by).await?;
        admin.changed(Change::Project(at.project));
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// How tokens are checked besides the project's own signing keys
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/token-settings", tag = "tokens",
    extensions(("x-permission" = json!("tokens:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    responses(
        (status = 200, description = "The settings", body = TokenSettingsView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_token_settings(admin: Admin, at: ProjectPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = admin.tenancy.token_settings(at.tenant, at.project).await;
    admin.answer(outcome.map(|found| Json(view(found))).map_err(Into::into))
}

/// Replace the settings whole
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/projects/{project}/token-settings", tag = "tokens",
    extensions(("x-permission" = json!("tokens:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    request_body = TokenSettingsView,
    responses(
        (status = 200, description = "Set", body = TokenSettingsView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn set_token_settings(
    admin: Admin,
    at: ProjectPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<TokenSettingsView>,
) -> Response {
    let outcome = async {
        check_url(body.jwks_url.as_deref())?;
        let settings = TokenSettings {
            jwks_url: body.jwks_url,
            audiences: body.audiences,
            issuers: body.issuers,
        };
        let by = admin.actor();
        admin.tenancy.set_token_settings(at.tenant, at.project, &settings, &by).await?;
        admin.changed(Change::Project(at.project));
        Ok(Json(view(settings)))
    };
    admin.answer(outcome.await)
}

/// That it is a URL at all; which addresses may be asked is decided when it is fetched.
fn check_url(url: Option<&str>) -> Result<(), Refusal> {
    let Some(url) = url else { return Ok(()) };
    let parsed = url.parse::<http::Uri>().ok();
    let is_web = parsed.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some()
    });
    if is_web {
        return Ok(());
    }
    Err(invalid("jwks_url", "this is not a web address").hint("https://host/path"))
}

fn view(settings: TokenSettings) -> TokenSettingsView {
    TokenSettingsView {
        jwks_url: settings.jwks_url,
        audiences: settings.audiences,
        issuers: settings.issuers,
    }
}
