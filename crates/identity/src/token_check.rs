//! From a token to claims: whose key, is the signature its, is it in time, is it for us, what does
//! it allow. Pure: keys and the time are given.

use crate::refusal;
use crate::revocations;
use crate::settings::Settings;
use crate::signing::VerifyingKey;
use crate::snapshot::{ProjectSnapshot, TOKEN_PRINCIPAL};
use crate::token::{self, Unproven};
use port::{Claims, Refusal};
use types::{PrincipalId, Scope, Scopes, TimestampMs};

/// Who vouches for the key, which decides how much its tokens may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// A signing key of the project: made to sign for this platform.
    Project,
    /// The project's own issuer, whose key set signs for others too: the audience must be said,
    /// and administration is not given away by it.
    KeySet,
}

/// Everything but the key's identity has been decided when this answers.
pub fn check(
    token: &Unproven<'_>,
    key: &VerifyingKey,
    issuer: Issuer,
    project: &ProjectSnapshot,
    settings: &Settings,
    now_ms: TimestampMs,
) -> Result<Claims, Refusal> {
    if token.algorithm != key.algorithm || !key.verifies(token.input, token.signature) {
        return Err(refusal::invalid_token("the token is not signed by a key of the project"));
    }
    let expires_at = check_times(token, settings, now_ms)?;
    check_parties(token, issuer, project, settings)?;
    let claims = &token.claims;
    token::check_subject(&claims.sub).map_err(refusal::invalid_token)?;
    let scopes = claims.scopes().map_err(refusal::invalid_token)?;
    let grants = claims.grants().map_err(refusal::invalid_token)?;
    let claims = Claims {
        tenant: project.tenant,
        project: project.project,
        principal: PrincipalId(format!("{TOKEN_PRINCIPAL}{}", claims.sub).into()),
        scopes: scopes.intersect(scopes_max(issuer)),
        grants: grants.map(Into::into),
        key: None,
        issued_at: claims.iat.map(milliseconds),
        expires_at: Some(expires_at),
        rate_per_second: None,
        origin: None,
        marks: Some(revocations::marks(token)),
        attributes: claims.attributes().map(Into::into),
    };
    Ok(claims)
}

fn scopes_max(issuer: Issuer) -> Scopes {
    match issuer {
        Issuer::Project => Scopes::all(),
        Issuer::KeySet => [Scope::EventsPublish, Scope::EventsSubscribe].into_iter().collect(),
    }
}

/// Answers when the token ends, leeway included.
fn check_times(
    token: &Unproven<'_>,
    settings: &Settings,
    now_ms: TimestampMs,
) -> Result<TimestampMs, Refusal> {
    let leeway_ms = i64::try_from(settings.token_leeway_ms).unwrap_or(i64::MAX);
    let expires_at = milliseconds(token.claims.exp).saturating_add(leeway_ms);
    if now_ms >= expires_at {
        return Err(refusal::expired_token());
    }
    let lifetime_ms = settings.token_lifetime_ms();
    if expires_at > now_ms.saturating_add(lifetime_ms).saturating_add(leeway_ms) {
        return Err(refusal::invalid_token("the token ends too far in the future (`exp`)")
            .hint("issue tokens for a shorter time, see `identity.token_lifetime_ms_max`"));
    }
    let begins_at = token.claims.nbf.map(milliseconds);
    if begins_at.is_some_and(|begins_at| begins_at > now_ms.saturating_add(leeway_ms)) {
        return Err(refusal::invalid_token("the token is not valid yet (`nbf`)"));
    }
    Ok(expires_at)
}

/// Saturates at both ends; JSON has no number that is not one.
pub(crate) fn milliseconds(seconds: f64) -> TimestampMs {
    (seconds * 1_000.0).floor() as TimestampMs
}

fn check_parties(
    token: &Unproven<'_>,
    issuer: Issuer,
    project: &ProjectSnapshot,
    settings: &Settings,
) -> Result<(), Refusal> {
    let trust = &project.tokens.settings;
    let own = project.project.to_string();
    let is_ours = |aud: &str| match trust.audiences.as_slice() {
        [] => aud == own || settings.audiences.iter().any(|known| known == aud),
        audiences => aud == own || audiences.iter().any(|known| known == aud),
    };
    let mut audience = token.claims.aud.iter().peekable();
    let is_silent = audience.peek().is_none();
    let may_be_silent = issuer == Issuer::Project && trust.audiences.is_empty();
    if !(is_silent && may_be_silent || audience.any(is_ours)) {
        return Err(refusal::invalid_token("the token is meant for somebody else (`aud`)"));
    }
    let is_issuer = match &token.claims.iss {
        _ if issuer == Issuer::Project || trust.issuers.is_empty() => true,
        Some(found) => trust.issuers.contains(found),
        None => false,
    };
    if is_issuer {
        return Ok(());
    }
    Err(refusal::invalid_token("the token's issuer (`iss`) is not the project's"))
}
