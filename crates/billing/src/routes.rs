//! The path that Stripe calls, on the public port. Nobody is authenticated: the signature proves
//! the body, which is read in bounds before that.

use crate::Billing;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use port::{Code, Peer, Refusal};
use std::sync::Arc;
use wire_http::{read_body, refusal_response};

/// Where Stripe is told to send its events.
pub(crate) const PATH: &str = "/v1/billing/stripe/webhook";
/// Stripe's events are far smaller.
const BODY_BYTES_MAX: usize = 512 * 1024;

pub(crate) fn routes(billing: Arc<Billing>) -> Router {
    Router::new().route(PATH, post(take)).with_state(billing)
}

async fn take(State(billing): State<Arc<Billing>>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    // A task of its own: what was begun is done even when Stripe hangs up.
    let taking = tokio::spawn(async move { take_whole(&billing, request).await });
    let outcome = taking.await.unwrap_or_else(|error| Err(Refusal::internal(&error)));
    match outcome {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal_response(&refusal, peer.as_ref().map(|peer| &peer.request_id)),
    }
}

async fn take_whole(billing: &Billing, request: Request<Body>) -> Result<(), Refusal> {
    let header = request.headers().get("stripe-signature").and_then(|it| it.to_str().ok());
    let header = header.map(str::to_owned).ok_or_else(|| {
        Refusal::new(Code::CredentialMissing, "the request is not signed").field("Stripe-Signature")
    })?;
    let body = read_body(request.into_body(), BODY_BYTES_MAX).await?;
    billing.take_event(&header, &body).await
}
