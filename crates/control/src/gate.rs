//! The one way in: a request id, the operator token, and headers that keep secrets out of caches.
//! It must not look at what is asked for.

use crate::admin::{Admitted, Shared};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};
use port::{Code, Credential, Peer, Refusal, RequestId, ShardId};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use uuid::Builder;
use wire_http::refusal::set_request_id;
use wire_http::{TokenPlace, credential, refusal_response};

pub(crate) async fn gate(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let known = request.extensions().get::<Peer>().cloned();
    let peer = known.unwrap_or_else(|| unknown_peer(&shared));
    request.extensions_mut().insert(peer.clone());
    let mut response = match check(&shared, request.headers()) {
        Ok(()) => {
            request.extensions_mut().insert(Admitted);
            next.run(request).await
        }
        Err(refusal) => {
            tracing::warn!(request = %peer.request_id, address = %peer.address, "not an operator");
            refusal_response(&refusal, Some(&peer.request_id))
        }
    };
    let headers = response.headers_mut();
    set_request_id(headers, &peer.request_id);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What looks like a key or a token to tenants' routes is an operator token here.
fn check(shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    let presented =
        credential(headers, None, TokenPlace::Header).map_err(|refusal| match refusal.code() {
            Code::CredentialMissing => refusal.hint("send `Authorization: Bearer <admin token>`"),
            _ => refusal,
        })?;
    match presented {
        Credential::ApiKey(token) | Credential::Token(token) => {
            shared.control.operators.check(&token)
        }
    }
}

/// For a router that is not behind the edge.
fn unknown_peer(shared: &Shared) -> Peer {
    let mut random = [0; 16];
    shared.control.rng.fill(&mut random);
    let id = Builder::from_random_bytes(random).into_uuid().simple().to_string();
    Peer {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        shard: ShardId(0),
        is_tls: false,
        request_id: RequestId(id.into()),
    }
}
