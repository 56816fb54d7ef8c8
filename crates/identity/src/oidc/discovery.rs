//! What a provider says of itself (OpenID Connect Discovery 1.0 section 3), read and judged before
//! anything of it is used. Pure. The document is believed only about the issuer it was asked as.

use crate::jwks_target;
use crate::settings::JwksSettings;
use crate::signing;
use reqwest::Url;
use serde::Deserialize;

/// Bytes of an issuer.
pub const ISSUER_BYTES_MAX: usize = 1_024;
const PATH: &str = "/.well-known/openid-configuration";

/// The document as it comes.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    response_types_supported: Vec<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlace {
    /// In the `Authorization` header (`client_secret_basic`), the default.
    Header,
    /// In the body (`client_secret_post`).
    Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    pub issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub jwks_uri: String,
    pub secret_place: SecretPlace,
    /// It names itself in each answer (RFC 9207), so an answer that does not is not its own.
    pub names_itself: bool,
}

/// Where the issuer describes itself; the error says what is wrong with the issuer.
pub fn address(issuer: &str, reach: &JwksSettings) -> Result<Url, String> {
    if issuer.len() > ISSUER_BYTES_MAX {
        return Err("the issuer has more than 1024 bytes".to_owned());
    }
    let url = jwks_target::check(issuer, reach).map_err(about_issuer)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an issuer has no `?` and no `#`".to_owned());
    }
    let text = format!("{}{PATH}", issuer.trim_end_matches('/'));
    jwks_target::check(&text, reach).map_err(about_issuer)
}

fn about_issuer(why: &'static str) -> String {
    why.replace("the URL", "the issuer")
}

/// Reads and judges a document; the error says what is wrong, in words for whoever set the provider
/// up.
pub fn read(body: &[u8], issuer: &str, reach: &JwksSettings) -> Result<Discovery, String> {
    let document: Document = serde_json::from_slice(body)
        .map_err(|error| format!("the discovery document is not readable: {error}"))?;
    if document.issuer != issuer {
        let shown: String = document.issuer.chars().take(200).collect();
        return Err(format!("the document is of the issuer `{shown}`, not of `{issuer}`"));
    }
    let responses = &document.response_types_supported;
    if !responses.is_empty() && !responses.iter().any(|kind| kind == "code") {
        return Err("the provider does not offer the authorization code flow".to_owned());
    }
    let algorithms = &document.id_token_signing_alg_values_supported;
    let is_ours = |name: &String| {
        signing::algorithm_named(name).is_some_and(|found| found != signing::Algorithm::Hs256)
    };
    if !algorithms.is_empty() && !algorithms.iter().any(is_ours) {
        return Err("the provider signs ID tokens with none of RS256, ES256, EdDSA".to_owned());
    }
    let methods = document.code_challenge_methods_supported;
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err("the provider does not take PKCE with S256".to_owned());
    }
    let url = |name: &str, text: &str| {
        jwks_target::check(text, reach).map_err(|why| format!("`{name}`: {why}"))
    };
    url("jwks_uri", &document.jwks_uri)?;
    let places = document.token_endpoint_auth_methods_supported;
    Ok(Discovery {
        authorization_endpoint: url("authorization_endpoint", &document.authorization_endpoint)?,
        token_endpoint: url("token_endpoint", &document.token_endpoint)?,
        issuer: document.issuer,
        jwks_uri: document.jwks_uri,
        secret_place: secret_place(places.as_deref()),
        names_itself: document.authorization_response_iss_parameter_supported,
    })
}

fn secret_place(offered: Option<&[String]>) -> SecretPlace {
    let offers = |name: &str| offered.is_some_and(|all| all.iter().any(|method| method == name));
    match offers("client_secret_post") && !offers("client_secret_basic") {
        true => SecretPlace::Body,
        false => SecretPlace::Header,
    }
}
