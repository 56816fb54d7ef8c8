//! What subscriptions may ask for beyond a filter, over real sockets: conditions, conflation,
//! frames of several records, differences, credits, and news of lost history.

use crate::stand::admin::{Key, Room};
use crate::stand::shared::{self, Shared};
use crate::stand::sse::Stream;
use crate::stand::ws::Client;
use crate::stand::{binary_frames, ws};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::SinkExt;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Message;

/// A project of its own, a publisher and a follower.
struct Scene {
    shared: Arc<Shared>,
    room: Room,
    key: Key,
    publisher: Client,
    follower: Client,
}

impl Scene {
    async fn open() -> Scene {
        let shared = shared::server();
        let (room, key) = shared.server.admin().furnished().await;
        let publisher = Client::open(&shared.server.url, &key.secret).await;
        let follower = Client::open(&shared.server.url, &key.secret).await;
        Scene { shared, room, key, publisher, follower }
    }

    async fn publish(&mut self, key: &str, data: Value) {
        let record = json!({ "type": "publish", "topic": "t", "key": key, "data": data });
        self.publisher.done(record).await;
    }

    /// All in one request, so that they are told together.
    async fn publish_all(&mut self, records: &[(&str, Value)]) {
        let view = |(key, data): &(&str, Value)| json!({ "topic": "t", "key": key, "data": data });
        let records: Vec<Value> = records.iter().map(view).collect();
        self.publisher.done(json!({ "type": "publish", "records": records })).await;
    }

    /// Subscribes to `t` with more members, and waits until it is live.
    async fn follow(&mut self, more: Value) {
        self.ask(more).await;
        while self.next().await["type"] != "caught_up" {}
    }

    async fn ask(&mut self, more: Value) {
        let mut request = json!({ "type": "subscribe", "sub": 1, "filter": "t" });
        for (name, value) in more.as_object().expect("members") {
            request[name] = value.clone();
        }
        self.follower.done(request).await;
    }

    async fn next(&mut self) -> Value {
        self.follower.next().await.expect("the session goes on")
    }

    /// The next frame of this type; the others are passed over.
    async fn wait(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }
}

#[tokio::test]
async fn a_condition_chooses_records() {
    let mut scene = Scene::open().await;
    scene.publish("a", json!({ "price": 5, "side": "buy" })).await;
    scene.publish("b", json!({ "price": 50, "side": "sell" })).await;
    let wanted = "data.price >= 10 and not data.side = 'buy'";
    scene.ask(json!({ "from": "earliest", "where": wanted })).await;
    assert_eq!(scene.wait("record").await["data"]["price"], 50);
    let progress = scene.wait("progress").await;
    assert!(progress["cursor"].is_string(), "{progress}");
    scene.wait("caught_up").await;
    for price in [9, 70, 8, 71] {
        scene.publish("c", json!({ "price": price, "side": "sell" })).await;
    }
    for price in [70, 71] {
        assert_eq!(scene.wait("record").await["data"]["price"], price);
    }
    let refused = json!({ "type": "subscribe", "sub": 2, "filter": "t", "where": "data.x =" });
    let answer = scene.follower.call(refused).await.expect("an answer");
    assert_eq!(answer["error"]["code"], "INVALID_FILTER");
    assert_eq!(answer["error"]["details"]["field"], "where");
    // The same over Server-Sent Events.
    let query = "topics=t&from=earliest&where=data.price%20%3E%2070";
    let mut stream = Stream::open(&scene.shared.server.url, &scene.key.secret, query).await;
    assert_eq!(stream.record().await.data()["price"], 71);
}

#[tokio::test]
async fn conflation_sends_the_newest_of_each_key_in_the_end() {
    let mut scene = Scene::open().await;
    scene.follow(json!({ "conflate_ms": 300 })).await;
    const RECORDS: u64 = 90;
    for number in 1..=RECORDS {
        let key = ["a", "b", "c"][number as usize % 3];
        scene.publish(key, number.into()).await;
    }
    let mut newest: HashMap<String, u64> = HashMap::new();
    let (mut frames, mut told) = (0, 0);
    while newest.values().filter(|value| **value > RECORDS - 3).count() < 3 {
        let record = scene.wait("record").await;
        let value = record["data"].as_u64().expect("a number");
        let before = newest.insert(record["key"].as_str().expect("a key").to_owned(), value);
        assert!(before.is_none_or(|before| before < value), "order is kept");
        told += 1 + record["left_out"].as_u64().unwrap_or(0);
        frames += 1;
    }
    assert_eq!(told, RECORDS, "each record was sent or counted");
    assert!(frames < RECORDS / 2, "{frames} of {RECORDS}");
}

#[tokio::test]
async fn several_records_come_in_one_frame() {
    let mut scene = Scene::open().await;
    scene.follow(json!({ "batch": true })).await;
    let records: Vec<(&str, Value)> = (0..20).map(|number| ("k", json!(number))).collect();
    scene.publish_all(&records).await;
    let mut got: Vec<Value> = Vec::new();
    let mut frames = 0;
    while got.len() < records.len() {
        let frame = scene.wait("records").await;
        let records = frame["records"].as_array().expect("a list");
        got.extend(records.iter().map(|record| record["data"].clone()));
        frames += 1;
    }
    assert_eq!(got, (0..20).map(|number| json!(number)).collect::<Vec<_>>());
    assert!(frames <= 5, "{frames} frames");
}

