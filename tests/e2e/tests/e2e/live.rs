//! What an operator does takes effect in open connections: suspension, revocation, rotation with
//! grace, closing; and what was used is counted.

use crate::stand::admin::{Admin, EVENT_SCOPES, Key, Room, text};
use crate::stand::got::Sent;
use crate::stand::shared::{Shared, server};
use crate::stand::sse::Stream;
use crate::stand::token::Signer;
use crate::stand::ws::{Client, closed};
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client as Http, Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_secs(1);

struct Site {
    shared: Arc<Shared>,
    admin: Admin,
    room: Room,
    key: Key,
}

impl Site {
    async fn new() -> Site {
        let shared = server();
        let admin = shared.server.admin();
        let (room, key) = admin.furnished().await;
        Site { shared, admin, room, key }
    }

    fn url(&self) -> &str {
        &self.shared.server.url
    }

    async fn socket(&self) -> Client {
        let mut client = Client::open(self.url(), &self.key.secret).await;
        client.subscribe(1, "news/#", "latest".into()).await;
        client
    }

    async fn stream(&self) -> Stream {
        Stream::open(self.url(), &self.key.secret, "topics=news").await
    }

    /// Status and code of a publish with the key.
    async fn publish(&self, secret: &str) -> (StatusCode, String) {
        let view = Sent::json("news", "key", json!(1)).view();
        let request = Http::new().post(format!("{}/v1/events", self.url()));
        let answer = request.bearer_auth(secret).json(&view).send().await.expect("an answer");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// Reads until the end of the stream; answers the last event that had a refusal.
async fn ended(stream: &mut Stream) -> String {
    let mut code = String::new();
    while let Some(event) = stream.event().await {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        if let Some(found) = data["error"]["code"].as_str() {
            code = found.to_owned();
        }
    }
    code
}

/// Reads until the end of the socket; answers the code of the error told last, and the close code.
async fn last_words(client: &mut Client) -> (String, Option<u16>) {
    let mut code = String::new();
    loop {
        match client.next().await {
            Ok(frame) if frame["type"] == "error" => code = text(&frame["error"]["code"]),
            Ok(_) => {}
            Err(closed) => return (code, closed),
        }
    }
}

#[tokio::test]
async fn a_revoked_principal_loses_its_sessions_and_its_tokens_of_before() {
    let site = Site::new().await;
    let signer = Signer::new(&site.admin, &site.room).await;
    let hour = Duration::from_secs(3_600);
    let (ann, ben) = (signer.token_of("ann", hour), signer.token_of("ben", hour));
    let mut socket = Client::open(site.url(), &ann).await;
    let mut stream = Stream::open(site.url(), &ann, "topics=news").await;
    let mut bystander = Client::open(site.url(), &ben).await;
    let enter = json!({ "lease_ms": 60_000 });
    let path = format!("{}/v1/presence/news/members/ann", site.url());
    let entered = Http::new().put(path).bearer_auth(&ann).json(&enter).send().await;
    assert_eq!(entered.expect("an answer").status(), StatusCode::OK);
    let revoke = json!({ "principal": "jwt:ann" });
    site.admin.done(Method::POST, &site.room.path("principals/revoke"), &revoke).await;
    let revoked = Instant::now();
    assert_eq!(last_words(&mut socket).await, ("INVALID_TOKEN".to_owned(), Some(4401)));
    assert_eq!(ended(&mut stream).await, "INVALID_TOKEN");
    assert!(revoked.elapsed() < AT_ONCE, "{:?}", revoked.elapsed());
    assert_eq!(site.publish(&ann).await.1, "INVALID_TOKEN");
    let there =
        bystander.done(json!({ "type": "presence", "action": "list", "topic": "news" })).await;
    assert_eq!(there["counts"]["members"], 0, "{there}");
    // A token issued since then counts.
    let fresh = signer.token_of("ann", hour);
    assert_eq!(site.publish(&fresh).await.0, StatusCode::OK);
    let _again = Client::open(site.url(), &fresh).await;
    let key = json!({ "principal": format!("key:{}", site.key.id) });
    let path = site.room.path("principals/revoke");
    let (status, refused) = site.admin.call(Method::POST, &path, &key).await;
    assert_eq!(
        (status, &refused["error"]["details"]["field"]),
        (StatusCode::BAD_REQUEST, &json!("principal"),)
    );
}

#[tokio::test]
async fn a_deleted_project_ends_its_connections() {
    let site = Site::new().await;
    let mut socket = Client::open(site.url(), &site.key.secret).await;
    let enter = json!({ "type": "presence", "action": "enter", "topic": "news" });
    socket.done(enter).await;
    let path = site.room.path("");
    site.admin.done(Method::DELETE, path.trim_end_matches('/'), &Value::Null).await;
    assert_eq!(last_words(&mut socket).await, ("INVALID_API_KEY".to_owned(), Some(4401)));
}

#[tokio::test]
async fn suspension_ends_connections_and_resumption_lets_in_again() {
    let site = Site::new().await;
    let (mut socket, mut stream) = (site.socket().await, site.stream().await);
    site.admin.suspend(&site.room).await;
    let suspended = Instant::now();
    assert_eq!(last_words(&mut socket).await, ("TENANT_SUSPENDED".to_owned(), Some(4403)));
    assert_eq!(ended(&mut stream).await, "TENANT_SUSPENDED");
    assert!(suspended.elapsed() < AT_ONCE, "{:?}", suspended.elapsed());
    let refused = site.publish(&site.key.secret).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, "TENANT_SUSPENDED".to_owned()));
    let path = format!("/v1/tenants/{}/resume", site.room.tenant);
    site.admin.done(Method::POST, &path, &json!({})).await;
    assert_eq!(site.publish(&site.key.secret).await.0, StatusCode::OK);
}

