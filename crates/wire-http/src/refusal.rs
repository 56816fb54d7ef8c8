//! A refusal as an HTTP answer: status, headers and the one error body. It must not invent errors
//! of its own: whatever is told to a client was a `Refusal` first.

use crate::text::{write_member, write_number, write_string};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use port::{Kind, Peer, RateState, Refusal, RequestId};
use std::time::Duration;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
pub const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
pub const RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The HTTP status of each kind of refusal.
pub fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::RateLimited | Kind::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        Kind::Overloaded | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NotLeader => StatusCode::MISDIRECTED_REQUEST,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Writes the error object itself, `{"code":...,"message":...,"details":{...},"request_id":...}`,
/// for frames that carry it inside something else. Without a request it has no `request_id`.
pub fn write_error(out: &mut BytesMut, refusal: &Refusal, request: Option<&RequestId>) {
    out.extend_from_slice(b"{\"code\":");
    write_string(out, refusal.code().name());
    write_member(out, "message");
    write_string(out, refusal.message());
    write_member(out, "details");
    out.extend_from_slice(b"{");
    let mut separator: &[u8] = b"";
    for (name, text) in [("field", refusal.field_name()), ("hint", refusal.hint_text())] {
        if let Some(text) = text {
            out.extend_from_slice(separator);
            write_string(out, name);
            out.extend_from_slice(b":");
            write_string(out, text);
            separator = b",";
        }
    }
    if let Some(wait) = refusal.wait() {
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"retry_after_ms\":");
        write_number(out, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    out.extend_from_slice(b"}");
    if let Some(request) = request {
        write_member(out, "request_id");
        write_string(out, &request.0);
    }
    out.extend_from_slice(b"}");
}

/// The whole error body, `{"error":{...}}`.
pub fn error_body(refusal: &Refusal, request: Option<&RequestId>) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    out.extend_from_slice(b"{\"error\":");
    write_error(&mut out, refusal, request);
    out.extend_from_slice(b"}");
    out.freeze()
}

/// The complete answer to a refused request. The refusal itself goes along as an extension of the
/// response, so that the edge can count it by code.
pub fn refusal_response(refusal: &Refusal, request: Option<&RequestId>) -> Response {
    let mut response = Response::new(Body::from(error_body(refusal, request)));
    *response.status_mut() = status_of(refusal.kind());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Some(request) = request {
        set_request_id(headers, request);
    }
    if refusal.kind() == Kind::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = refusal.wait() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds_up(wait)));
    }
    if let Some(rate) = refusal.rate_state() {
        set_rate(headers, rate);
    }
    response.extensions_mut().insert(refusal.clone());
    response
}

pub fn set_request_id(headers: &mut HeaderMap, request: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(&request.0) {
        headers.insert(X_REQUEST_ID, value);
    }
}

/// `RateLimit-Limit`, `-Remaining` and `-Reset` (seconds, rounded up).
pub fn set_rate(headers: &mut HeaderMap, rate: RateState) {
    headers.insert(RATE_LIMIT, HeaderValue::from(rate.limit));
    headers.insert(RATE_REMAINING, HeaderValue::from(rate.remaining));
    headers.insert(RATE_RESET, HeaderValue::from(seconds_up(rate.reset)));
}

/// Whole seconds, rounded up: a client that waits this long does not come too early.
fn seconds_up(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// What extractors answer with: a refusal and what the answer needs of the request.
#[derive(Debug)]
pub struct Rejection {
    pub refusal: Refusal,
    pub request: Option<RequestId>,
    /// Known once the caller is, and then told with the refusal.
    pub rate: Option<RateState>,
}

impl Rejection {
    pub fn new(parts: &Parts, refusal: Refusal) -> Rejection {
        Rejection {
            refusal,
            request: parts.extensions.get::<Peer>().map(|peer| peer.request_id.clone()),
            rate: parts.extensions.get::<RateState>().copied(),
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = refusal_response(&self.refusal, self.request.as_ref());
        if let (Some(rate), None) = (self.rate, self.refusal.rate_state()) {
            set_rate(response.headers_mut(), rate);
        }
        response
    }
}
