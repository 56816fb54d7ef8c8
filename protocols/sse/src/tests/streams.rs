//! What a stream brings: history, live records, resuming, and its own notices.

use super::{Client, Stage};
use crate::Config;
use serde_json::json;
use types::{Record, TopicConfig, TopicName};

/// Values of the next `count` records.
async fn values(client: &mut Client, count: usize) -> Vec<i64> {
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(client.record().await["data"].as_i64().unwrap());
    }
    values
}

#[tokio::test]
async fn history_then_live() {
    let stage = Stage::new();
    for n in 0..3 {
        stage.append("t", Some("k"), &n.to_string()).await;
    }
    let mut client = stage.open("topics=t&from=earliest").await;
    assert_eq!(client.status, 200);
    assert_eq!(client.headers["content-type"], "text/event-stream");
    assert_eq!(client.headers["cache-control"], "no-store, no-transform");
    assert_eq!(client.headers["x-request-id"], "req-1");
    assert_eq!(values(&mut client, 3).await, [0, 1, 2]);
    let caught_up = client.next().await.unwrap();
    assert_eq!(
        (caught_up.name.as_str(), caught_up.json()),
        ("caught_up", json!({"filter": "t/#"}))
    );
    assert_eq!(client.parser.retry_ms, Some(2_000));
    stage.append("t", Some("k"), "3").await;
    let live = client.next().await.unwrap();
    assert_eq!(live.name, "message");
    let record = live.json();
    assert_eq!(
        (&record["topic"], &record["key"], &record["data"]),
        (&json!("t"), &json!("k"), &json!(3))
    );
}

#[tokio::test]
async fn any_event_id_resumes_right_after_it() {
    let stage = Stage::new();
    stage.hub.topic(stage.place, "u", TopicConfig::default());
    // Keys spread over both partitions of one topic, and a second topic.
    for n in 0..12 {
        let topic = if n % 3 == 0 { "u" } else { "t" };
        stage.append(topic, Some(&format!("k{n}")), &n.to_string()).await;
    }
    let mut client = stage.open("topics=t,u&from=earliest").await;
    let mut order = Vec::new();
    let mut ids = Vec::new();
    while order.len() < 12 {
        let seen = client.next().await.unwrap();
        if seen.name == "message" {
            order.push(seen.json()["data"].as_i64().unwrap());
            ids.push(seen.last_event_id);
        }
    }
    for (index, id) in ids.iter().enumerate() {
        let headers = [("x-api-key", stage.key.as_str()), ("last-event-id", id.as_str())];
        let mut again = stage.open_with("topics=t,u&from=earliest", &headers).await;
        let mut rest = values(&mut again, 12 - index - 1).await;
        rest.sort_unstable();
        let mut expected = order[index + 1..].to_vec();
        expected.sort_unstable();
        assert_eq!(rest, expected, "after event {index}");
    }
}

#[tokio::test]
async fn a_client_that_saw_no_record_resumes_as_well() {
    let stage = Stage::new();
    stage.hub.topic(stage.place, "u", TopicConfig::default());
    stage.append("t", None, "0").await;
    let mut client = stage.open("topics=t,u").await;
    client.more().await.unwrap();
    let id = client.parser.last_event_id.clone();
    assert!(id.contains(','), "one cursor per subscription");
    drop(client);
    stage.append("t", None, "1").await;
    stage.append("u", None, "2").await;
    let headers = [("x-api-key", stage.key.as_str()), ("last-event-id", id.as_str())];
    let mut again = stage.open_with("topics=t,u", &headers).await;
    let mut found = values(&mut again, 2).await;
    found.sort_unstable();
    assert_eq!(found, [1, 2], "what came in between, and nothing before");
}

