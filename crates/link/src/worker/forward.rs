//! Requests that no protocol takes (the console, health, a project's own administration) are the
//! owner's to answer: they go there whole and come back whole.

use super::remote::RemoteHub;
use crate::call::{HttpAnswer, HttpAsk};
use crate::wire::bounds::HTTP_BYTES_MAX;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use port::{Code, Peer, Refusal, RequestId};
use std::sync::Arc;

/// What answers in a worker where no protocol does.
pub fn routes(hub: Arc<RemoteHub>) -> Router {
    Router::new().fallback(forward).with_state(hub)
}

async fn forward(State(hub): State<Arc<RemoteHub>>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    let name: Option<RequestId> = peer.as_ref().map(|peer| peer.request_id.clone());
    let outcome = match peer {
        Some(peer) => pass_on(&hub, peer, request).await,
        None => Err(Refusal::internal(&"a request without its peer extension")),
    };
    outcome.unwrap_or_else(|refusal| wire_http::refusal_response(&refusal, name.as_ref()))
}

async fn pass_on(hub: &RemoteHub, peer: Peer, request: Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, HTTP_BYTES_MAX).await.map_err(|error| {
        tracing::debug!(%error, "a request's body was not passed on");
        Refusal::new(Code::PayloadTooLarge, "the request's body is too large or was cut off")
    })?;
    let headers = head.headers.iter();
    let ask = HttpAsk {
        peer,
        method: head.method.to_string(),
        uri: head.uri.to_string(),
        headers: headers
            .map(|(name, value)| (name.to_string(), Bytes::copy_from_slice(value.as_bytes())))
            .collect(),
        body,
    };
    answer(hub.http(ask).await?)
}

fn answer(answer: HttpAnswer) -> Result<Response, Refusal> {
    let malformed = |_| Refusal::internal(&"the owner's answer is not one of HTTP");
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).map_err(|error| malformed(error.to_string()))?;
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name).map_err(|error| malformed(error.to_string()))?;
        let value =
            HeaderValue::from_bytes(&value).map_err(|error| malformed(error.to_string()))?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
