//! Published again after kill -9: the log knows the ids, an idempotency key included, and a
//! transaction is there whole or not at all.

use crate::stand::admin::Key;
use crate::stand::server::{Home, Server};
use crate::stand::within;
use reqwest::Client;
use serde_json::{Value, json};

const PARTITIONS: u32 = 4;

async fn post(server: &Server, key: &Key, path: &str, once: Option<&str>, body: &Value) -> Value {
    let mut request = Client::new().post(format!("{}{path}", server.url)).bearer_auth(&key.secret);
    if let Some(once) = once {
        request = request.header("idempotency-key", once);
    }
    let answer = within("a publish", request.json(body).send()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

async fn stored(server: &Server, key: &Key, topic: &str) -> Vec<Value> {
    let url = format!("{}/v1/topics/{topic}/records?from=earliest&limit=1000", server.url);
    let answer = Client::new().get(url).bearer_auth(&key.secret).send().await.expect("an answer");
    let page: Value = answer.json().await.expect("JSON");
    page["records"].as_array().expect("records").clone()
}

/// The places in an answer, without what tells a first answer from a repeated one.
fn places(answer: &Value) -> Vec<(Value, Value, Value)> {
    let places = answer.as_array().into_iter().flatten();
    let place =
        |one: &Value| (one["topic"].clone(), one["partition"].clone(), one["offset"].clone());
    places.map(place).collect()
}

fn all_duplicates(answer: &Value) -> bool {
    let mut places = answer.as_array().into_iter().flatten();
    places.all(|one| one["duplicate"] == true)
}

#[tokio::test]
async fn a_retry_after_kill_9_stores_nothing_again() {
    let home = Home::new(&json!({}));
    let mut server = home.start();
    let admin = server.admin();
    let (room, key) = admin.furnished().await;
    admin.topic(&room, "orders", PARTITIONS).await;

    let with_ids: Vec<Value> = (0..20)
        .map(|n| {
            let (key, id) = (format!("k{n}"), format!("id{n}"));
            json!({ "topic": "orders", "key": key, "id": id, "data": n })
        })
        .collect();
    let with_ids = Value::from(with_ids);
    let without_ids = json!([
        { "topic": "orders", "key": "a", "data": "a" },
        { "topic": "orders", "key": "b", "data": "b" },
    ]);
    let first = post(&server, &key, "/v1/events", None, &with_ids).await;
    let keyed = post(&server, &key, "/v1/events", Some("retry-1"), &without_ids).await;
    assert!(!all_duplicates(&first) && !all_duplicates(&keyed));

    for round in 0..2 {
        server.kill();
        server = home.start();
        let again = post(&server, &key, "/v1/events", None, &with_ids).await;
        assert_eq!(places(&again), places(&first), "round {round}");
        assert!(all_duplicates(&again), "round {round}");
        let again = post(&server, &key, "/v1/events", Some("retry-1"), &without_ids).await;
        assert_eq!(places(&again), places(&keyed), "round {round}");
        // The same id under another key, which belongs to another partition.
        let moved = json!([{ "topic": "orders", "key": "elsewhere", "id": "id3", "data": 3 }]);
        let moved = post(&server, &key, "/v1/events", None, &moved).await;
        assert_eq!(places(&moved)[0], places(&first)[3], "round {round}");
    }
    assert_eq!(stored(&server, &key, "orders").await.len(), 22);
    server.stop();
}

#[tokio::test]
async fn a_transaction_is_there_after_kill_9() {
    let home = Home::new(&json!({}));
    let mut server = home.start();
    let admin = server.admin();
    let (room, key) = admin.furnished().await;
    admin.topic(&room, "orders", PARTITIONS).await;
    admin.topic(&room, "audit", 1).await;
    let mut acked = Vec::new();
    for n in 0..10 {
        let records = json!({ "records": [
            { "topic": "orders", "key": format!("k{n}"), "data": n },
            { "topic": "audit", "data": n },
            { "topic": "orders", "key": format!("l{n}"), "data": n },
        ] });
        let answer = post(&server, &key, "/v1/transactions", None, &records).await;
        assert_eq!(answer["records"].as_array().map(Vec::len), Some(3));
        acked.push(n);
    }
    server.kill();
    server = home.start();
    let numbers = |records: Vec<Value>| {
        let mut numbers: Vec<i64> =
            records.iter().map(|one| one["data"].as_i64().expect("a number")).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers(stored(&server, &key, "audit").await), acked);
    let twice: Vec<i64> = acked.iter().flat_map(|&n| [n, n]).collect();
    assert_eq!(numbers(stored(&server, &key, "orders").await), twice);
    server.stop();
}
