//! A bearer takes his own token back (RFC 7009): whoever holds a token may end it, and needs to
//! prove nothing else. It must not revoke more than the one token that was handed in.

use super::Own;
use crate::routes::token_revocations::{revoke, until};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use identity::ApiKeyText;
use port::{Code, Credential, Peer, Refusal};
use serde::Deserialize;
use tenancy::{Actor, NewRevocation, RevocationKind};
use utoipa::ToSchema;
use wire_http::json::utf8;
use wire_http::query::pairs;
use wire_http::schema::ErrorSchema;
use wire_http::{read_body, refusal::set_request_id, refusal_response};

/// Bytes of a body: a token of the longest kind, with every byte escaped, and a little more.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// As `application/x-www-form-urlencoded`. Other parameters are ignored (RFC 6749 section 3.2).
#[derive(Deserialize, ToSchema)]
pub(super) struct RevokeToken {
    /// The token to be revoked.
    #[allow(dead_code, reason = "describes the form, which is read by name")]
    token: String,
}

/// Revoke one's own token
///
/// Whoever holds a token may end it. Its sessions end within a second; other tokens of the same
/// subject go on. A token that does not count is answered alike (RFC 7009).
#[utoipa::path(
    post, path = "/v1/tokens/revoke", tag = "tokens",
    request_body(content = RevokeToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token does not count any more"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
    security(()),
)]
pub(super) async fn revoke_own_token(
    State(Own(control)): State<Own>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Response {
    let outcome = async {
        let body = read_body(body, BODY_BYTES_MAX).await?;
        let token = token_of(utf8(&body)?)?;
        match hand_in(&control, &peer, token).await {
            Ok(()) => Ok(()),
            // What does not count needs no revocation (RFC 7009 section 2.2).
            Err(refusal) if matches!(refusal.code(), Code::InvalidToken | Code::ExpiredToken) => {
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    };
    let mut response = match outcome.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal_response(&refusal, Some(&peer.request_id)),
    };
    set_request_id(response.headers_mut(), &peer.request_id);
    response
}

fn token_of(form: &str) -> Result<String, Refusal> {
    let bad = |why: &str| {
        Refusal::new(Code::InvalidRequest, why.to_owned())
            .field("token")
            .hint("send `token=...` as `application/x-www-form-urlencoded`")
    };
    let mut named = pairs(form)?.into_iter().filter(|(name, _)| name == "token");
    let token = match (named.next(), named.next()) {
        (Some((_, token)), None) if !token.is_empty() => token,
        (Some(_), Some(_)) => return Err(bad("the token is given twice")),
        _ => return Err(bad("the token is missing")),
    };
    if ApiKeyText::parse(&token).is_some() {
        let why = "this is an API key: it is revoked by whoever manages the project";
        return Err(Refusal::new(Code::InvalidRequest, why).field("token"));
    }
    Ok(token)
}

/// Proven as for any request, so that rates and the watch over wrong credentials hold here too. By
/// its fingerprint and not its `jti`, which another issuer of the project may have given as well.
async fn hand_in(control: &crate::Control, peer: &Peer, token: String) -> Result<(), Refusal> {
    let seen = control.authenticator.examine(&token).await;
    let who = control.hub.authenticate(peer, &Credential::Token(token)).await?;
    let seen = seen?;
    let new = NewRevocation {
        kind: RevocationKind::Fingerprint,
        value: seen.fingerprint,
        issued_before: None,
        until: until(control, Some(seen.ends_at)),
        reason: Some("handed in by its bearer".to_owned()),
    };
    revoke(control, (who.tenant(), who.project()), new, &Actor::from(&who)).await?;
    Ok(())
}
