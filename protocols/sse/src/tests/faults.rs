//! What is refused before a stream begins, and how one ends.

use super::Stage;
use crate::{Config, ServerSentEvents};
use port::{Live, Mounts, Protocol};
use testkit::memory_hub::KeySpec;
use types::{Limits, Scope, TopicConfig};

#[tokio::test]
async fn malformed_requests_are_refused_by_field() {
    let stage = Stage::new();
    let many = vec!["t"; 513].join(",");
    let cases = [
        ("", "INVALID_REQUEST", "topics"),
        ("topics=", "INVALID_TOPIC", "topics"),
        ("topics=t,", "INVALID_TOPIC", "topics"),
        ("topics=t/k", "INVALID_TOPIC", "topics"),
        (&format!("topics={many}"), "INVALID_REQUEST", "topics"),
        ("filter=t/a%23", "INVALID_FILTER", "filter"),
        ("topics=t&filter=t/k", "INVALID_REQUEST", "filter"),
        ("topics=t&filter=%2B/k", "INVALID_REQUEST", "filter"),
        ("topic=t", "UNKNOWN_FIELD", "topic"),
        ("topics=t&from=offset:x", "INVALID_REQUEST", "from"),
        ("topics=t&from=forged", "INVALID_CURSOR", "from"),
        ("topics=t&latest=yes", "INVALID_REQUEST", "latest"),
    ];
    for (query, code, field) in cases {
        let client = stage.open(query).await;
        assert_eq!(client.status, 400, "{query}");
        assert_eq!(client.headers["content-type"], "application/json");
        let error = &client.refusal().await["error"];
        assert_eq!(
            (&error["code"], &error["details"]["field"]),
            (&code.into(), &field.into()),
            "{query}"
        );
        assert_eq!(error["request_id"], "req-1");
    }
    for id in ["forged", ",", "a,,b"] {
        let headers = [("x-api-key", stage.key.as_str()), ("last-event-id", id)];
        let client = stage.open_with("topics=t", &headers).await;
        assert_eq!(client.refusal().await["error"]["code"], "INVALID_CURSOR", "{id}");
    }
    // Whatever was refused has given its connection back.
    assert_eq!(stage.hub.connection_count(stage.place), 0);
    assert_eq!(stage.hub.follower_count(stage.place), 0);
}

#[tokio::test]
async fn strangers_and_keys_without_the_scope() {
    let stage = Stage::new();
    assert_eq!(stage.open_with("topics=t", &[]).await.status, 401);
    assert_eq!(stage.open_with("topics=t&access_token=ms_test_x", &[]).await.status, 401);
    let spec =
        KeySpec { scopes: [Scope::EventsPublish].into_iter().collect(), ..KeySpec::default() };
    let writer = stage.hub.key_with(stage.place, spec);
    let client = stage.open_with("topics=t", &[("x-api-key", &writer)]).await;
    assert_eq!(client.status, 403);
    assert_eq!(client.refusal().await["error"]["code"], "INSUFFICIENT_SCOPE");
}

#[tokio::test]
async fn another_project_sees_nothing_and_its_cursor_is_refused() {
    let stage = Stage::new();
    stage.append("t", None, "1").await;
    let mut own = stage.open("topics=t&from=earliest").await;
    own.record().await;
    let id = own.parser.last_event_id.clone();
    let other = stage.hub.place(Limits::default());
    stage.hub.topic(other, "t", TopicConfig::default());
    let key = stage.hub.key(other);
    let headers = [("x-api-key", key.as_str()), ("last-event-id", id.as_str())];
    let refused = stage.open_with("topics=t", &headers).await;
    assert_eq!(refused.refusal().await["error"]["code"], "INVALID_CURSOR");
    let mut foreign = stage.open_with("filter=%23&from=earliest", &[("x-api-key", &key)]).await;
    assert_eq!(foreign.next().await.unwrap().name, "caught_up");
}

#[tokio::test]
async fn a_drained_stream_says_when_to_come_back() {
    let stage = Stage::new();
    let mut client = stage.open("topics=t").await;
    assert_eq!(client.next().await.unwrap().name, "caught_up");
    stage.hub.drain();
    let advice = client.next().await.unwrap();
    assert_eq!(advice.name, "reconnect");
    assert_eq!(advice.json()["after_ms"], 1_000);
    let error = &advice.json()["error"];
    assert_eq!(
        (&error["code"], &error["details"]["retry_after_ms"]),
        (&"DRAINING".into(), &1_000.into())
    );
    assert_eq!(client.parser.retry_ms, Some(1_000));
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_revoked_key_ends_its_stream() {
    let stage = Stage::new();
    let key = stage.hub.key(stage.place);
    let mut client = stage.open_with("topics=t", &[("x-api-key", &key)]).await;
    stage.hub.revoke(&key);
    let closed = client.notice_after("caught_up").await;
    assert_eq!(closed.name, "closed");
    assert_eq!(closed.json()["error"]["code"], "INVALID_API_KEY");
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn too_many_partitions_for_an_id_are_refused() {
    let stage = Stage::new();
    let wide = TopicConfig { partitions: 255, ..TopicConfig::default() };
    stage.hub.topic(stage.place, "wide", wide);
    assert_eq!(stage.open("topics=wide").await.status, 200);
    let refused = stage.open("topics=wide,t").await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.refusal().await["error"]["details"]["field"], "filter");
}

#[tokio::test]
async fn with_many_partitions_each_write_ends_with_the_id() {
    let stage = Stage::new();
    let wide = TopicConfig { partitions: 100, ..TopicConfig::default() };
    stage.hub.topic(stage.place, "wide", wide);
    for n in 0..50 {
        stage.append("wide", Some(&n.to_string()), &n.to_string()).await;
    }
    let mut client = stage.open("topics=wide&from=earliest").await;
    for _ in 0..50 {
        client.record().await;
    }
    let id = client.parser.last_event_id.clone();
    stage.append("wide", None, "50").await;
    let headers = [("x-api-key", stage.key.as_str()), ("last-event-id", id.as_str())];
    let mut again = stage.open_with("topics=wide", &headers).await;
    assert_eq!(again.record().await["data"], 50);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for config in [
        Config { heartbeat_ms: 0, ..Config::default() },
        Config { frame_bytes_max: 0, ..Config::default() },
    ] {
        assert!(ServerSentEvents::mount(config, &mut Mounts::default()).is_err());
    }
}

impl super::Client {
    /// The first notice that is not of this name.
    async fn notice_after(&mut self, name: &str) -> super::Seen {
        loop {
            let seen = self.notice().await;
            if seen.name != name {
                return seen;
            }
        }
    }
}
