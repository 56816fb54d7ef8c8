//! Answers on their way out: one error shape whoever made the error, security headers, metrics.

use super::request::Account;
use axum::body::Body;
use axum::response::Response;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use port::{Code, Refusal, metric};
use std::sync::atomic::Ordering;

/// The protocol whose route answered; put on the response by the router.
#[derive(Debug, Clone, Copy)]
pub struct Answerer(pub &'static str);

/// A year (RFC 6797 asks for a duration, not for a date).
const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// A refusal under a status of its own, where HTTP has a finer one than its kind.
pub fn refuse(status: StatusCode, refusal: &Refusal, account: &Account) -> Response<Body> {
    let mut response = wire_http::refusal_response(refusal, Some(&account.request_id));
    *response.status_mut() = status;
    if matches!(status.as_u16(), 408 | 413 | 431) {
        // The rest of the request is not read, so nothing can follow it on this connection.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Puts the last touches on an answer and counts it.
pub fn finish(answer: Response<Body>, account: &Account) -> Response<Body> {
    let answerer = answer.extensions().get::<Answerer>().copied();
    let mut answer = reshape(answer, account, answerer.is_some());
    let headers = answer.headers_mut();
    wire_http::refusal::set_request_id(headers, &account.request_id);
    set_default(headers, X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    set_default(headers, X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    set_default(headers, REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if account.is_strict {
        set_default(headers, STRICT_TRANSPORT_SECURITY, STRICT);
    }
    count(&answer, account, answerer);
    answer
}

fn set_default(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// Errors that frameworks make (no route, no method, a body that was too long) get our shape.
fn reshape(answer: Response<Body>, account: &Account, is_ours: bool) -> Response<Body> {
    if account.was_slow.load(Ordering::Relaxed) {
        let refusal = super::bare::Bare::Timeout.refusal();
        return refuse(StatusCode::REQUEST_TIMEOUT, &refusal, account);
    }
    let status = answer.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || answer.extensions().get::<Refusal>().is_some() {
        return answer;
    }
    let is_empty = answer.body().size_hint().exact() == Some(0);
    let is_plain = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(is_empty || is_ours && is_plain) {
        return answer;
    }
    let mut shaped = refuse(status, &refusal_of(status), account);
    if let Some(allow) = answer.headers().get(ALLOW) {
        shaped.headers_mut().insert(ALLOW, allow.clone());
    }
    // What other layers have said (cross-origin rules, above all) stays said.
    for (name, value) in answer.headers() {
        if name.as_str().starts_with("access-control-") || name == http::header::VARY {
            shaped.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(answerer) = answer.extensions().get::<Answerer>() {
        shaped.extensions_mut().insert(*answerer);
    }
    shaped
}

fn refusal_of(status: StatusCode) -> Refusal {
    match status {
        StatusCode::NOT_FOUND => Refusal::new(Code::NotFound, "nothing answers to this path")
            .hint("see /openapi.json for what there is"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Refusal::new(Code::Unsupported, "this path does not answer to this method")
                .hint("see the `allow` header")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(Code::PayloadTooLarge, "the request's body is too large")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Refusal::new(Code::InvalidRequest, "the body's content type is not supported")
                .field("content-type")
        }
        status if status.is_client_error() => {
            Refusal::new(Code::InvalidRequest, "the request is malformed")
        }
        status => Refusal::internal(&format_args!("an answer with status {status} and no body")),
    }
}

fn count(answer: &Response<Body>, account: &Account, answerer: Option<Answerer>) {
    let protocol = answerer.map_or("edge", |Answerer(name)| name);
    metrics::counter!(
        metric::REQUESTS,
        "protocol" => protocol,
        "method" => method_label(&account.method),
        "status" => status_label(answer.status()),
    )
    .increment(1);
    metrics::histogram!(metric::REQUEST_SECONDS, "protocol" => protocol)
        .record(account.began.elapsed().as_secs_f64());
    if let Some(refusal) = answer.extensions().get::<Refusal>() {
        metrics::counter!(metric::REFUSALS, "code" => refusal.code().name()).increment(1);
    }
}

/// A client chooses its method's name; the metric's labels must not grow with its fancy.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        _ => "other",
    }
}

fn status_label(status: StatusCode) -> String {
    status.as_u16().to_string()
}
