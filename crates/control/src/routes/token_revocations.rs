//! Tokens that a project takes back before their time: one of them, or all that a subject, a key or
//! an issuer was good for until some moment. Which token fits is not decided here.

use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::{ProjectPath, RevocationPath};
use crate::{Control, Routes};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use port::{Change, Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use tenancy::{Actor, NewRevocation, Revocation, RevocationKind};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(revoke_tokens, list_token_revocations))
        .routes(routes!(reinstate_tokens))
}

/// Names what is taken back by exactly one of `token`, `jti`, `fingerprint`, `sub`, `kid`, `iss`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RevokeTokens {
    /// A whole token of the project: its `jti` is revoked, or without one its fingerprint, until
    /// its `exp`. It is not kept.
    #[serde(default, deserialize_with = "hidden")]
    #[schema(value_type = Option<String>)]
    token: Option<SecretString>,
    /// The token with this claim.
    jti: Option<String>,
    /// The token whose text up to its second dot has this SHA-256, in hexadecimal digits.
    fingerprint: Option<String>,
    /// All tokens of this subject.
    sub: Option<String>,
    /// All tokens whose header has this `kid`; a signing key's is `<project id>.<name>`.
    kid: Option<String>,
    /// All tokens of this issuer.
    iss: Option<String>,
    /// With `sub`, `kid` and `iss`: only tokens issued (`iat`) before, in milliseconds since 1970;
    /// now when absent. A token that does not say counts as old.
    issued_before: Option<TimestampMs>,
    /// When the last of these tokens ends by itself (`exp`), in milliseconds since 1970: the
    /// revocation is forgotten then. When absent, it is kept for the longest that a token may
    /// live (`identity.token_lifetime_ms_max`).
    expires_at: Option<TimestampMs>,
    /// At most 512 bytes, for the list and the audit trail.
    reason: Option<String>,
}

/// Wiped from memory when dropped, and never printed.
fn hidden<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(SecretString::from))
}

#[derive(Serialize, ToSchema)]
#[schema(as = TokenRevocation)]
pub(crate) struct RevocationView {
    id: String,
    /// `jti`, `fingerprint`, `sub`, `kid` or `iss`.
    #[schema(value_type = String)]
    kind: RevocationKind,
    value: String,
    /// Only tokens issued before; `null`: whenever it was issued.
    issued_before: Option<TimestampMs>,
    /// When it is forgotten, because no such token counts any more.
    expires_at: TimestampMs,
    reason: Option<String>,
    /// Who revoked, last if he was not the only one.
    actor: String,
    created_at: TimestampMs,
}

