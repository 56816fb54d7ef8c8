//! Finds the credential of an HTTP request. It must not judge it: the hub does.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use port::{Code, Credential, Refusal};

/// Longest secret looked at; tokens with many grants are long, keys are not.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;

/// Whether a credential may stand in the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPlace {
    /// Headers only, because URLs end up in logs.
    Header,
    /// Also `?access_token=`, for clients in browsers that cannot set headers on a stream.
    HeaderOrQuery,
}

/// The credential of a request: `Authorization: Bearer`, else `X-Api-Key`, else, where allowed,
/// `access_token` of the query. `None` when it has none.
///
/// # Errors
/// `INVALID_REQUEST` when a credential is there but not readable.
pub fn find_credential(
    headers: &HeaderMap,
    query: Option<&str>,
    place: TokenPlace,
) -> Result<Option<Credential>, Refusal> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().map_err(|_| unreadable("authorization"))?;
        let secret = text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim())
            .ok_or_else(|| unreadable("authorization"))?;
        return sized(secret, "authorization").map(Some);
    }
    if let Some(value) = headers.get("x-api-key") {
        let text = value.to_str().map_err(|_| unreadable("x-api-key"))?;
        return sized(text.trim(), "x-api-key").map(Some);
    }
    let (TokenPlace::HeaderOrQuery, Some(query)) = (place, query) else {
        return Ok(None);
    };
    for (name, value) in crate::query::pairs(query)? {
        if name == "access_token" {
            return sized(&value, "access_token").map(Some);
        }
    }
    Ok(None)
}

/// As `find_credential`, for requests that must have one.
///
/// # Errors
/// `CREDENTIAL_MISSING` without one, `INVALID_REQUEST` when it is not readable.
pub fn credential(
    headers: &HeaderMap,
    query: Option<&str>,
    place: TokenPlace,
) -> Result<Credential, Refusal> {
    find_credential(headers, query, place)?.ok_or_else(|| {
        Refusal::new(Code::CredentialMissing, "the request carries no credential")
            .hint("send `Authorization: Bearer <API key or token>`")
    })
}

fn sized(secret: &str, field: &'static str) -> Result<Credential, Refusal> {
    if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
        return Err(unreadable(field));
    }
    Ok(Credential::from_bearer(secret))
}

// The text itself is never repeated: it may be a secret with a typing error.
fn unreadable(field: &'static str) -> Refusal {
    Refusal::new(Code::InvalidRequest, "the credential is not in a form that can be read")
        .field(field)
        .hint("`Authorization: Bearer <API key or token>` or `X-Api-Key: <API key>`")
}
