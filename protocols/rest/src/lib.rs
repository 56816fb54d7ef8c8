//! REST: records published with one request, topics configured, the newest value of a key looked
//! up. It must not stream or wait (that is `sse` and `poll`), and it decides nothing about who may
//! do what: each route is one call of the hub with JSON around it.
#![forbid(unsafe_code)]

pub mod config;
mod idempotency;
mod page;
mod verbs;

#[cfg(test)]
mod tests;

pub use config::Config;

use axum::Extension;
use idempotency::Window;
use port::mounts::http_method::Method;
use port::{HttpState, Mounts, Protocol, Refusal};
use std::sync::Arc;
use stdx::{Clock, SystemClock};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub struct Rest;

/// Everything this protocol serves.
const CLAIMS: &[(Method, &str)] = &[
    (Method::Post, "/v1/events"),
    (Method::Post, "/v1/transactions"),
    (Method::Get, "/v1/topics"),
    (Method::Put, "/v1/topics/{topic}"),
    (Method::Get, "/v1/topics/{topic}"),
    (Method::Delete, "/v1/topics/{topic}"),
    (Method::Post, "/v1/topics/{topic}/records"),
    (Method::Get, "/v1/topics/{topic}/latest"),
    (Method::Get, "/v1/topics/{topic}/keys"),
    (Method::Get, "/v1/presence/{topic}"),
    (Method::Put, "/v1/presence/{topic}/members/{member}"),
    (Method::Delete, "/v1/presence/{topic}/members/{member}"),
    (Method::Get, "/v1/topics/{topic}/schemas"),
    (Method::Post, "/v1/topics/{topic}/schemas"),
    (Method::Get, "/v1/topics/{topic}/schemas/{version}"),
    (Method::Post, "/v1/topics/{topic}/schemas/check"),
    (Method::Get, "/v1/topics/{topic}/consumers"),
    (Method::Put, "/v1/topics/{topic}/consumers/{consumer}"),
    (Method::Get, "/v1/topics/{topic}/consumers/{consumer}"),
    (Method::Delete, "/v1/topics/{topic}/consumers/{consumer}"),
    (Method::Post, "/v1/topics/{topic}/consumers/{consumer}/fetch"),
    (Method::Post, "/v1/topics/{topic}/consumers/{consumer}/settle"),
    (Method::Post, "/v1/topics/{topic}/consumers/{consumer}/commit"),
    (Method::Post, "/v1/topics/{topic}/consumers/{consumer}/reset"),
    (Method::Get, "/v1/topics/{topic}/consumers/{consumer}/dead-letters"),
    (Method::Delete, "/v1/topics/{topic}/consumers/{consumer}/dead-letters"),
    (Method::Post, "/v1/topics/{topic}/consumers/{consumer}/dead-letters/replay"),
];

/// What the routes share beside the hub.
#[derive(Clone)]
struct Shared {
    config: Arc<Config>,
    window: Arc<Window>,
}

impl Protocol for Rest {
    const NAME: &'static str = "rest";
    type Config = Config;

    fn mount(config: Config, at: &mut Mounts) -> Result<(), Refusal> {
        mount_with(config, SystemClock::shared(), at)
    }
}

fn mount_with(config: Config, clock: Arc<dyn Clock>, at: &mut Mounts) -> Result<(), Refusal> {
    config.check()?;
    let window = Window::new(&config, clock);
    let shared = Shared { config: Arc::new(config), window };
    let router: OpenApiRouter<HttpState> = OpenApiRouter::new()
        .routes(routes!(verbs::publish::publish_events))
        .routes(routes!(verbs::raw::publish_raw))
        .routes(routes!(verbs::transactions::transact))
        .routes(routes!(verbs::topics::list_topics))
        .routes(routes!(
            verbs::topics::put_topic,
            verbs::topics::get_topic,
            verbs::topics::delete_topic
        ))
        .routes(routes!(verbs::keys::get_latest))
        .routes(routes!(verbs::keys::list_keys))
        .routes(routes!(verbs::schemas::list_schemas, verbs::schemas::post_schema))
        .routes(routes!(verbs::schemas::get_schema))
        .routes(routes!(verbs::schemas::check_schema))
        .routes(routes!(verbs::presence::list_present))
        .routes(routes!(verbs::presence::put_present, verbs::presence::delete_present))
        .merge(verbs::consumers::routes());
    let (routes, openapi) = router.split_for_parts();
    let openapi = serde_json::to_value(openapi).map_err(|error| Refusal::internal(&error))?;
    at.http(Rest::NAME, CLAIMS, routes.layer(Extension(shared)), openapi)
}
