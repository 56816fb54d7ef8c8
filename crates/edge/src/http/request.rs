//! One request on its way in and its answer on its way out: name, peer, limits, span, metrics.

use super::answer::{finish, refuse};
use super::body::{Counted, InFlight, Paced};
use super::carrier::Carrier;
use crate::Config;
use crate::accept::Places;
use crate::config::ms;
use crate::face::{Answers, Face};
use crate::shard::{self, Shard};
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use http_body_util::Limited;
use hyper::body::Incoming;
use port::{Code, Peer, Refusal, RequestId, ShardId};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tower::ServiceExt;
use tracing::Instrument;

/// Longest request id taken from a client.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What the requests of one connection share.
pub struct Context {
    pub config: Arc<Config>,
    pub address: SocketAddr,
    /// Requests so far.
    pub asked: AtomicU32,
    /// Requests whose answers are not wholly sent.
    pub in_flight: Arc<AtomicU32>,
    places: Places,
    shard: ShardId,
    faces: Arc<[Face]>,
    face: usize,
}

/// A request as the metrics and the log tell of it.
pub struct Account {
    pub method: http::Method,
    pub request_id: RequestId,
    pub began: std::time::Instant,
    pub is_strict: bool,
    /// The body paused for too long.
    pub was_slow: Arc<AtomicBool>,
}

impl Context {
    pub fn new(shard: &Shard, address: SocketAddr, face: usize, places: Places) -> Context {
        Context {
            config: Arc::clone(&shard.config),
            address,
            asked: AtomicU32::new(0),
            in_flight: Arc::default(),
            places,
            shard: shard.id,
            faces: Arc::clone(&shard.faces),
            face,
        }
    }

    pub fn face(&self) -> Option<&Face> {
        self.faces.get(self.face)
    }
}

/// Never fails: what goes wrong is an answer.
pub async fn serve_request(
    context: Arc<Context>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    context.asked.fetch_add(1, Ordering::Relaxed);
    let in_flight = InFlight::enter(&context.in_flight);
    let request_id = request_id(request.headers());
    let Some(face) = context.face() else {
        let gone = Refusal::internal(&"a connection without a face");
        return Ok(wire_http::refusal_response(&gone, Some(&request_id)));
    };
    let account = Account {
        method: request.method().clone(),
        request_id,
        began: std::time::Instant::now(),
        is_strict: face.is_strict,
        was_slow: Arc::default(),
    };
    // The path alone: a query may hold a credential.
    let span = tracing::info_span!(
        "request",
        listener = face.name,
        method = %account.method,
        path = request.uri().path(),
        request_id = %account.request_id,
        status = tracing::field::Empty,
    );
    let answer = async {
        let answer = match check(&context.config, &request) {
            Ok(()) => route(&context, face, &account, request).await,
            Err((status, refusal)) => refuse(status, &refusal, &account),
        };
        let answer = finish(answer, &account);
        tracing::Span::current().record("status", answer.status().as_u16());
        tracing::debug!(elapsed_us = account.began.elapsed().as_micros() as u64, "answered");
        answer
    }
    .instrument(span)
    .await;
    Ok(answer.map(|inner| Body::new(Counted::new(inner, in_flight))))
}

async fn route(
    context: &Context,
    face: &Face,
    account: &Account,
    request: Request<Incoming>,
) -> Response<Body> {
    let limits = &context.config.http;
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(Peer {
        address: context.address,
        shard: context.shard,
        is_tls: face.tls.is_some(),
        request_id: account.request_id.clone(),
    });
    if parts.method == http::Method::CONNECT {
        let (in_flight, places) = (Arc::clone(&context.in_flight), context.places.clone());
        parts.extensions.insert(Carrier { in_flight, places });
    }
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        let was_slow = Arc::clone(&account.was_slow);
        let paced = Paced::new(body, ms(limits.body_gap_ms_max), was_slow);
        Body::new(Limited::new(paced, limits.body_bytes_max))
    };
    let request = Request::from_parts(parts, body);
    let Answers::Http(router) = &face.answers else {
        let lost = Refusal::internal(&"a request where no HTTP is spoken");
        return wire_http::refusal_response(&lost, Some(&account.request_id));
    };
    match router.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// What is refused before anybody looks at the path.
fn check(config: &Config, request: &Request<Incoming>) -> Result<(), (StatusCode, Refusal)> {
    let limits = &config.http;
    if request.headers().len() > limits.headers_max {
        let refusal = super::bare::Bare::HeadTooLarge.refusal();
        return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, refusal));
    }
    let bytes: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes + request.uri().path().len() > limits.head_bytes_max {
        let refusal = super::bare::Bare::HeadTooLarge.refusal();
        return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, refusal));
    }
    if request.body().size_hint().lower() > limits.body_bytes_max as u64 {
        let refusal = Refusal::new(Code::PayloadTooLarge, "the request's body is too large")
            .hint(format!("at most {} bytes", limits.body_bytes_max));
        return Err((StatusCode::PAYLOAD_TOO_LARGE, refusal));
    }
    Ok(())
}

/// The client's, when it is one that may stand in a log line, else a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    let given = headers.get(wire_http::refusal::X_REQUEST_ID).and_then(|value| value.to_str().ok());
    if let Some(given) = given.filter(|given| is_sane(given)) {
        return RequestId(given.into());
    }
    let number = shard::current().map_or(0, |shard| shard.request_number());
    RequestId(format!("{number:016x}").into())
}

pub fn is_sane(request_id: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&request_id.len())
        && request_id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
}
