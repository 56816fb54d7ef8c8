//! Who calls, as an extractor: every authenticated route takes a `Caller` first, so that a body is
//! never read for a stranger. It must not decide anything itself: the hub authenticates.

use crate::credential::{TokenPlace, credential};
use crate::refusal::{Rejection, refusal_response, set_rate, set_request_id};
use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use port::{HttpState, Hub, Identity, Peer, RateState, Refusal};
use std::ops::Deref;
use std::sync::Arc;

/// An authenticated caller with the hub it was admitted by. The edge must have put a `port::Peer`
/// into the request's extensions.
#[derive(Clone)]
pub struct Caller {
    pub hub: Arc<dyn Hub>,
    pub identity: Identity,
    pub peer: Peer,
    pub rate: Option<RateState>,
}

impl Caller {
    /// Turns what a handler came to into the answer, with the request id and rate headers.
    pub fn answer(&self, outcome: Result<impl IntoResponse, Refusal>) -> Response {
        let mut response = match outcome {
            Ok(answer) => answer.into_response(),
            Err(refusal) => refusal_response(&refusal, Some(&self.peer.request_id)),
        };
        let is_told = response
            .extensions()
            .get::<Refusal>()
            .is_some_and(|refusal| refusal.rate_state().is_some());
        let headers = response.headers_mut();
        set_request_id(headers, &self.peer.request_id);
        // A refusal for the rate says itself what is left, and knows better.
        if let (Some(rate), false) = (self.rate, is_told) {
            set_rate(headers, rate);
        }
        response
    }

    async fn admit(
        parts: &mut Parts,
        hub: Arc<dyn Hub>,
        place: TokenPlace,
    ) -> Result<Caller, Refusal> {
        let peer = parts.extensions.get::<Peer>().cloned().ok_or_else(|| {
            Refusal::internal(&"a request reached a route without its peer extension")
        })?;
        let credential = credential(&parts.headers, parts.uri.query(), place)?;
        let identity = hub.authenticate(&peer, &credential).await?;
        let rate = hub.rate(&identity);
        // Later extractors find it here, so that their refusals tell it as well.
        if let Some(rate) = rate {
            parts.extensions.insert(rate);
        }
        Ok(Caller { hub, identity, peer, rate })
    }
}

impl<S> FromRequestParts<S> for Caller
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Caller, Rejection> {
        let hub = HttpState::from_ref(state).hub;
        Caller::admit(parts, hub, TokenPlace::Header)
            .await
            .map_err(|refusal| Rejection::new(parts, refusal))
    }
}

/// A `Caller` whose credential may also stand in `?access_token=`.
#[derive(Clone)]
pub struct StreamCaller(pub Caller);

impl Deref for StreamCaller {
    type Target = Caller;
    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S> FromRequestParts<S> for StreamCaller
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<StreamCaller, Rejection> {
        let hub = HttpState::from_ref(state).hub;
        Caller::admit(parts, hub, TokenPlace::HeaderOrQuery)
            .await
            .map(StreamCaller)
            .map_err(|refusal| Rejection::new(parts, refusal))
    }
}