impl From<Revocation> for RevocationView {
    fn from(of: Revocation) -> RevocationView {
        RevocationView {
            id: of.id.to_string(),
            kind: of.kind,
            value: of.value,
            issued_before: of.issued_before,
            expires_at: of.until,
            reason: of.reason,
            actor: of.actor,
            created_at: of.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct RevocationList {
    revocations: Vec<RevocationView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// Revoke tokens; sessions that stand on them end within a second
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/token-revocations", tag = "tokens",
    extensions(("x-permission" = json!("tokens:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    request_body = RevokeTokens,
    responses(
        (status = 201, description = "Revoked; one that is there already is made wider",
            body = RevocationView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn revoke_tokens(
    admin: Admin,
    at: ProjectPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RevokeTokens>,
) -> Response {
    let outcome = async {
        let new = wanted(&admin, at.project, body).await?;
        let place = (at.tenant, at.project);
        let revoked = revoke(&admin, place, new, &admin.actor()).await?;
        Ok((StatusCode::CREATED, Json(RevocationView::from(revoked))).into_response())
    };
    admin.answer(outcome.await)
}

/// List the revocations of tokens that are in force
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/token-revocations", tag = "tokens",
    extensions(("x-permission" = json!("tokens:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Revocations in the order of their identifiers",
            body = RevocationList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_token_revocations(
    admin: Admin,
    at: ProjectPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        admin.tenancy.project(at.tenant, at.project).await?;
        let (after, limit) = (query.place()?, query.limit()?);
        let page = admin.tenancy.revocations(at.tenant, at.project, after, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let revocations = page.items.into_iter().map(RevocationView::from).collect();
        Ok(Json(RevocationList { revocations, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Take a revocation away; tokens that it alone refused count again
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/projects/{project}/token-revocations/{revocation}",
    tag = "tokens",
    extensions(("x-permission" = json!("tokens:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("revocation" = String, Path, description = "The revocation's id"),
    ),
    responses(
        (status = 204, description = "Taken away"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn reinstate_tokens(
    admin: Admin,
    at: ProjectPath,
    RevocationPath(revocation): RevocationPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let by = admin.actor();
        admin.tenancy.withdraw_revocation(at.tenant, at.project, revocation, &by).await?;
        admin.changed(Change::Project(at.project));
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// What is to be revoked, in the store's words.
async fn wanted(
    control: &Control,
    project: ProjectId,
    body: RevokeTokens,
) -> Result<NewRevocation, Refusal> {
    let named = [
        (RevocationKind::Jti, body.jti),
        (RevocationKind::Fingerprint, body.fingerprint),
        (RevocationKind::Sub, body.sub),
        (RevocationKind::Kid, body.kid),
        (RevocationKind::Iss, body.iss),
    ];
    let mut named = named.into_iter().filter_map(|(kind, value)| Some((kind, value?)));
    let (kind, value, ends_at) = match (body.token, named.next(), named.next()) {
        (None, Some((kind, value)), None) => (kind, value, body.expires_at),
        (Some(token), None, None) => {
            let (kind, value, ends_at) = of_token(control, project, &token).await?;
            (kind, value, body.expires_at.or(Some(ends_at)))
        }
        _ => {
            let why = "name what is revoked by exactly one field";
            return Err(Refusal::new(Code::InvalidRequest, why)
                .field("jti")
                .hint("one of `token`, `jti`, `fingerprint`, `sub`, `kid` and `iss`"));
        }
    };
    let until = until(control, ends_at);
    Ok(NewRevocation { kind, value, issued_before: body.issued_before, until, reason: body.reason })
}

/// When such tokens count no more by themselves; unknown: at the latest.
pub(crate) fn until(control: &Control, ends_at: Option<TimestampMs>) -> TimestampMs {
    let times = control.authenticator.token_times();
    let now = control.clock.now_ms();
    let ends_at = ends_at.unwrap_or_else(|| now.saturating_add(times.lifetime_ms_max));
    ends_at.saturating_add(times.leeway_ms)
}

/// What a whole token is recognised by, and its `exp`. Only one that counts is taken, so that
/// nobody believes he revoked one when he did not.
async fn of_token(
    control: &Control,
    project: ProjectId,
    token: &SecretString,
) -> Result<(RevocationKind, String, TimestampMs), Refusal> {
    let bad = |why: &str| {
        Refusal::new(Code::InvalidRequest, why.to_owned())
            .field("token")
            .hint("a token of the project that still counts, or name its `jti`")
    };
    let seen = control.authenticator.examine(token.expose_secret()).await;
    let seen = seen.map_err(|refusal| match refusal.code() {
        // These codes would tell the caller that his own credential is wrong.
        Code::InvalidToken | Code::ExpiredToken => bad(refusal.message()),
        _ => refusal,
    })?;
    if seen.project != project {
        return Err(bad("the token is another project's"));
    }
    let (kind, value) = match seen.jti {
        Some(jti) => (RevocationKind::Jti, jti),
        None => (RevocationKind::Fingerprint, seen.fingerprint),
    };
    Ok((kind, value, seen.ends_at))
}

/// Takes tokens of this project back, and tells the node.
pub(crate) async fn revoke(
    control: &Control,
    (tenant, project): (TenantId, ProjectId),
    new: NewRevocation,
    by: &Actor,
) -> Result<Revocation, Refusal> {
    let revoked = control.tenancy.revoke_tokens(tenant, project, new, by).await?;
    control.live.changed(Change::Project(project));
    Ok(revoked)
}
