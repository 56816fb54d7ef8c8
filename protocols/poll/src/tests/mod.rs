//! Tests of reading with requests, against a hub in memory and without a socket.

mod conformance;
mod pages;
mod waits;

use crate::{Config, LongPoll};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use port::{HttpState, Hub, Mounts, Peer, Protocol, RequestId, ShardId};
use serde_json::Value;
use testkit::memory_hub::{MemoryHub, Place};
use tower::ServiceExt;
use types::{Key, Limits, Record, TopicConfig, TopicName};

struct Stage {
    hub: MemoryHub,
    place: Place,
    key: String,
    router: Router,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Stage {
    /// A hub with the topic `t` of one partition.
    fn new() -> Stage {
        let hub = MemoryHub::new();
        let place = hub.place(Limits::default());
        hub.topic(place, "t", TopicConfig::default());
        let router = router(&hub);
        Stage { key: hub.key(place), hub, place, router }
    }

    async fn read(&self, query: &str) -> Answer {
        self.read_as(&self.key, query).await
    }

    async fn read_as(&self, key: &str, query: &str) -> Answer {
        ask(&self.router, key, query).await
    }

    async fn append(&self, key: Option<&str>, value: &str) {
        let record = Record {
            key: key.map(|key| Key::new(key.as_bytes().to_vec()).unwrap()),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Record::default()
        };
        let topic = TopicName::parse("t").unwrap();
        let who = self.hub.identity(&self.key);
        Hub::append(&self.hub, &who, &topic, vec![record]).await.unwrap();
    }
}

/// The routes over a hub.
fn router(hub: &MemoryHub) -> Router {
    let mut mounts = Mounts::default();
    LongPoll::mount(Config::default(), &mut mounts).unwrap();
    let (name, routes) = mounts.http.pop().unwrap();
    assert_eq!(name, "poll");
    assert!(mounts.openapi[0]["paths"]["/v1/topics/{topic}/records"]["get"].is_object());
    routes.with_state(HttpState { hub: hub.shared() })
}

/// One request for a path below `/v1/topics/`.
async fn ask(router: &Router, key: &str, path: &str) -> Answer {
    let request = Request::builder()
        .uri(format!("/v1/topics/{path}"))
        .header("x-api-key", key)
        .extension(Peer {
            address: ([127, 0, 0, 1], 4_000).into(),
            shard: ShardId(0),
            is_tls: false,
            request_id: RequestId("req-1".into()),
        });
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

impl Answer {
    fn data(&self) -> Vec<&Value> {
        let records = self.body["records"].as_array().expect("an answer with records");
        records.iter().map(|record| &record["data"]).collect()
    }

    fn next(&self) -> &str {
        self.body["next_cursor"].as_str().unwrap()
    }

    fn check(&self, status: u16, code: &str, field: Option<&str>) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.body["error"]["code"], code, "{self:?}");
        assert_eq!(self.body["error"]["details"]["field"].as_str(), field, "{self:?}");
        assert_eq!(self.body["error"]["request_id"], "req-1");
    }
}
