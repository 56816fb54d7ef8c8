//! Durable consumers over the real sockets: SIGKILL while several work, and the way of a record
//! that fails, by HTTP and from the terminal.

use crate::stand::admin::Key;
use crate::stand::server::{Home, Server};
use crate::stand::{cli, sse, within, ws};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const TOPIC: &str = "jobs";
const RECORDS: u64 = 400;
const WORKERS: usize = 4;
/// Kills before the rest is worked off.
const ROUNDS: u64 = 6;

/// Calls of one consumer.
struct Consumer {
    http: Client,
    secret: String,
    name: &'static str,
}

impl Consumer {
    fn new(key: &Key, name: &'static str) -> Consumer {
        Consumer { http: Client::new(), secret: key.secret.clone(), name }
    }

    /// `None` when nobody answers.
    async fn try_call(
        &self,
        url: &str,
        method: Method,
        rest: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let url = format!("{url}/v1/topics/{TOPIC}/consumers/{}{rest}", self.name);
        let request = self.http.request(method, url).bearer_auth(&self.secret).json(body);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }

    async fn call(&self, server: &Server, method: Method, rest: &str, body: &Value) -> Value {
        let called = self.try_call(&server.url, method, rest, body);
        let (status, answer) = within("a call", called).await.expect("an answer");
        assert!((200..300).contains(&status), "{rest}: {status} {answer}");
        answer
    }
}

/// Everything that is known about the records.
#[derive(Default)]
struct Known {
    acknowledged: BTreeSet<u64>,
    /// Settled without an answer: done or not.
    uncertain: BTreeSet<u64>,
    committed: BTreeMap<u64, u64>,
}

fn number(delivery: &Value) -> u64 {
    delivery["record"]["data"]["n"].as_u64().expect("a number")
}

async fn started(config: &Value) -> (Home, Server, Key) {
    let home = Home::new(&json!({ "log": { "extent_mib": 1 } }));
    let server = home.start();
    let admin = server.admin();
    let room = admin.room(&json!({})).await;
    let scopes = ["events:publish", "events:subscribe", "admin:write"];
    let key = admin.key(&room, &scopes).await;
    admin.topic(&room, TOPIC, 2).await;
    let consumer = Consumer::new(&key, "worker");
    consumer.call(&server, Method::PUT, "", config).await;
    (home, server, key)
}

