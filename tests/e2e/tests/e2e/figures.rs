//! What operators watch: figures that agree with what clients did.

use crate::stand::got::Sent;
use crate::stand::raw::Raw;
use crate::stand::server::Server;
use crate::stand::shared;
use crate::stand::sse::Stream;
use crate::stand::ws::{Client, JSON, closed, dial};
use crate::stand::{LOOK_EVERY, within};
use serde_json::json;

/// Every sample of a metric whose labels hold all of `labels`, summed up.
async fn figure(server: &Server, name: &str, labels: &[&str]) -> f64 {
    let answer = reqwest::get(format!("{}/metrics", server.admin_url)).await;
    let text = answer.expect("an answer").text().await.expect("text");
    let samples = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        let is_it = rest.is_some_and(|rest| rest.starts_with(['{', ' ']));
        is_it && labels.iter().all(|label| line.contains(label))
    });
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until it is so.
pub async fn becomes(server: &Server, name: &str, labels: &[&str], expected: f64) {
    let what = format!("{name}{labels:?} = {expected}");
    let reached = async {
        while figure(server, name, labels).await != expected {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within(&what, reached).await;
}

#[tokio::test]
async fn open_connections_are_counted_once() {
    let running = shared::own();
    let server = &running.server;
    let (_, key) = server.admin().furnished().await;
    let first = Client::open(&server.url, &key.secret).await;
    let second = Client::open(&server.url, &key.secret).await;
    let stream = Stream::open(&server.url, &key.secret, "topics=t").await;
    let name = "mainstem_connections";
    becomes(server, name, &["protocol=\"websocket\""], 2.0).await;
    becomes(server, name, &["protocol=\"sse\""], 1.0).await;
    drop((first, second, stream));
    becomes(server, name, &["protocol=\"websocket\""], 0.0).await;
    becomes(server, name, &["protocol=\"sse\""], 0.0).await;
}

#[tokio::test]
async fn records_are_counted_once() {
    let running = shared::own();
    let server = &running.server;
    let (_, key) = server.admin().furnished().await;
    let mut client = Client::open(&server.url, &key.secret).await;
    client.subscribe(1, "t", "latest".into()).await;
    let sent: Vec<Sent> = (0..10).map(|n| Sent::json("t", "key", json!(n))).collect();
    client.publish(&sent).await;
    for _ in 0..10 {
        client.record().await;
    }
    becomes(server, "mainstem_records_published_total", &[], 10.0).await;
    becomes(server, "mainstem_records_delivered_total", &[], 10.0).await;
}

#[tokio::test]
async fn what_is_refused_is_counted() {
    let running = shared::own();
    let server = &running.server;
    let unknown = "ms_test_00000000000000000000000000000000000000000000";
    let url = format!("{}/v1/topics", server.url);
    for _ in 0..3 {
        let request = reqwest::Client::new().get(&url).bearer_auth(unknown);
        assert_eq!(request.send().await.expect("an answer").status(), 401);
    }
    becomes(server, "mainstem_refusals_total", &["code=\"INVALID_API_KEY\""], 3.0).await;
    let failures = "mainstem_authentication_failures_total";
    becomes(server, failures, &["code=\"INVALID_API_KEY\""], 3.0).await;
    let before = figure(server, "mainstem_connections_refused_total", &[]).await;
    let mut raw = Raw::connect(server.authority()).await;
    raw.say(b"\x16\x03 garbage \r\n\r\n").await;
    raw.rest().await;
    becomes(server, "mainstem_connections_refused_total", &[], before + 1.0).await;
    // A frame that breaks the protocol, too.
    let (_, key) = server.admin().furnished().await;
    let mut socket = dial(&server.url, Some(&key.secret), JSON).await.expect("a socket");
    futures_util::SinkExt::send(
        &mut socket,
        tokio_tungstenite::tungstenite::Message::text("x".repeat(3 << 20)),
    )
    .await
    .expect("said");
    assert_eq!(closed(&mut socket).await, Some(1009));
    becomes(server, "mainstem_connections_refused_total", &[], before + 2.0).await;
}
