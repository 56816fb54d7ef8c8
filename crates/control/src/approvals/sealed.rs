//! What a held request keeps of itself: the headers that matter and the body, sealed, since a body
//! may hold secrets. Who approves sees it without them.

use crate::admin::Shared;
use crate::redact::redact;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, IF_MATCH};
use port::{Code, Refusal};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write;

/// All others are of the connection, or of who is asking.
const KEPT: [HeaderName; 2] = [CONTENT_TYPE, IF_MATCH];

/// Headers and body of a request.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) headers: Vec<(String, String)>,
    /// Base 64 (RFC 4648 section 4).
    body: String,
}

pub(crate) fn body_digest(body: &[u8]) -> Vec<u8> {
    digest(&SHA256, body).as_ref().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn seal_place(digest: &[u8]) -> String {
    format!("approval {}", hex(digest))
}

pub(crate) fn seal(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let kept = KEPT.iter().filter_map(|name| {
        let text = headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), text.to_owned()))
    });
    let kept = Kept { headers: kept.collect(), body: STANDARD.encode(body) };
    let plain = serde_json::to_vec(&kept).map_err(|error| Refusal::internal(&error))?;
    Ok(shared.control.sealer.seal(&seal_place(&body_digest(body)), &plain))
}

/// Refuses what is not what was asked for: changed, or sealed with another root secret.
pub(crate) fn open(
    shared: &Shared,
    sealed: &[u8],
    digest: &[u8],
) -> Result<(Kept, Vec<u8>), Refusal> {
    let changed = || Refusal::new(Code::Conflict, "what was asked for cannot be read any more");
    let plain = shared.control.sealer.open(&seal_place(digest), sealed).map_err(|_| changed())?;
    let kept: Kept = serde_json::from_slice(plain.expose_secret()).map_err(|_| changed())?;
    let body = STANDARD.decode(&kept.body).map_err(|_| changed())?;
    if body_digest(&body) != digest {
        return Err(changed());
    }
    Ok((kept, body))
}

/// The body as people may see it.
pub(crate) fn shown(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let mut shown = serde_json::from_slice(body)
        .unwrap_or_else(|_| json!({"bytes": body.len(), "sha256": hex(&body_digest(body))}));
    redact(&mut shown);
    shown
}

pub(crate) fn seal_answer(shared: &Shared, answer: &[u8], digest: &[u8]) -> Vec<u8> {
    shared.control.sealer.seal(&format!("{} answer", seal_place(digest)), answer)
}

pub(crate) fn open_answer(shared: &Shared, sealed: &[u8], digest: &[u8]) -> Result<Value, Refusal> {
    let place = format!("{} answer", seal_place(digest));
    let lost = || Refusal::new(Code::Conflict, "the answer cannot be read any more");
    let plain = shared.control.sealer.open(&place, sealed).map_err(|_| lost())?;
    serde_json::from_slice(plain.expose_secret()).map_err(|_| lost())
}
