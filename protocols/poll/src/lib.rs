//! Reading a topic with requests: a page of records and the cursor behind it, at once or, with
//! `wait`, when there is something (the long poll). It must not keep anything between requests: a
//! reader's place is its cursor.
#![forbid(unsafe_code)]

pub mod config;
mod read;

#[cfg(test)]
mod tests;

pub use config::Config;

use axum::Extension;
use port::mounts::http_method::Method;
use port::{HttpState, Mounts, Protocol, Refusal};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub struct LongPoll;

const CLAIMS: &[(Method, &str)] = &[(Method::Get, "/v1/topics/{topic}/records")];

impl Protocol for LongPoll {
    const NAME: &'static str = "poll";
    type Config = Config;

    fn mount(config: Config, at: &mut Mounts) -> Result<(), Refusal> {
        config.check()?;
        let router: OpenApiRouter<HttpState> =
            OpenApiRouter::new().routes(routes!(read::read_records));
        let (routes, openapi) = router.split_for_parts();
        let openapi = serde_json::to_value(openapi).map_err(|error| Refusal::internal(&error))?;
        at.http(Self::NAME, CLAIMS, routes.layer(Extension(Arc::new(config))), openapi)
    }
}