#[tokio::test]
async fn several_records_come_in_one_binary_frame() {
    let mut scene = Scene::open().await;
    let url = &scene.shared.server.url;
    let secret = Some(scene.key.secret.as_str());
    let mut socket = ws::dial(url, secret, ws::BINARY).await.expect("a socket opens");
    // Connected; then subscribe 2 as 1 with batches (flag 32), topic `t`, latest, at once.
    let subscribe = vec![3, 2, 1, 32, 1, b't', 0, 0];
    assert!(matches!(ws::bring(&mut socket).await, ws::Brought::Message(_)));
    socket.send(Message::binary(subscribe)).await.expect("sent");
    loop {
        let ws::Brought::Message(frame) = ws::bring(&mut socket).await else { panic!("closed") };
        if frame[0] == 11 {
            break;
        }
    }
    scene.publish_all(&[("k", json!(1)), ("k", json!(2))]).await;
    let ws::Brought::Message(frame) = ws::bring(&mut socket).await else { panic!("closed") };
    let mut head = vec![16, 1, 2, 0];
    binary_frames::bytes(&mut head, b"t");
    assert!(frame.starts_with(&head), "{frame:?}");
}

/// A client of differences: the value last got of each key, byte for byte.
#[derive(Default)]
struct Reader(HashMap<String, (u64, Vec<u8>)>);

impl Reader {
    fn read(&mut self, record: &Value) -> Value {
        let key = record["key"].as_str().expect("a key").to_owned();
        let value = match record["delta_base64"].as_str() {
            None => record["data_text"].as_str().expect("a whole value").as_bytes().to_vec(),
            Some(patch) => {
                let (offset, base) = self.0.get(&key).expect("a base");
                assert_eq!(record["base"], *offset);
                let patch = STANDARD.decode(patch).expect("base64");
                stdx::patch::apply(base, &patch, 1 << 20).expect("a patch of its base")
            }
        };
        let read = serde_json::from_slice(&value).expect("JSON");
        self.0.insert(key, (record["offset"].as_u64().expect("an offset"), value));
        read
    }
}

#[tokio::test]
async fn differences_bring_every_value() {
    let mut scene = Scene::open().await;
    let path = scene.room.path("topics/t");
    let admin = scene.shared.server.admin();
    admin.done(Method::PUT, &path, &json!({ "delta": true })).await;
    let topic = admin.done(Method::GET, &path, &Value::Null).await;
    assert_eq!(topic["delta"], true, "{topic}");
    scene.follow(json!({ "delta": true })).await;
    let value = |number: u32| {
        json!({
            "symbol": "MSTM", "venue": "XETRA", "bid": number, "ask": number + 2,
            "depth": (0..20).map(|level| json!({ "level": level, "size": 100 })).collect::<Value>(),
        })
    };
    let mut reader = Reader::default();
    let (mut wholes, mut sizes) = (0, 0);
    for number in 0..20 {
        let key = if number % 4 == 0 { "b" } else { "a" };
        scene.publish(key, value(number)).await;
        let record = scene.wait("record").await;
        wholes += usize::from(record["data_text"].is_string());
        sizes += record["delta_base64"].as_str().map_or(0, str::len);
        assert_eq!(reader.read(&record), value(number));
    }
    assert_eq!(wholes, 2, "the first of each key");
    assert!(sizes < 18 * 100, "{sizes} bytes for 18 differences");
}

#[tokio::test]
async fn credits_hold_a_subscription_in_the_log() {
    let mut scene = Scene::open().await;
    scene.publish_all(&[("k", json!(0)), ("k", json!(1)), ("k", json!(2))]).await;
    scene.ask(json!({ "from": "earliest", "credits": 2 })).await;
    for number in 0..2 {
        assert_eq!(scene.wait("record").await["data"], number);
    }
    // A ping overtakes nothing that was sent: no third record is on its way.
    scene.follower.done(json!({ "type": "ping" })).await;
    let credit = json!({ "type": "credit", "sub": 1, "add": 3 });
    let answer = scene.follower.done(credit.clone()).await;
    assert_eq!(answer["type"], "credited", "{answer}");
    for number in 3..10 {
        scene.publish("k", number.into()).await;
    }
    for number in 2..5 {
        assert_eq!(scene.wait("record").await["data"], number);
    }
    scene.follower.done(json!({ "type": "credit", "sub": 1, "add": 1_000 })).await;
    for number in 5..10 {
        assert_eq!(scene.wait("record").await["data"], number);
    }
    let nobody = json!({ "type": "credit", "sub": 7, "add": 3 });
    let refused = scene.follower.call(nobody).await.expect("an answer");
    assert_eq!(refused["error"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn a_reader_of_a_topic_made_anew_is_told() {
    let mut scene = Scene::open().await;
    scene.publish("k", json!("old")).await;
    scene.ask(json!({ "from": "earliest" })).await;
    let cursor = scene.wait("record").await["cursor"].clone();
    let path = scene.room.path("topics/t");
    scene.shared.server.admin().done(Method::DELETE, &path, &Value::Null).await;
    scene.wait("ended").await;
    scene.publish("k", json!("new")).await;
    scene.ask(json!({ "from": cursor.clone() })).await;
    let gap = scene.wait("gap").await;
    assert_eq!((&gap["reason"], &gap["from"]), (&json!("topic_gone"), &json!(1)), "{gap}");
    assert_eq!(scene.wait("record").await["data"], "new");
    let cursor = cursor.as_str().expect("a cursor");
    let url = format!("{}/v1/topics/t/records?from={cursor}", scene.shared.server.url);
    let answer = reqwest::Client::new().get(url).bearer_auth(&scene.key.secret).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 409);
    let body: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    assert_eq!(body["error"]["code"], "HISTORY_LOST", "{body}");
}
