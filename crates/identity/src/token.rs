//! The text of a token (JWT, RFC 7519, signed as RFC 7515) as read before anything is believed.
//! Pure, bounded, and no input makes it panic.
//!
//! A token must tell its project, because keys belong to projects. In order of precedence:
//! the header's `kid` as `<project id>.<key name>` (a signing key of the project), else the claim
//! `prj`, else an `aud` that is a project id (both for key sets of the project's own issuer). What
//! is said more than once must agree.

use crate::grant_text::{self, GrantText};
use crate::signing::{self, Algorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use types::acl::Attributes;
use types::{Grant, ProjectId, Scope, Scopes};

/// Bytes of `sub`.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Levels of objects inside claims that are read as attributes.
const ATTRIBUTE_LEVELS_MAX: usize = 4;
/// Bytes of `kid`.
pub const KID_BYTES_MAX: usize = 256;

/// A token taken apart; nothing in it is proven.
pub struct Unproven<'a, Claims = TokenClaims> {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    pub claims: Claims,
    /// What the signature is over.
    pub input: &'a str,
    /// base64url.
    pub signature: &'a str,
}

impl<Claims> std::fmt::Debug for Unproven<'_, Claims> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unproven({})", self.algorithm.name())
    }
}

/// Claims that matter here; others are the issuer's business.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TokenClaims {
    pub sub: String,
    /// Seconds since the epoch, fractions allowed (NumericDate).
    pub exp: f64,
    pub nbf: Option<f64>,
    /// When it was issued, in seconds; needed once its subject has been revoked.
    pub iat: Option<f64>,
    pub iss: Option<String>,
    #[serde(default)]
    pub aud: Audience,
    pub prj: Option<String>,
    pub scopes: Option<ScopeNames>,
    pub grants: Option<Vec<GrantText>>,
    /// All others: what access lists may ask for.
    #[serde(flatten)]
    pub others: serde_json::Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(untagged)]
pub enum Audience {
    #[default]
    Nobody,
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Audience::Nobody => &[],
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

/// A list of names, or one text with spaces between them (as RFC 8693 writes scopes).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ScopeNames {
    List(Vec<String>),
    Text(String),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions the reader must understand (RFC 7515 section 4.1.11); none is understood here.
    crit: Option<serde::de::IgnoredAny>,
}

/// Takes a token apart. The error says why not, in words for the client.
pub fn parse(text: &str, bytes_max: usize) -> Result<Unproven<'_>, String> {
    parse_as(text, bytes_max)
}

/// As `parse`, for tokens that claim something else.
pub(crate) fn parse_as<Claims: serde::de::DeserializeOwned>(
    text: &str,
    bytes_max: usize,
) -> Result<Unproven<'_, Claims>, String> {
    if text.len() > bytes_max {
        return Err(format!("the token has more than {bytes_max} bytes"));
    }
    let malformed = || "the token is not a signed JWT of three parts".to_owned();
    let (input, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = input.split_once('.').ok_or_else(malformed)?;
    if claims.contains('.') {
        return Err(malformed());
    }
    let header: Header = part(header).ok_or("the token's header is not readable")?;
    if header.crit.is_some() {
        return Err("the token's header asks for extensions (`crit`)".to_owned());
    }
    let algorithm = signing::algorithm_named(&header.alg)
        .ok_or("the token's algorithm is not one of HS256, RS256, ES256, EdDSA")?;
    if header.kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
        return Err("the token's `kid` is too long".to_owned());
    }
    let claims: Claims = part(claims)
        .ok_or("the token's claims are not readable: `sub` and `exp` are needed, see the docs")?;
    Ok(Unproven { algorithm, kid: header.kid, claims, input, signature })
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The `kid` of a project's signing key.
pub fn kid(project: ProjectId, name: &str) -> String {
    format!("{project}.{name}")
}

/// Project and key name of a `kid` that has this platform's form.
pub fn split_kid(kid: &str) -> Option<(ProjectId, &str)> {
    let (project, name) = kid.split_once('.')?;
    Some((project.parse().ok()?, name))
}

impl Unproven<'_> {
    /// The project the token says it is for.
    pub fn project(&self) -> Result<ProjectId, String> {
        let of_kid = self.kid.as_deref().and_then(split_kid).map(|(project, _)| project);
        let of_claim = match &self.claims.prj {
            None => None,
            Some(text) => Some(
                text.parse::<ProjectId>()
                    .map_err(|_| "the token's claim `prj` is not a project id".to_owned())?,
            ),
        };
        if of_kid.is_some() && of_claim.is_some() && of_kid != of_claim {
            return Err("the token's `kid` and `prj` name different projects".to_owned());
        }
        let mut named = self.claims.aud.iter().filter_map(|aud| aud.parse::<ProjectId>().ok());
        let of_audience = named.next();
        match of_kid.or(of_claim) {
            Some(project) => Ok(project),
            None if named.next().is_some() => {
                Err("the token is for several projects: say which one in `prj`".to_owned())
            }
            None => of_audience
                .ok_or_else(|| "the token names no project: in `kid`, `prj` or `aud`".to_owned()),
        }
    }
}

pub fn check_subject(subject: &str) -> Result<(), String> {
    let fits =
        (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) && !subject.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(format!("a token's `sub` has 1 to {SUBJECT_BYTES_MAX} bytes and no control characters"))
}

impl TokenClaims {
    /// Without the claim a token may publish and subscribe; administration is always said.
    pub fn scopes(&self) -> Result<Scopes, String> {
        let parse = |name: &str| name.parse::<Scope>().map_err(|error| error.to_string());
        match &self.scopes {
            None => Ok([Scope::EventsPublish, Scope::EventsSubscribe].into_iter().collect()),
            Some(ScopeNames::List(names)) => names.iter().map(|name| parse(name)).collect(),
            Some(ScopeNames::Text(text)) => text.split_ascii_whitespace().map(parse).collect(),
        }
    }

    /// Its own identifier (RFC 7519 section 4.1.7), which access lists may ask for as well.
    pub fn jti(&self) -> Option<&str> {
        self.others.get("jti").and_then(Value::as_str)
    }

    /// The claims that mean nothing here, as texts by name; inner ones are named with dots, as
    /// `realm_access.roles`. `None` when there are none.
    pub fn attributes(&self) -> Option<Attributes> {
        let mut found = Attributes::new();
        for (name, value) in &self.others {
            gather(name, value, ATTRIBUTE_LEVELS_MAX, &mut found);
        }
        Some(found).filter(|found| !found.is_empty())
    }

    /// `None` when the token has no such claim; an empty list reaches nothing.
    pub fn grants(&self) -> Result<Option<Vec<Grant>>, String> {
        let Some(claimed) = &self.grants else { return Ok(None) };
        grant_text::read(claimed).map(Some).map_err(|why| format!("the token is not valid: {why}"))
    }
}

/// Adds what a claim says, as far as it is text, numbers, truths, or lists of them. Bounded by the
/// token's size.
fn gather(name: &str, value: &Value, levels_left: usize, into: &mut Attributes) {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        _ => None,
    };
    match value {
        Value::Array(values) => {
            into.entry(name.into()).or_default().extend(values.iter().filter_map(text));
        }
        Value::Object(fields) if levels_left > 0 => {
            for (inner, value) in fields {
                gather(&format!("{name}.{inner}"), value, levels_left - 1, into);
            }
        }
        value => into.entry(name.into()).or_default().extend(text(value)),
    }
}
