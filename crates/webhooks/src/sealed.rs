//! A webhook's secrets and custom headers: made or brought, sealed for storage, opened for use.
//! What leaves this file is sealed or is about to sign a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use identity::Sealer;
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use standard_webhooks::{SEED_BYTES, SHARED_PREFIX, SigningKey};
use stdx::Rng;
use tenancy::{NewWebhookSecret, WebhookId, WebhookSigning};

/// Custom headers of one webhook.
pub(crate) const HEADERS_MAX: usize = 32;
/// Name and value of one.
const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a shared secret made here; the specification takes 24 to 64.
const SHARED_BYTES: usize = 32;

/// Headers that are ours to set, or the connection's.
const FORBIDDEN: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header that each request carries; the value may be a secret of the endpoint's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomHeader {
    pub name: String,
    pub value: String,
}

impl std::fmt::Debug for CustomHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: (hidden)", self.name)
    }
}

fn invalid(field: &str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, why).field(field)
}

fn secret_place(webhook: WebhookId) -> String {
    format!("webhook_secrets/{webhook}")
}

fn headers_place(webhook: WebhookId) -> String {
    format!("webhooks/{webhook}/headers")
}

/// A signing secret for storage, and what its receiver must be given, shown once.
pub(crate) struct MadeSecret {
    pub(crate) stored: NewWebhookSecret,
    pub(crate) for_receiver: SecretString,
}

/// Makes a secret of the wanted kind, or takes the one that was brought.
pub(crate) fn make(
    sealer: &Sealer,
    webhook: WebhookId,
    signing: WebhookSigning,
    brought: Option<&SecretString>,
    rng: &dyn Rng,
) -> Result<MadeSecret, Refusal> {
    let text = match (brought, signing) {
        (Some(text), _) => text.clone(),
        (None, WebhookSigning::Hmac) => {
            let mut bytes = [0; SHARED_BYTES];
            rng.fill(&mut bytes);
            format!("{SHARED_PREFIX}{}", STANDARD.encode(bytes)).into()
        }
        (None, WebhookSigning::Ed25519) => {
            let mut seed = [0; SEED_BYTES];
            rng.fill(&mut seed);
            format!("whsk_{}", STANDARD.encode(seed)).into()
        }
    };
    let key = SigningKey::parse(text.expose_secret())
        .map_err(|error| invalid("secret", error.to_string()))?;
    let is_fitting = match &key {
        SigningKey::Shared { .. } => signing == WebhookSigning::Hmac,
        SigningKey::Pair(_) => signing == WebhookSigning::Ed25519,
    };
    if !is_fitting {
        let why = "the secret is not of the kind that `signing` names";
        return Err(invalid("secret", why).hint("`whsec_` is for hmac, `whsk_` for ed25519"));
    }
    let sealed = sealer.seal(&secret_place(webhook), text.expose_secret().as_bytes());
    let stored = NewWebhookSecret { sealed, public_key: key.public_key() };
    Ok(MadeSecret { stored, for_receiver: key.for_receiver() })
}

/// Opens a stored secret for signing.
pub(crate) fn open(
    sealer: &Sealer,
    webhook: WebhookId,
    sealed: &[u8],
) -> Result<SigningKey, Refusal> {
    let text = sealer.open(&secret_place(webhook), sealed);
    let text = text.map_err(|error| Refusal::internal(&error))?;
    let text = std::str::from_utf8(text.expose_secret());
    let text = text.map_err(|error| Refusal::internal(&error))?;
    SigningKey::parse(text).map_err(|error| Refusal::internal(&error))
}

/// Headers that can be sent as they are.
pub(crate) fn parse_headers(
    headers: &[CustomHeader],
) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
    if headers.len() > HEADERS_MAX {
        return Err(invalid("headers", format!("at most {HEADERS_MAX} custom headers")));
    }
    let parse = |(index, header): (usize, &CustomHeader)| {
        let at = format!("headers[{index}]");
        let name = HeaderName::try_from(header.name.as_str())
            .map_err(|_| invalid(&at, "this is not a header's name"))?;
        if FORBIDDEN.contains(&name.as_str()) || name.as_str().starts_with("webhook-") {
            return Err(invalid(&at, format!("the platform sets `{name}` itself")));
        }
        if header.name.len() + header.value.len() > HEADER_BYTES_MAX {
            return Err(invalid(&at, format!("a header has at most {HEADER_BYTES_MAX} bytes")));
        }
        let mut value = HeaderValue::try_from(header.value.as_str())
            .map_err(|_| invalid(&at, "a header's value is visible text"))?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    headers.iter().enumerate().map(parse).collect()
}

/// Checked and sealed; no headers are nothing to store.
pub(crate) fn seal_headers(
    sealer: &Sealer,
    webhook: WebhookId,
    headers: &[CustomHeader],
) -> Result<Option<Vec<u8>>, Refusal> {
    parse_headers(headers)?;
    if headers.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_vec(headers).map_err(|error| Refusal::internal(&error))?;
    Ok(Some(sealer.seal(&headers_place(webhook), &text)))
}

pub(crate) fn open_headers(
    sealer: &Sealer,
    webhook: WebhookId,
    sealed: &[u8],
) -> Result<Vec<CustomHeader>, Refusal> {
    let text = sealer.open(&headers_place(webhook), sealed);
    let text = text.map_err(|error| Refusal::internal(&error))?;
    serde_json::from_slice(text.expose_secret()).map_err(|error| Refusal::internal(&error))
}
