//! Requests that change something: each runs to its end even when the client leaves in the middle,
//! and with an `Idempotency-Key` it is carried out once and its answer repeated. Answers are kept
//! without their secrets, which are shown once. It must not know what a request does.

use crate::admin::{Admitted, Shared, Who};
use aws_lc_rs::digest::{Context, SHA256};
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use port::{Code, Peer, Refusal, RequestId};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tenancy::{Actor, RequestClaim, StoredAnswer};
use wire_http::json::JSON_BODY_BYTES_MAX;
use wire_http::{read_body, refusal_response};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on an answer that was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Bytes of an answer that is kept; none of those that change something comes near.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// What a client is told to wait when the same request is under way.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// A handler leaves it in its answer when what is kept must differ: without the secret.
#[derive(Clone)]
pub(crate) struct Kept(pub(crate) Value);

pub(crate) async fn repeat(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let id = request.extensions().get::<Peer>().map(|peer| peer.request_id.clone());
    // A task of its own, awaited here: dropping this future, as the server does when the client is
    // gone, must not leave a change committed and the node untold.
    let work = tokio::spawn(carry_out(shared, request, next, id.clone()));
    work.await.unwrap_or_else(|error| refusal_response(&Refusal::internal(&error), id.as_ref()))
}

async fn carry_out(
    shared: Arc<Shared>,
    request: Request,
    next: Next,
    id: Option<RequestId>,
) -> Response {
    let who = request.extensions().get::<Admitted>().map(|Admitted(who)| Arc::clone(who));
    // What is anybody's belongs to nobody whose key could be told from another's.
    let by = who.filter(|who| !matches!(**who, Who::Nobody)).map(|who| who.actor());
    let Some(by) = by.filter(|_| request.headers().contains_key(IDEMPOTENCY_KEY)) else {
        return next.run(request).await;
    };
    match once(&shared, request, next, by).await {
        Ok(response) => response,
        Err(refusal) => refusal_response(&refusal, id.as_ref()),
    }
}

async fn once(
    shared: &Shared,
    request: Request,
    next: Next,
    by: Actor,
) -> Result<Response, Refusal> {
    let key = request.headers().get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
    let key = key.map(str::to_owned).ok_or_else(|| {
        Refusal::new(Code::InvalidRequest, "the idempotency key is not text")
            .field("Idempotency-Key")
            .hint("1 to 255 visible ASCII characters")
    })?;
    let (parts, body) = request.into_parts();
    let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
    let fingerprint = fingerprint(&parts, &body);
    let tenancy = &shared.control.tenancy;
    match tenancy.claim_request(&by, &key, &fingerprint).await? {
        RequestClaim::Fresh => {}
        RequestClaim::Answered(answer) => return Ok(replay(answer)),
        RequestClaim::Busy => {
            return Err(Refusal::new(Code::Conflict, "the same request is being carried out")
                .field("Idempotency-Key")
                .retry_after(BUSY_WAIT));
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        // Nothing was changed: the client may mend the cause and send the same again.
        tenancy.release_request(&by, &key).await?;
        return Ok(response);
    }
    let (response, answer) = keep(response).await?;
    tenancy.answer_request(&by, &key, answer).await?;
    Ok(response)
}

fn fingerprint(parts: &http::request::Parts, body: &Bytes) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), body] {
        // Lengths first, so that no two requests make the same sequence of bytes.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// Reads the answer, which is small, and puts it together again.
async fn keep(response: Response) -> Result<(Response, StoredAnswer), Refusal> {
    let status = response.status().as_u16();
    let (parts, body) = response.into_parts();
    let bytes = read_body(body, ANSWER_BYTES_MAX).await?;
    let body = match parts.extensions.get::<Kept>() {
        Some(Kept(value)) => value.clone(),
        None if bytes.is_empty() => Value::Null,
        None => serde_json::from_slice(&bytes).map_err(|error| Refusal::internal(&error))?,
    };
    Ok((Response::from_parts(parts, Body::from(bytes)), StoredAnswer { status, body }))
}

fn replay(answer: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = match answer.body {
        Value::Null => status.into_response(),
        body => (status, Json(body)).into_response(),
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
