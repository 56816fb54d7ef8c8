//! Tests of REST against a hub in memory, through its router and without a socket.

mod conformance;
mod consumers;
mod events;
mod faults;
mod once;
mod presence;
mod properties;
mod topics;
mod transactions;

use crate::{Config, mount_with};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use port::{HttpState, Mounts, Peer, RequestId, ShardId};
use serde_json::Value;
use std::sync::Arc;
use stdx::{Clock, SystemClock};
use testkit::memory_hub::{MemoryHub, Place};
use tower::ServiceExt;
use types::Limits;

/// REST over a hub with one project and one key that may do everything.
struct Stage {
    hub: MemoryHub,
    place: Place,
    key: String,
    router: Router,
    openapi: Value,
}

/// An answer as a client sees it.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Stage {
    fn new() -> Stage {
        Stage::with(Config::default(), SystemClock::shared())
    }

    fn with(config: Config, clock: Arc<dyn Clock>) -> Stage {
        let hub = MemoryHub::with_clock(Arc::clone(&clock));
        let place = hub.place(Limits::default());
        let mut mounts = Mounts::default();
        mount_with(config, clock, &mut mounts).unwrap();
        let (name, routes) = mounts.http.pop().unwrap();
        assert_eq!(name, "rest");
        let router = routes.with_state(HttpState { hub: hub.shared() });
        let openapi = mounts.openapi.pop().unwrap();
        Stage { key: hub.admin_key(place), hub, place, router, openapi }
    }

    /// One request with the stage's key.
    async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.ask_with(method, path, &[("x-api-key", &self.key)], body).await
    }

    async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(Peer {
            address: ([127, 0, 0, 1], 4_000).into(),
            shard: ShardId(0),
            is_tls: false,
            request_id: RequestId("req-1".into()),
        });
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await;
        let (parts, body) = response.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn publish(&self, body: &Value) -> Answer {
        self.ask("POST", "/v1/events", body.to_string()).await
    }

    /// Everything a topic holds, as the hub reads it.
    async fn stored(&self, topic: &str) -> Vec<Arc<port::Delivery>> {
        let request = port::ReadRequest {
            topic: types::TopicName::parse(topic).unwrap(),
            from: types::From::Earliest,
            key: None,
            last: None,
            limit: 10_000,
            wait: std::time::Duration::ZERO,
        };
        let who = self.hub.identity(&self.key);
        self.hub.shared().read(&who, request).await.map_or(Vec::new(), |answer| answer.records)
    }
}

impl Answer {
    fn check(&self, status: u16, code: &str, field: Option<&str>) {
        let error = &self.body["error"];
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(error["code"], code, "{self:?}");
        assert_eq!(error["details"]["field"].as_str(), field, "{self:?}");
        assert_eq!(error["request_id"], "req-1");
        assert_eq!(self.headers["x-request-id"], "req-1");
    }
}
