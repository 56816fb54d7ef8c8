//! The words of refusal, in one place, so that none of them tells an attacker whether a key
//! exists, and each tells an honest client what to do.

use port::{Code, Refusal};
use std::time::Duration;

const BEARER: &str = "authorization";

pub fn invalid_key() -> Refusal {
    Refusal::new(Code::InvalidApiKey, "the API key is not valid")
        .field(BEARER)
        .hint("send an active key of this installation, as `Authorization: Bearer ms_...`")
}

pub fn expired_key() -> Refusal {
    Refusal::new(Code::ExpiredApiKey, "the API key has expired")
        .field(BEARER)
        .hint("use the key that replaced it, or create a new one")
}

pub fn invalid_token(why: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidToken, why)
        .field(BEARER)
        .hint("send a token signed by a key of the project, see the documentation of tokens")
}

pub fn expired_token() -> Refusal {
    Refusal::new(Code::ExpiredToken, "the token has expired")
        .field(BEARER)
        .hint("get a new token and send it again")
}

/// It is not said by what it was recognised: that is for those who manage the project.
pub fn revoked_token() -> Refusal {
    Refusal::new(Code::InvalidToken, "the token was revoked")
        .field(BEARER)
        .hint("sign in again, and send a token issued since")
}

pub fn tenant_suspended() -> Refusal {
    Refusal::new(Code::TenantSuspended, "the tenant is suspended")
        .field("tenant")
        .hint("ask the operator of this installation, or settle what is open")
}

pub fn project_not_found() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such project")
        .field("project")
        .hint("use the id of an existing project, such as `prj_` and 32 hexadecimal digits")
}

pub fn database_silent() -> Refusal {
    Refusal::new(Code::DatabaseConnectionError, "the credential cannot be checked right now")
        .field("database")
        .hint("try again after the time in `retry_after`")
        .retry_around(Duration::from_secs(1))
}

pub fn too_many_waiting() -> Refusal {
    Refusal::new(Code::Overloaded, "too many credentials are waiting to be checked")
        .field(BEARER)
        .hint("try again after the time in `retry_after`")
        .retry_around(Duration::from_secs(1))
}

pub fn key_set_silent() -> Refusal {
    Refusal::new(Code::NetworkError, "the project's key set cannot be fetched right now")
        .field("jwks_url")
        .hint("check that the project's key set URL answers, then try again")
        .retry_around(Duration::from_secs(1))
}

pub fn not_operator() -> Refusal {
    Refusal::new(Code::CredentialMissing, "the operator token is missing or not valid")
        .field(BEARER)
        .hint("send the admin token of this installation, as `Authorization: Bearer ...`")
}
