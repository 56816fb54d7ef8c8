//! The public router: the mounts' routes, their WebSocket endpoints, the one OpenAPI document, and
//! what the server adds; around it, the cross-origin rules.

use super::answer::Answerer;
use crate::config::{Config, Cors};
use crate::ws::upgrade::Endpoint;
use crate::{EdgeError, openapi};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method};
use port::mounts::WebSocketMount;
use port::{HttpState, Hub, Mounts};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Where the merged OpenAPI document is.
pub const OPENAPI: &str = "/openapi.json";

pub fn public(
    config: &Arc<Config>,
    mounts: Mounts,
    fallback: Router,
    hub: &Arc<dyn Hub>,
) -> Result<Router, EdgeError> {
    let document = openapi::merge(&mounts.openapi)?;
    let mut routes = Router::new();
    for (protocol, protocol_routes) in mounts.http {
        routes = routes.merge(protocol_routes.layer(axum::middleware::map_response(
            move |mut response: Response| async move {
                response.extensions_mut().insert(Answerer(protocol));
                response
            },
        )));
    }
    for (path, mounts) in by_path(mounts.web_sockets) {
        let endpoint = Arc::new(Endpoint::new(Arc::clone(config), Arc::clone(hub), mounts));
        let handler = move |request| crate::ws::upgrade::upgrade(Arc::clone(&endpoint), request);
        routes = routes.route(path, get(handler.clone()).connect(handler));
    }
    let document = bytes::Bytes::from(document.to_string());
    let routes = routes.with_state(HttpState { hub: Arc::clone(hub) }).route(
        OPENAPI,
        get(move || async move {
            ([(CONTENT_TYPE, wire_http::refusal::JSON)], document).into_response()
        }),
    );
    Ok(routes
        .fallback_service(fallback)
        .layer(DefaultBodyLimit::max(config.http.body_bytes_max))
        .layer(cors(&config.cors)?))
}

fn by_path(mounts: Vec<WebSocketMount>) -> BTreeMap<&'static str, Vec<WebSocketMount>> {
    let mut paths = BTreeMap::<_, Vec<_>>::new();
    for mount in mounts {
        paths.entry(mount.path).or_default().push(mount);
    }
    paths
}

fn cors(settings: &Cors) -> Result<CorsLayer, EdgeError> {
    let origins = if settings.origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parsed: Result<Vec<HeaderValue>, _> =
            settings.origins.iter().map(|origin| HeaderValue::from_str(origin)).collect();
        AllowOrigin::list(parsed.map_err(|_| EdgeError::Config {
            field: "cors.origins",
            reason: "an origin holds characters that no header may hold".into(),
        })?)
    };
    Ok(CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            wire_http::refusal::X_REQUEST_ID,
            wire_http::refusal::RATE_LIMIT,
            wire_http::refusal::RATE_REMAINING,
            wire_http::refusal::RATE_RESET,
            RETRY_AFTER,
        ])
        .max_age(Duration::from_secs(settings.max_age_s)))
}