#[tokio::test]
async fn revocation_ends_the_keys_connections_only() {
    let site = Site::new().await;
    let other = site.admin.key(&site.room, EVENT_SCOPES).await;
    let (mut socket, mut stream) = (site.socket().await, site.stream().await);
    let mut bystander = Client::open(site.url(), &other.secret).await;
    let path = site.room.path(&format!("keys/{}/revoke", site.key.id));
    site.admin.done(Method::POST, &path, &Value::Null).await;
    let revoked = Instant::now();
    assert_eq!(last_words(&mut socket).await, ("INVALID_API_KEY".to_owned(), Some(4401)));
    assert_eq!(ended(&mut stream).await, "INVALID_API_KEY");
    assert!(revoked.elapsed() < AT_ONCE, "{:?}", revoked.elapsed());
    assert_eq!(site.publish(&site.key.secret).await.1, "INVALID_API_KEY");
    assert_eq!(site.publish(&other.secret).await.0, StatusCode::OK);
    assert_eq!(bystander.done(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn a_rotated_key_counts_until_its_grace_is_over() {
    const GRACE_MS: u64 = 700;
    let site = Site::new().await;
    let mut socket = site.socket().await;
    let path = site.room.path(&format!("keys/{}/rotate", site.key.id));
    let rotated = site.admin.done(Method::POST, &path, &json!({ "grace_ms": GRACE_MS })).await;
    let began = Instant::now();
    let new = text(&rotated["secret"]);
    // Both count for as long as the grace lasts.
    let old = site.publish(&site.key.secret).await;
    if began.elapsed() < Duration::from_millis(GRACE_MS / 2) {
        assert_eq!(old.0, StatusCode::OK, "{old:?}");
    }
    assert_eq!(site.publish(&new).await.0, StatusCode::OK);
    let expired = async {
        while site.publish(&site.key.secret).await.0 == StatusCode::OK {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("the end of the grace", expired).await;
    assert!(began.elapsed() >= Duration::from_millis(GRACE_MS - 100), "not before its time");
    assert_eq!(site.publish(&site.key.secret).await.1, "EXPIRED_API_KEY");
    assert_eq!(site.publish(&new).await.0, StatusCode::OK);
    assert_eq!(closed(&mut socket.socket).await, Some(4401));
    assert!(began.elapsed() < Duration::from_millis(GRACE_MS) + AT_ONCE + AT_ONCE);
}

#[tokio::test]
async fn connections_are_listed_and_closed() {
    let site = Site::new().await;
    let (mut socket, mut stream) = (site.socket().await, site.stream().await);
    let listed = site.admin.connections(&site.room).await;
    let mut protocols: Vec<&str> =
        listed.iter().filter_map(|open| open["protocol"].as_str()).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["sse", "websocket"]);
    for open in &listed {
        assert_eq!(open["project"], site.room.project, "{open}");
        assert_eq!(open["subscriptions"], 1, "{open}");
        let path = format!("/v1/connections/{}", open["id"]);
        site.admin.done(Method::DELETE, &path, &Value::Null).await;
    }
    assert_eq!(closed(&mut socket.socket).await, Some(1013));
    assert_eq!(ended(&mut stream).await, "CLOSED_BY_OPERATOR");
    let gone = async {
        while !site.admin.connections(&site.room).await.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("the end of the list", gone).await;
}

#[tokio::test]
async fn use_is_counted() {
    const RECORDS: u64 = 25;
    let site = Site::new().await;
    let (mut socket, mut stream) = (site.socket().await, site.stream().await);
    for _ in 0..RECORDS {
        assert_eq!(site.publish(&site.key.secret).await.0, StatusCode::OK);
    }
    for _ in 0..RECORDS {
        socket.record().await;
        stream.record().await;
    }
    let counted = async {
        while site.admin.used(&site.room, "events_delivered").await < 2 * RECORDS {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("the counting", counted).await;
    assert_eq!(site.admin.used(&site.room, "events_published").await, RECORDS);
    assert_eq!(site.admin.used(&site.room, "events_delivered").await, 2 * RECORDS);
    assert!(site.admin.used(&site.room, "api_requests").await >= RECORDS);
}

/// A burst above the rate is told its limit and how long to wait, in the standard headers.
#[tokio::test]
async fn throttling_shows_in_the_standard_headers() {
    let site = Site::new().await;
    let limited = json!({ "name": "few", "scopes": EVENT_SCOPES, "rate_per_second": 3 });
    let key = site.admin.key_as(&site.room, &limited).await;
    let view = Sent::json("news", "key", json!(1)).view();
    let client = Http::new();
    let url = format!("{}/v1/events", site.url());
    let throttled = async {
        loop {
            let request = client.post(&url).bearer_auth(&key.secret).json(&view);
            let answer = request.send().await.expect("an answer");
            let header = |name: &str| {
                let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
                value.and_then(|value| value.parse::<u64>().ok())
            };
            assert_eq!(header("ratelimit-limit"), Some(3), "{:?}", answer.headers());
            assert!(header("ratelimit-remaining").is_some_and(|left| left <= 3));
            assert!(header("ratelimit-reset").is_some());
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                assert!(header("retry-after").is_some_and(|seconds| seconds >= 1));
                return;
            }
        }
    };
    within("a throttled answer", throttled).await;
}
