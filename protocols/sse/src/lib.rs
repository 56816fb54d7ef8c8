//! Server-Sent Events: records of topics or of a filter as one long answer that browsers read by
//! themselves and resume by themselves. It must not publish (that is `rest`) and it keeps no more
//! of a client than its open stream.
#![forbid(unsafe_code)]

pub mod config;
mod follow;
pub mod frame;
mod stream;

#[cfg(test)]
mod tests;

pub use config::Config;

use axum::Extension;
use port::mounts::http_method::Method;
use port::{HttpState, Mounts, Protocol, Refusal};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub struct ServerSentEvents;

const CLAIMS: &[(Method, &str)] = &[(Method::Get, "/v1/sse")];

impl Protocol for ServerSentEvents {
    const NAME: &'static str = "sse";
    type Config = Config;

    fn mount(config: Config, at: &mut Mounts) -> Result<(), Refusal> {
        config.check()?;
        let router: OpenApiRouter<HttpState> =
            OpenApiRouter::new().routes(routes!(follow::follow_events));
        let (routes, openapi) = router.split_for_parts();
        let openapi = serde_json::to_value(openapi).map_err(|error| Refusal::internal(&error))?;
        at.http(Self::NAME, CLAIMS, routes.layer(Extension(Arc::new(config))), openapi)
    }
}