#[tokio::test]
async fn filters_latest_and_own_records() {
    let stage = Stage::new();
    for (key, value) in [("eu/1", "1"), ("us/1", "2"), ("eu/2", "3")] {
        stage.append("t", Some(key), value).await;
    }
    let mut wild = stage.open("filter=t/eu/%2B&from=earliest").await;
    let mut found = values(&mut wild, 2).await;
    found.sort_unstable();
    assert_eq!(found, [1, 3]);
    let mut latest = stage.open("filter=t/eu/1&latest=true").await;
    assert_eq!(values(&mut latest, 1).await, [1]);
    stage.append("t", Some("eu/1"), "4").await;
    assert_eq!(values(&mut latest, 1).await, [4]);
    let other = stage.hub.key(stage.place);
    let mut foreign =
        stage.open_with("topics=t&from=earliest&exclude_own=true", &[("x-api-key", &other)]).await;
    assert_eq!(values(&mut foreign, 4).await.len(), 4);
    let mut own = stage.open("topics=t&from=earliest&exclude_own=true").await;
    assert_eq!(own.next().await.unwrap().name, "caught_up");
}

#[tokio::test]
async fn the_credential_may_stand_in_the_url() {
    let stage = Stage::new();
    stage.append("t", None, "1").await;
    let query = format!("topics=t&from=earliest&access_token={}", stage.key);
    let mut client = stage.open_with(&query, &[]).await;
    assert_eq!(values(&mut client, 1).await, [1]);
}

#[tokio::test]
async fn a_replay_comes_in_few_writes() {
    let stage = Stage::new();
    let record =
        |n: usize| Record { value: Some(n.to_string().into_bytes().into()), ..Record::default() };
    stage.append_all("t", (0..5_000).map(record).collect()).await;
    let mut client = stage.open("topics=t&from=earliest").await;
    let mut found = values(&mut client, 5_000).await;
    found.sort_unstable();
    assert!(found.into_iter().eq(0..5_000));
    assert!(client.frames < 250, "{} writes for 5000 records", client.frames);
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives() {
    let stage = Stage::with(Config { heartbeat_ms: 5, ..Config::default() });
    let mut client = stage.open("topics=t").await;
    while client.comments < 3 {
        client.more().await.unwrap();
    }
    assert_eq!(client.next_name().await, "caught_up");
}

#[tokio::test]
async fn a_gap_is_told_and_passed_by_the_id() {
    let stage = Stage::new();
    stage.hub.topic(stage.place, "one", TopicConfig::default());
    for n in 0..4 {
        stage.append("one", None, &n.to_string()).await;
    }
    let mut first = stage.open("topics=one&from=earliest").await;
    let id = first.next().await.unwrap().last_event_id;
    drop(first);
    let headers = [("x-api-key", stage.key.as_str()), ("last-event-id", id.as_str())];
    stage.hub.trim(stage.place, &TopicName::parse("one").unwrap(), 0, 4);
    stage.append("one", None, "4").await;
    let mut client = stage.open_with("topics=one", &headers).await;
    let gap = client.notice().await;
    assert_eq!(gap.name, "gap");
    let told = gap.json();
    assert_eq!((&told["partition"], &told["to"]), (&json!(0), &json!(4)));
    assert!(told["topic_id"].is_string());
    let after = client.next().await.unwrap();
    assert_eq!((after.name.as_str(), &after.json()["data"]), ("message", &json!(4)));
    drop(client);
    stage.append("one", None, "5").await;
    let headers = [("x-api-key", stage.key.as_str()), ("last-event-id", &after.last_event_id)];
    let mut again = stage.open_with("topics=one", &headers).await;
    assert_eq!(again.next().await.unwrap().name, "message");
}

#[tokio::test]
async fn a_deleted_topic_ends_its_part_and_the_last_part_ends_the_stream() {
    let stage = Stage::new();
    let admin = stage.hub.admin_key(stage.place);
    let admin = stage.hub.identity(&admin);
    stage.hub.topic(stage.place, "u", TopicConfig::default());
    let mut client = stage.open("topics=t,u").await;
    for (topic, filter) in [("t", "t/#"), ("u", "u/#")] {
        let name = TopicName::parse(topic).unwrap();
        port::Hub::delete_topic(&stage.hub, &admin, &name).await.unwrap();
        let ended = loop {
            let seen = client.notice().await;
            if seen.name != "caught_up" {
                break seen;
            }
        };
        assert_eq!(ended.name, "ended");
        assert_eq!(ended.json()["filter"], filter);
        assert!(ended.json()["error"]["code"].is_string());
    }
    assert_eq!(client.next().await, None);
    assert_eq!(stage.hub.follower_count(stage.place), 0);
}

impl Client {
    async fn next_name(&mut self) -> String {
        self.next().await.unwrap().name
    }
}
