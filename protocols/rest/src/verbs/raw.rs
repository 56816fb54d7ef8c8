//! `POST /v1/topics/{topic}/records`: the body is the value, as it is. It must not interpret it.

use crate::Shared;
use crate::idempotency;
use crate::verbs::publish::{Request, publish};
use axum::Extension;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Uri};
use port::{Code, Refusal};
use serde::Deserialize;
use types::limits::HEADERS_MAX;
use types::record::header;
use types::{Header, Headers, Record, TimestampMs};
use wire_http::param::parse_key;
use wire_http::publish::{ID_BYTES_MAX, Publish, Publishes, check_header, make_header};
use wire_http::schema::{ErrorSchema, PlacedSchema};
use wire_http::trace::traceparent;
use wire_http::{Caller, StrictQuery, TopicPath, read_body};

/// Begins the names of HTTP headers that become headers of the record.
const HEADER_PREFIX: &str = "ms-header-";
/// What clients send that were not told a content type; it says nothing about the value.
const NO_CONTENT_TYPE: &[u8] = b"application/x-www-form-urlencoded";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawQuery {
    key: Option<String>,
    key_base64: Option<String>,
    timestamp: Option<TimestampMs>,
}

/// Publish a body as it is
///
/// The body is the value, the content type is kept with it, `ms-header-NAME: value` becomes the
/// record's header `NAME`, and `ms-id` its id.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/records", tag = "events",
    request_body(content = String, content_type = "application/octet-stream"),
    params(
        ("topic" = String, Path, description = "The topic"),
        ("key" = Option<String>, Query, description = "The record's key"),
        ("key_base64" = Option<String>, Query, description = "A key that is not text"),
        ("timestamp" = Option<i64>, Query, description = "Milliseconds since 1970"),
        ("ms-id" = Option<String>, Header, description = "The publisher's own id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Same key and same request: \
            same answer, without publishing again"),
    ),
    responses(
        (status = 200, description = "Stored", body = PlacedSchema),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
#[allow(clippy::too_many_arguments)] // Each is one extractor of the route.
pub async fn publish_raw(
    Extension(shared): Extension<Shared>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<RawQuery>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = async {
        let key = idempotency::key(&headers)?;
        let record_headers = record_headers(&headers)?;
        let record_key = parse_key(query.key.as_deref(), query.key_base64.as_deref())?;
        if query.timestamp.is_some_and(|timestamp| timestamp < 0) {
            let message = "a timestamp is milliseconds since 1970 and not negative";
            return Err(Refusal::new(Code::InvalidRequest, message).field("timestamp"));
        }
        let body = read_body(body, shared.config.body_bytes_max).await?;
        let fingerprint = shared.window.fingerprint(&uri, &headers, &body);
        let record = Record {
            key: record_key,
            value: Some(body),
            headers: record_headers,
            timestamp: query.timestamp,
        };
        let publishes = Publishes { records: vec![Publish { topic, record }], is_list: false };
        let (hub, who) = (caller.hub.clone(), caller.identity.clone());
        let request = Request { trace: traceparent(&headers), key: key.clone() };
        let work = async move { publish(&*hub, &who, publishes, request).await };
        shared.window.run(&caller.identity, key, fingerprint, work).await
    };
    caller.answer(outcome.await)
}

/// The record's headers out of the request's.
fn record_headers(request: &HeaderMap) -> Result<Headers, Refusal> {
    let mut headers = Headers::new();
    for (name, value) in request {
        let value = Bytes::copy_from_slice(value.as_bytes());
        let name = name.as_str();
        if name == CONTENT_TYPE.as_str() {
            if !value.to_ascii_lowercase().starts_with(NO_CONTENT_TYPE) {
                headers.push(make_header(header::CONTENT_TYPE, short(value, name)?));
            }
        } else if name == header::ID {
            headers.push(make_header(header::ID, short(value, name)?));
        } else if let Some(own) = name.strip_prefix(HEADER_PREFIX) {
            check_header(own, value.len()).map_err(|(message, hint)| {
                Refusal::new(Code::InvalidRequest, message).field(name).hint(hint)
            })?;
            headers.push(Header { name: Bytes::copy_from_slice(own.as_bytes()), value });
        } else if name.starts_with("ms-") {
            let message = format!("the header `{name}` does not exist");
            return Err(Refusal::new(Code::UnknownField, message)
                .field(name)
                .hint("ms-id, and ms-header-NAME for headers of your own"));
        }
    }
    if headers.len() > HEADERS_MAX {
        let message = format!("a record has at most {HEADERS_MAX} headers");
        return Err(Refusal::new(Code::InvalidRequest, message).field("headers"));
    }
    Ok(headers)
}

fn short(value: Bytes, name: &str) -> Result<Bytes, Refusal> {
    let is_text = std::str::from_utf8(&value).is_ok();
    if value.is_empty() || value.len() > ID_BYTES_MAX || !is_text {
        let message = format!("`{name}` has 1 to {ID_BYTES_MAX} bytes of UTF-8 text");
        return Err(Refusal::new(Code::InvalidRequest, message).field(name));
    }
    Ok(value)
}
