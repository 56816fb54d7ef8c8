//! Durable consumers over requests: defined, fetched from, settled, moved, and their dead letters.
//! It must not keep a lease or a position: those are the hub's.

pub mod define;
pub mod fetch;
pub mod letters;
pub mod settle;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use port::consumers::{ConsumerAddress, Consumers};
use port::{Code, HttpState, Refusal};
use types::ConsumerName;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire_http::address::parse_topic;
use wire_http::refusal::JSON;
use wire_http::{Caller, Rejection};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(define::list_consumers))
        .routes(routes!(define::put_consumer, define::get_consumer, define::delete_consumer))
        .routes(routes!(define::reset_consumer))
        .routes(routes!(settle::commit))
        .routes(routes!(fetch::fetch))
        .routes(routes!(settle::settle))
        .routes(routes!(letters::list_letters, letters::purge_letters))
        .routes(routes!(letters::replay_letters))
}

/// The `{topic}` and `{consumer}` of the path.
#[derive(Debug, Clone)]
pub struct ConsumerPath(pub ConsumerAddress);

impl<S: Send + Sync> FromRequestParts<S> for ConsumerPath {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ConsumerPath, Rejection> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let parsed =
            match &params {
                Ok(params) => {
                    let text = |wanted: &str| {
                        let found = params.iter().find(|(name, _)| *name == wanted);
                        found.map(|(_, text)| text).unwrap_or_default()
                    };
                    parse_topic(text("topic"), "topic").and_then(|topic| {
                        let name = parse_name(text("consumer"), "consumer")?;
                        Ok(ConsumerAddress { topic, name })
                    })
                }
                Err(_) => Err(Refusal::new(Code::InvalidRequest, "the path is not UTF-8 text")
                    .field("consumer")),
            };
        parsed.map(ConsumerPath).map_err(|refusal| Rejection::new(parts, refusal))
    }
}

fn parse_name(text: &str, field: &'static str) -> Result<ConsumerName, Refusal> {
    ConsumerName::parse(text)
        .map_err(|bad| Refusal::new(Code::InvalidRequest, bad.to_string()).field(field))
}

fn consumers(caller: &Caller) -> Result<&dyn Consumers, Refusal> {
    caller
        .hub
        .consumers()
        .ok_or_else(|| Refusal::new(Code::Unsupported, "this server has no durable consumers"))
}

/// An answer that was written by hand, and must not be kept by anybody on the way.
fn json(out: BytesMut) -> Response {
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, out.freeze()).into_response()
}
