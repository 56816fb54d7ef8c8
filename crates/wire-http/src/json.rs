//! Strict JSON bodies: bounded in bytes and depth, unknown fields refused by name, wrong types by
//! path, lists where an object belongs. It must not know any body: routes declare their own types
//! with `deny_unknown_fields`.

use crate::body::read_body;
use crate::refusal::Rejection;
use crate::scan::{self, Fault};
use crate::strict::Strict;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use port::{Code, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Nesting of objects and arrays in one body or value.
pub const DEPTH_MAX: usize = 64;
/// Bytes of a body read by `StrictJson`; publishes have a limit of their own.
pub const JSON_BODY_BYTES_MAX: usize = 1024 * 1024;

/// The body as a `T`. An empty body is refused like any text that is not JSON. The content type is
/// not looked at, so that `curl -d` works as it is.
#[derive(Debug, Clone)]
pub struct StrictJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for StrictJson<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<StrictJson<T>, Rejection> {
        let (parts, body) = request.into_parts();
        let parsed = read_body(body, JSON_BODY_BYTES_MAX).await.and_then(|body: Bytes| {
            let text = utf8(&body)?;
            parse_json(text).map(StrictJson)
        });
        parsed.map_err(|refusal| Rejection::new(&parts, refusal))
    }
}

/// # Errors
/// `INVALID_REQUEST` when the bytes are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("the body is not UTF-8 text: byte {} is wrong", error.valid_up_to());
        Refusal::new(Code::InvalidRequest, message)
            .field("body")
            .hint("bytes that are not text go into `data_base64`")
    })
}

/// Reads one JSON document.
///
/// # Errors
/// `UNKNOWN_FIELD` with the field's path, or `INVALID_REQUEST` with the path where it is known.
pub fn parse_json<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Refusal> {
    parse_json_at(text, "")
}

/// As `parse_json`, with the paths of refusals beginning at `at`: the document is part of a larger
/// one (`records[3]`).
pub fn parse_json_at<'de, T: Deserialize<'de>>(text: &'de str, at: &str) -> Result<T, Refusal> {
    if let Err(Fault::TooDeep { at }) = scan::check(text.as_bytes(), DEPTH_MAX) {
        return Err(too_deep(at));
    }
    // Following the path costs time on each value, so it is done only when there is a fault.
    match read(text) {
        Ok(value) => Ok(value),
        Err(error) => Err(explain::<T>(text, at).unwrap_or_else(|| refuse(&error, at.to_owned()))),
    }
}

fn read<'de, T: Deserialize<'de>>(text: &'de str) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Strict(&mut reader))?;
    reader.end().map(|()| value)
}

pub fn too_deep(at: usize) -> Refusal {
    let message = format!("the JSON is nested more than {DEPTH_MAX} deep at byte {at}");
    Refusal::new(Code::InvalidRequest, message).field("body").hint("flatten it")
}

fn explain<'de, T: Deserialize<'de>>(text: &'de str, at: &str) -> Option<Refusal> {
    let mut reader = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(Strict(&mut reader)) {
        Ok(_) => reader.end().err().map(|error| refuse(&error, at.to_owned())),
        Err(error) => {
            let path = join(at, &error.path().to_string());
            Some(refuse(error.inner(), path))
        }
    }
}

/// A refusal for what serde_json says about the value at `path` (empty when unknown).
pub fn refuse(error: &serde_json::Error, path: String) -> Refusal {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = text.strip_suffix(&place).unwrap_or(&text);
    if !error.is_data() {
        let message = format!("the body is not JSON: {what}{place}");
        return Refusal::new(Code::InvalidRequest, message)
            .field("body")
            .hint("one JSON document in UTF-8");
    }
    // serde has no other way to tell which error it was; a test holds the wording.
    if let Some(rest) = what.strip_prefix("unknown field `") {
        let (name, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let field = if is_path(&path) { path } else { name.to_owned() };
        let hint = expected.trim_start_matches(", ").to_owned();
        return Refusal::new(Code::UnknownField, format!("the field `{field}` does not exist"))
            .field(field)
            .hint(hint);
    }
    if let Some(name) = what.strip_prefix("missing field `") {
        let name = name.trim_end_matches('`');
        let field = if is_path(&path) { format!("{path}.{name}") } else { name.to_owned() };
        return Refusal::new(Code::InvalidRequest, format!("the field `{field}` is missing"))
            .field(field);
    }
    if let Some(name) = what.strip_prefix("duplicate field `") {
        let name = name.trim_end_matches('`');
        let field = if is_path(&path) { path } else { name.to_owned() };
        return Refusal::new(Code::InvalidRequest, format!("the field `{name}` is given twice"))
            .field(field);
    }
    let field = if is_path(&path) { path } else { "body".to_owned() };
    Refusal::new(Code::InvalidRequest, what.to_owned()).field(field)
}

fn join(at: &str, path: &str) -> String {
    match path {
        path if at.is_empty() => path.to_owned(),
        path if !is_path(path) => at.to_owned(),
        path if path.starts_with('[') => format!("{at}{path}"),
        path => format!("{at}.{path}"),
    }
}

/// `.` is what serde_path_to_error calls the root, `?` what it does not know.
fn is_path(path: &str) -> bool {
    !path.is_empty() && path != "." && path != "?"
}
