//! Users of a project whose tokens are taken back: all they have open ends, and what was issued to
//! them before counts no more.

use crate::admin::Admin;
use crate::path::ProjectPath;
use crate::routes::token_revocations::{revoke as revoke_tokens, until};
use crate::{Control, Routes};
use axum::Json;
use axum::response::Response;
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use tenancy::{Actor, NewRevocation, RevocationKind};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(revoke_principal))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokePrincipal {
    /// `jwt:` and the subject of the tokens, as connections show it.
    pub(crate) principal: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedPrincipal {
    pub(crate) principal: String,
    /// Tokens issued before are refused, in milliseconds since 1970.
    pub(crate) before: TimestampMs,
}

/// Revoke a principal
///
/// Its sessions end at once, and its tokens of before now are refused from now on.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/principals/revoke", tag = "connections",
    extensions(("x-permission" = json!("connections:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    request_body = RevokePrincipal,
    responses(
        (status = 200, description = "Revoked", body = RevokedPrincipal),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn revoke_principal(
    admin: Admin,
    at: ProjectPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RevokePrincipal>,
) -> Response {
    let outcome = revoke(&admin, (at.tenant, at.project), &body, &admin.actor()).await;
    admin.answer(outcome.map(Json))
}

/// Takes back what a principal of this project was given.
pub(crate) async fn revoke(
    control: &Control,
    (tenant, project): (TenantId, ProjectId),
    body: &RevokePrincipal,
    by: &Actor,
) -> Result<RevokedPrincipal, Refusal> {
    let Some(subject) = body.principal.strip_prefix("jwt:") else {
        let refusal = Refusal::new(Code::InvalidRequest, "only principals of tokens are revoked");
        return Err(refusal
            .field("principal")
            .hint("`jwt:` and the token's subject; an API key is revoked by its id"));
    };
    let new = NewRevocation {
        kind: RevocationKind::Sub,
        value: subject.to_owned(),
        issued_before: None,
        until: until(control, None),
        reason: None,
    };
    let revoked = revoke_tokens(control, (tenant, project), new, by).await;
    let revoked = revoked.map_err(|refusal| match refusal.field_name() {
        Some("sub") => refusal.field("principal"),
        _ => refusal,
    })?;
    // Kinds of many tokens always have their moment.
    let before = revoked.issued_before.unwrap_or(revoked.created_at);
    Ok(RevokedPrincipal { principal: body.principal.clone(), before })
}
