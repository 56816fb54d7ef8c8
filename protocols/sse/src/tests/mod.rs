//! Tests of Server-Sent Events, against a hub in memory and without a socket.

mod conformance;
mod faults;
mod format;
mod parser;
mod quotas;
mod streams;

use crate::{Config, ServerSentEvents};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use parser::{Parser, Seen};
use port::{HttpState, Hub, Mounts, Peer, Protocol, RequestId, ShardId};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;
use testkit::memory_hub::{Driving, MemoryHub, Place};
use tower::ServiceExt;
use types::{Key, Limits, Record, TopicConfig, TopicName};

/// Only bounds a broken test.
const PATIENCE: Duration = Duration::from_secs(20);

struct Stage {
    hub: MemoryHub,
    place: Place,
    key: String,
    router: Router,
    _driving: Driving,
}

impl Stage {
    /// A hub whose shard turns, with the topic `t` of two partitions.
    fn new() -> Stage {
        Stage::with(Config::default())
    }

    fn with(config: Config) -> Stage {
        let hub = MemoryHub::new();
        let place = hub.place(Limits::default());
        hub.topic(place, "t", TopicConfig { partitions: 2, ..TopicConfig::default() });
        let mut mounts = Mounts::default();
        ServerSentEvents::mount(config, &mut mounts).unwrap();
        let (name, routes) = mounts.http.pop().unwrap();
        assert_eq!(name, "sse");
        assert!(mounts.openapi[0]["paths"]["/v1/sse"]["get"].is_object());
        let router = routes.with_state(HttpState { hub: hub.shared() });
        let driving = hub.drive(ShardId(0));
        Stage { key: hub.key(place), hub, place, router, _driving: driving }
    }

    async fn open(&self, query: &str) -> Client {
        self.open_with(query, &[("x-api-key", &self.key)]).await
    }

    async fn open_with(&self, query: &str, headers: &[(&str, &str)]) -> Client {
        let mut request = Request::builder().uri(format!("/v1/sse?{query}")).extension(Peer {
            address: ([127, 0, 0, 1], 4_000).into(),
            shard: ShardId(0),
            is_tls: false,
            request_id: RequestId("req-1".into()),
        });
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        Client {
            status: parts.status,
            headers: parts.headers,
            body: Some(body),
            parser: Parser::default(),
            seen: VecDeque::new(),
            comments: 0,
            frames: 0,
        }
    }

    async fn append(&self, topic: &str, key: Option<&str>, value: &str) {
        let record = Record {
            key: key.map(|key| Key::new(key.as_bytes().to_vec()).unwrap()),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Record::default()
        };
        self.append_all(topic, vec![record]).await;
    }

    async fn append_all(&self, topic: &str, records: Vec<Record>) {
        let topic = TopicName::parse(topic).unwrap();
        let who = self.hub.identity(&self.key);
        Hub::append(&self.hub, &who, &topic, records).await.unwrap();
    }
}

/// A client of one stream, as browsers are.
struct Client {
    status: StatusCode,
    headers: HeaderMap,
    body: Option<Body>,
    parser: Parser,
    seen: VecDeque<Seen>,
    comments: usize,
    frames: usize,
}

impl Client {
    /// The next event; `None` when the stream is over.
    async fn next(&mut self) -> Option<Seen> {
        while self.seen.is_empty() {
            self.more().await?;
        }
        self.seen.pop_front()
    }

    /// Reads one frame of the body.
    async fn more(&mut self) -> Option<()> {
        let body = self.body.as_mut()?;
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("nothing came")?;
        let bytes = frame.unwrap().into_data().unwrap();
        self.frames += 1;
        self.comments += self.parser.feed(&bytes, &mut self.seen);
        Some(())
    }

    /// The next event, which is a record; other events are passed over.
    async fn record(&mut self) -> Value {
        loop {
            let seen = self.next().await.expect("the stream goes on");
            if seen.name == "message" {
                return seen.json();
            }
            assert_eq!(seen.name, "caught_up");
        }
    }

    /// The next event that is no record.
    async fn notice(&mut self) -> Seen {
        loop {
            let seen = self.next().await.expect("the stream goes on");
            if seen.name != "message" {
                return seen;
            }
        }
    }

    /// The whole body of an answer that is no stream.
    async fn refusal(mut self) -> Value {
        let body = self.body.take().unwrap().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}
