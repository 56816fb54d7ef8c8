//! A polite end and a new start on the same data: clients are told beforehand, everything is
//! there afterwards, and cursors of before go on without gap or duplicate.

use crate::stand::admin::Key;
use crate::stand::got::{Got, Sent};
use crate::stand::server::{Home, Server};
use crate::stand::sse::Stream;
use crate::stand::ws::Client;
use crate::stand::{cli, within, ws_binary};
use reqwest::Client as Http;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TOPIC: &str = "restarts";
const PARTITIONS: u32 = 3;
const BEFORE: u64 = 60;
const AFTER: u64 = 40;

async fn publish(server: &Server, key: &Key, numbers: std::ops::Range<u64>) {
    let sent = |n: u64| Sent::json(TOPIC, &format!("key/{}", n % 7), json!({ "n": n })).view();
    let views: Vec<Value> = numbers.map(sent).collect();
    let request = Http::new().post(format!("{}/v1/events", server.url));
    let request = request.bearer_auth(&key.secret).json(&views);
    let answer = within("a publish", request.send()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// All of a range, each once, in order within each partition.
fn check(what: &str, got: &[Got], expected: std::ops::Range<u64>) {
    let number = |got: &Got| got.data()["n"].as_u64().expect("a number");
    let mut numbers: Vec<u64> = got.iter().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, expected.collect::<Vec<_>>(), "{what}: each once");
    let mut last = BTreeMap::new();
    for record in got {
        let before = last.insert(record.partition, record.offset);
        assert!(before < Some(record.offset), "{what}: in order");
    }
}

async fn started() -> (Home, Server, Key) {
    let home = Home::new(&json!({}));
    let server = home.start();
    let admin = server.admin();
    let (room, key) = admin.furnished().await;
    admin.topic(&room, TOPIC, PARTITIONS).await;
    (home, server, key)
}

async fn poll_all(server: &Server, key: &Key) -> Vec<Got> {
    let url = format!("{}/v1/topics/{TOPIC}/records?from=earliest&limit=1000", server.url);
    let answer = Http::new().get(url).bearer_auth(&key.secret).send().await.expect("an answer");
    let page: Value = answer.json().await.expect("JSON");
    page["records"].as_array().expect("records").iter().map(Got::from_view).collect()
}

#[tokio::test]
async fn everything_is_there_over_every_face() {
    let (home, mut server, key) = started().await;
    publish(&server, &key, 0..BEFORE).await;
    server.stop();
    server = home.start();
    let (url, secret) = (server.url.clone(), key.secret.clone());
    check("poll", &poll_all(&server, &key).await, 0..BEFORE);

    let mut stream = Stream::open(&url, &secret, &format!("topics={TOPIC}&from=earliest")).await;
    let mut socket = Client::open(&url, &secret).await;
    socket.subscribe(1, TOPIC, "earliest".into()).await;
    let mut binary = ws_binary::Client::open(&url, &secret).await;
    binary.follow(TOPIC).await;
    let mut got = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..BEFORE {
        got[0].push(stream.record().await);
        got[1].push(socket.record().await);
        got[2].push(binary.record().await);
    }
    for (what, got) in ["SSE", "WebSocket", "binary WebSocket"].into_iter().zip(&got) {
        check(what, got, 0..BEFORE);
    }
    let limit = BEFORE.to_string();
    let arguments = ["follow", TOPIC, "--from", "earliest", "--json", "--limit", &limit];
    let output = cli::run(&url, &secret, &arguments);
    let lines = String::from_utf8(output.stdout).expect("text");
    let view = |line: &str| Got::from_view(&serde_json::from_str(line).expect("JSON"));
    check("terminal", &lines.lines().map(view).collect::<Vec<_>>(), 0..BEFORE);
    // The log goes on where it ended.
    publish(&server, &key, BEFORE..BEFORE + AFTER).await;
    check("poll", &poll_all(&server, &key).await, 0..BEFORE + AFTER);
}

/// Reads a few, and answers what a client of several partitions keeps.
async fn begin_socket(server: &Server, key: &Key, count: u64) -> (Client, Vec<Got>, Value) {
    let mut client = Client::open(&server.url, &key.secret).await;
    let start = client.subscribe(1, TOPIC, "earliest".into()).await;
    let mut got = Vec::new();
    let mut last = BTreeMap::new();
    for _ in 0..count {
        let record = client.record().await;
        last.insert(record.partition, record.cursor.clone());
        got.push(record);
    }
    let cursors: Vec<String> = std::iter::once(start).chain(last.into_values()).collect();
    (client, got, json!(cursors))
}

#[tokio::test]
async fn a_drain_advises_and_cursors_resume() {
    let (home, mut server, key) = started().await;
    publish(&server, &key, 0..BEFORE).await;
    // One of each stopped amid the records, and one of each at their end.
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for count in [0, 23, BEFORE] {
        sockets.push(begin_socket(&server, &key, count).await);
        let query = format!("topics={TOPIC}&from=earliest");
        let mut stream = Stream::open(&server.url, &key.secret, &query).await;
        let mut got = Vec::new();
        for _ in 0..count {
            got.push(stream.record().await);
        }
        // Without a record read, a browser comes back with what it asked for at first.
        let id = if count == 0 { String::new() } else { stream.last_id().to_owned() };
        streams.push((stream, got, id));
    }
    server.terminate();
    for (client, ..) in &mut sockets {
        check_socket_drained(client).await;
    }
    for (stream, ..) in &mut streams {
        check_stream_drained(stream).await;
    }
    let status = server.ended();
    assert!(status.success(), "{status}");
    server = home.start();
    publish(&server, &key, BEFORE..BEFORE + AFTER).await;
    for (_, mut got, cursors) in sockets {
        let mut client = Client::open(&server.url, &key.secret).await;
        client.subscribe(1, TOPIC, cursors).await;
        while (got.len() as u64) < BEFORE + AFTER {
            got.push(client.record().await);
        }
        check("a resumed socket", &got, 0..BEFORE + AFTER);
    }
    for (_, mut got, id) in streams {
        let query = format!("topics={TOPIC}&from=earliest");
        let mut request = crate::stand::sse::request(&server.url, &key.secret, &query);
        if !id.is_empty() {
            request = request.header("last-event-id", id);
        }
        let mut stream = Stream::try_open(request).await.expect("a stream");
        while (got.len() as u64) < BEFORE + AFTER {
            got.push(stream.record().await);
        }
        check("a resumed stream", &got, 0..BEFORE + AFTER);
    }
}

/// Advice when to come back, then 1012 (service restart).
async fn check_socket_drained(client: &mut Client) {
    let mut is_advised = false;
    loop {
        match client.next().await {
            Ok(frame) if frame["type"] == "reconnect" => {
                let after_ms = frame["after_ms"].as_u64().expect("when to come back");
                assert!(after_ms <= 1_000, "within what is configured: {frame}");
                is_advised = true;
            }
            Ok(_) => {}
            Err(code) => {
                assert_eq!(code, Some(1012));
                assert!(is_advised, "advised before it is closed");
                return;
            }
        }
    }
}

async fn check_stream_drained(stream: &mut Stream) {
    let mut is_advised = false;
    while let Some(event) = stream.event().await {
        if event.name == "reconnect" {
            let data: Value = serde_json::from_str(&event.data).expect("JSON");
            assert!(data["after_ms"].as_u64().is_some(), "{data}");
            is_advised = true;
        }
    }
    assert!(is_advised, "advised before the stream ends");
}
