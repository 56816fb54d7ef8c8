//! Whether an ID token is to be believed (OpenID Connect Core 1.0 section 3.1.3.7), and what it
//! says of groups and addresses. Pure: keys and the time are given.

use crate::token::Audience;
use crate::token_check::milliseconds;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::Deserialize;
use serde_json::{Map, Value};
use types::TimestampMs;

/// Bytes of an ID token; those with hundreds of groups stay below it.
pub const ID_TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Groups of one person that are looked at.
pub const GROUPS_MAX: usize = 1_000;
/// An ID token is used at once: one that was issued earlier than this is not of this sign-in.
const AGE_MS_MAX: i64 = 10 * 60_000;
/// Levels of inner claims that a name with dots may go down.
const LEVELS_MAX: usize = 8;

#[derive(Debug, Clone, Deserialize)]
pub struct IdClaims {
    pub iss: String,
    pub sub: String,
    #[serde(default)]
    pub aud: Audience,
    pub azp: Option<String>,
    pub exp: f64,
    pub iat: Option<f64>,
    pub nbf: Option<f64>,
    pub nonce: Option<String>,
    pub auth_time: Option<f64>,
    pub email: Option<String>,
    pub name: Option<String>,
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// What the token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: TimestampMs,
    pub skew_ms: i64,
    /// The person must have proved himself to the provider since then.
    pub proven_since: Option<TimestampMs>,
}

/// The error says why not, in words for whoever looks after the provider.
pub fn check(claims: &IdClaims, expected: Expected<'_>) -> Result<(), String> {
    check_parties(claims, expected)?;
    check_times(claims, expected)?;
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if verify_slices_are_equal(nonce.as_bytes(), expected.nonce.as_bytes()).is_err() {
        return Err("the ID token is of another sign-in (`nonce`)".to_owned());
    }
    Ok(())
}

fn check_parties(claims: &IdClaims, expected: Expected<'_>) -> Result<(), String> {
    if claims.iss != expected.issuer {
        return Err("the ID token is of another issuer (`iss`)".to_owned());
    }
    let is_ours = claims.aud.iter().any(|audience| audience == expected.client_id);
    if !is_ours {
        return Err("the ID token is meant for somebody else (`aud`)".to_owned());
    }
    let is_shared = claims.aud.iter().count() > 1;
    match &claims.azp {
        Some(party) if party != expected.client_id => {
            Err("the ID token was issued to somebody else (`azp`)".to_owned())
        }
        None if is_shared => {
            Err("the ID token has several audiences and does not say whose it is (`azp`)"
                .to_owned())
        }
        _ => Ok(()),
    }
}

fn check_times(claims: &IdClaims, expected: Expected<'_>) -> Result<(), String> {
    let Expected { now, skew_ms, .. } = expected;
    if milliseconds(claims.exp).saturating_add(skew_ms) <= now {
        return Err("the ID token has expired (`exp`)".to_owned());
    }
    let issued = claims.iat.map(milliseconds).ok_or("the ID token does not say when (`iat`)")?;
    if issued > now.saturating_add(skew_ms) {
        return Err("the ID token was issued in the future (`iat`): compare the clocks".to_owned());
    }
    if issued < now.saturating_sub(AGE_MS_MAX).saturating_sub(skew_ms) {
        return Err("the ID token was issued long ago (`iat`)".to_owned());
    }
    if claims.nbf.map(milliseconds).is_some_and(|from| from > now.saturating_add(skew_ms)) {
        return Err("the ID token is not valid yet (`nbf`)".to_owned());
    }
    let Some(since) = expected.proven_since else { return Ok(()) };
    let proven = claims.auth_time.map(milliseconds);
    let proven =
        proven.ok_or("the provider does not say when the person signed in (`auth_time`)")?;
    if proven < since.saturating_sub(skew_ms) {
        return Err("the provider did not ask the person again (`auth_time`)".to_owned());
    }
    Ok(())
}

/// What the token says under this name: as it stands, else further inside, by the dots.
fn claim<'a>(claims: &'a IdClaims, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.others.get(name) {
        return Some(found);
    }
    let mut parts = name.split('.').take(LEVELS_MAX);
    let first = claims.others.get(parts.next()?)?;
    parts.try_fold(first, |inner, part| inner.get(part))
}

/// Whether the provider says that the address is the person's own. Some say so in text.
pub fn is_verified(claims: &IdClaims, name: &str) -> bool {
    match claim(claims, name) {
        Some(Value::Bool(is_verified)) => *is_verified,
        Some(Value::String(text)) => text == "true",
        Some(Value::Number(number)) => number.as_i64() == Some(1),
        _ => false,
    }
}

/// The groups that the person is in.
pub fn groups<'a>(claims: &'a IdClaims, name: Option<&str>) -> Vec<&'a str> {
    match name.and_then(|name| claim(claims, name)) {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => {
            many.iter().take(GROUPS_MAX).filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    }
}