async fn publish(server: &Server, key: &Key, numbers: std::ops::Range<u64>) {
    let view = |n: u64| json!({"topic": TOPIC, "key": format!("k{}", n % 9), "data": {"n": n}});
    let views: Vec<Value> = numbers.map(view).collect();
    let request = Client::new().post(format!("{}/v1/events", server.url)).json(&views);
    let answer = within("a publish", request.bearer_auth(&key.secret).send()).await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

/// Fetches and acknowledges until nobody answers or nothing is left.
async fn work(url: &str, key: &Key, known: &std::sync::Mutex<Known>) {
    let consumer = Consumer::new(key, "worker");
    loop {
        let fetch = json!({"records_max": 7, "wait_ms": 300});
        let fetched = consumer.try_call(url, Method::POST, "/fetch", &fetch).await;
        let Some((200, answer)) = fetched else { return };
        let deliveries = answer["deliveries"].as_array().expect("deliveries").clone();
        if deliveries.is_empty() {
            return;
        }
        {
            let mut known = known.lock().expect("no panic while held");
            for delivery in &deliveries {
                let n = number(delivery);
                assert!(!known.acknowledged.contains(&n), "{n} was acknowledged: {delivery}");
                known.uncertain.insert(n);
            }
        }
        let settle = |one: &Value| json!({"token": one["token"], "action": "acknowledge"});
        let body = json!({"settlements": deliveries.iter().map(settle).collect::<Vec<_>>()});
        let settled = consumer.try_call(url, Method::POST, "/settle", &body).await;
        let Some((200, _)) = settled else { return };
        known
            .lock()
            .expect("no panic while held")
            .acknowledged
            .extend(deliveries.iter().map(number));
    }
}

#[tokio::test]
async fn acknowledged_records_never_come_again_whatever_is_killed() {
    let config = json!({"ack_wait_ms": 400, "deliveries_max": 1000, "backoff": {"delays_ms": [1]}});
    let (home, mut server, key) = started(&config).await;
    publish(&server, &key, 0..RECORDS).await;
    let known = std::sync::Mutex::new(Known::default());
    for round in 0..ROUNDS {
        let url = server.url.clone();
        let workers = (0..WORKERS).map(|_| work(&url, &key, &known));
        let killing = async {
            tokio::time::sleep(Duration::from_millis(40 + 35 * round)).await;
            server.kill();
        };
        tokio::join!(futures_util::future::join_all(workers), killing);
        server = home.start();
        let info = Consumer::new(&key, "worker").call(&server, Method::GET, "", &json!({})).await;
        let mut known = known.lock().expect("no panic while held");
        for at in info["partitions"].as_array().expect("partitions") {
            let partition = at["partition"].as_u64().expect("a number");
            let committed = at["committed"].as_u64().expect("a number");
            let before = known.committed.insert(partition, committed).unwrap_or(0);
            assert!(committed >= before, "{partition}: {committed} after {before}");
        }
    }
    let url = server.url.clone();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let consumer = Consumer::new(&key, "worker");
    loop {
        work(&url, &key, &known).await;
        let info = consumer.call(&server, Method::GET, "", &json!({})).await;
        if info["lag"] == 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{info}");
    }
    let known = known.into_inner().expect("no panic while held");
    let missing: Vec<u64> = (0..RECORDS).filter(|n| !known.uncertain.contains(n)).collect();
    assert!(missing.is_empty(), "never delivered: {missing:?}");
}

#[tokio::test]
async fn a_record_that_fails_becomes_a_dead_letter_and_comes_back() {
    let config = json!({"deliveries_max": 2, "backoff": {"delays_ms": [10]}});
    let (home, mut server, key) = started(&config).await;
    publish(&server, &key, 0..2).await;
    let consumer = Consumer::new(&key, "worker");
    let mut is_dead = false;
    while !is_dead {
        let fetch = json!({"wait_ms": 5_000});
        let answer = consumer.call(&server, Method::POST, "/fetch", &fetch).await;
        for delivery in answer["deliveries"].as_array().expect("deliveries") {
            let action = if number(delivery) == 1 { "retry" } else { "acknowledge" };
            let mut one = json!({"token": delivery["token"], "action": action});
            if action == "retry" {
                one["reason"] = json!("no such address");
            }
            let body = json!({"settlements": [one]});
            let settled = consumer.call(&server, Method::POST, "/settle", &body).await;
            is_dead |= settled["outcomes"][0]["outcome"] == "dead";
        }
    }
    server.kill();
    server = home.start();
    let page = consumer.call(&server, Method::GET, "/dead-letters", &json!({})).await;
    let letter = &page["dead_letters"][0];
    assert_eq!(letter["reason"], "no such address");
    assert_eq!((&letter["deliveries"], &letter["record"]["data"]["n"]), (&json!(2), &json!(1)));
    assert_eq!(letter["original"]["topic"], TOPIC);
    assert_eq!(page["dead_letters"].as_array().map(Vec::len), Some(1));
    // From the terminal: looked at, and delivered to this consumer once more.
    let run = |arguments: &[&str]| {
        let output = cli::run(&server.url, &key.secret, arguments);
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(run(&["dead-letters", "list", TOPIC, "worker"]).contains("no such address"));
    let replayed = run(&["dead-letters", "replay", TOPIC, "worker", "--to", "consumer"]);
    assert_eq!(replayed.trim(), "replayed 1");
    let fetched = run(&["consumers", "fetch", TOPIC, "worker", "--acknowledge"]);
    assert!(fetched.contains("\"n\":1"), "{fetched}");
    assert_eq!(run(&["dead-letters", "purge", TOPIC, "worker", "--all"]).trim(), "purged 0");
    let info: Value =
        serde_json::from_str(&run(&["consumers", "show", TOPIC, "worker"])).expect("JSON");
    assert_eq!((&info["lag"], &info["dead_letters"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_committed() {
    let (home, mut server, key) = started(&json!({})).await;
    publish(&server, &key, 0..40).await;
    let consumer = Consumer::new(&key, "worker");
    let query = format!("topics={TOPIC}&from=consumer:worker");
    let mut stream = sse::Stream::open(&server.url, &key.secret, &query).await;
    let (mut done, mut cursors) = (BTreeSet::new(), BTreeMap::new());
    for _ in 0..25 {
        let got = stream.record().await;
        done.insert(got.data()["n"].as_u64().expect("a number"));
        cursors.insert(got.partition, got.cursor);
    }
    let body = json!({"cursors": cursors.values().collect::<Vec<_>>()});
    consumer.call(&server, Method::POST, "/commit", &body).await;
    server.kill();
    server = home.start();
    let mut socket = ws::Client::open(&server.url, &key.secret).await;
    socket.subscribe(1, TOPIC, json!("consumer:worker")).await;
    for _ in 25..40 {
        let n = socket.record().await.data()["n"].as_u64().expect("a number");
        assert!(done.insert(n), "{n} was committed");
    }
    assert_eq!(done, (0..40).collect());
    let poll = cli::run(&server.url, &key.secret, &["consumers", "show", TOPIC, "worker"]);
    let info: Value = serde_json::from_slice(&poll.stdout).expect("JSON");
    assert_eq!(info["lag"], 15);
}
