//! Every ordered pair: what is published by one way in comes out of every way out, with key,
//! headers, binary values and trace context intact.

use crate::stand::got::{Body, Got, Sent};
use crate::stand::shared::{Shared, server};
use crate::stand::{cli, encoded, sse, within, ws, ws_binary};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Debug, Clone, Copy, PartialEq)]
enum WayIn {
    Rest,
    RestRaw,
    WebSocket,
    WebSocketBinary,
    Terminal,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum WayOut {
    Poll,
    Sse,
    WebSocket,
    WebSocketBinary,
    Terminal,
}

const WAYS_IN: [WayIn; 5] =
    [WayIn::Rest, WayIn::RestRaw, WayIn::WebSocket, WayIn::WebSocketBinary, WayIn::Terminal];

fn samples(topic: &str) -> Vec<Sent> {
    let headers = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        list.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let topic = || topic.to_owned();
    vec![
        Sent {
            topic: topic(),
            key: Some(b"eu/42".to_vec()),
            body: Body::Json(
                json!({"total": 99.5, "text": "Zürich \u{1f30a} \"q\" \n", "n": null}),
            ),
            headers: headers(&[("region", "eu"), ("traceparent", TRACE)]),
        },
        Sent {
            topic: topic(),
            key: None,
            body: Body::Json(json!([1, -2, 1e300, true, "", {}])),
            headers: headers(&[]),
        },
        Sent {
            topic: topic(),
            key: Some("ключ with spaces/+#".as_bytes().to_vec()),
            body: Body::Bytes(vec![0, 0xff, 0xfe, b'\n', b'\r', 0x80, 0], "image/x-sample"),
            headers: headers(&[("empty", "")]),
        },
    ]
}

/// The command line publishes JSON and text; bytes it cannot take.
fn can_send(way: WayIn, sent: &Sent) -> bool {
    way != WayIn::Terminal || matches!(sent.body, Body::Json(_))
}

async fn publish(way: WayIn, url: &str, secret: &str, sent: &Sent) {
    match way {
        WayIn::Rest => {
            let request = Client::new().post(format!("{url}/v1/events")).bearer_auth(secret);
            accepted(request.json(&sent.view())).await;
        }
        WayIn::RestRaw => publish_raw(url, secret, sent).await,
        WayIn::WebSocket => {
            let mut client = ws::Client::open(url, secret).await;
            client.publish(std::slice::from_ref(sent)).await;
        }
        WayIn::WebSocketBinary => {
            let mut client = ws_binary::Client::open(url, secret).await;
            client.publish(std::slice::from_ref(sent)).await;
        }
        WayIn::Terminal => publish_by_command(url, secret, sent).await,
    }
}

async fn accepted(request: reqwest::RequestBuilder) {
    let answer = within("an answer", request.send()).await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
    assert!(status.is_success(), "{status} {text}");
}

async fn publish_raw(url: &str, secret: &str, sent: &Sent) {
    let key = sent.key.as_ref().map(|key| format!("?key={}", encoded(key)));
    let url = format!("{url}/v1/topics/{}/records{}", sent.topic, key.unwrap_or_default());
    let mut request = Client::new().post(url).bearer_auth(secret).body(sent.body.bytes());
    request = request.header(
        "content-type",
        match &sent.body {
            Body::Json(_) => "application/json",
            Body::Bytes(_, content_type) => content_type,
        },
    );
    for (name, value) in &sent.headers {
        // The trace context of a request is that of its record.
        let name = if name == "traceparent" { name.clone() } else { format!("ms-header-{name}") };
        request = request.header(name, value);
    }
    accepted(request).await;
}

async fn publish_by_command(url: &str, secret: &str, sent: &Sent) {
    let Body::Json(data) = &sent.body else { panic!("the command line publishes JSON") };
    let mut arguments = vec!["publish".to_owned(), sent.topic.clone(), data.to_string()];
    if let Some(key) = &sent.key {
        arguments.push("--key".to_owned());
        arguments.push(String::from_utf8(key.clone()).expect("samples have keys of text"));
    }
    for (name, value) in &sent.headers {
        arguments.push("--header".to_owned());
        arguments.push(format!("{name}={value}"));
    }
    let (url, secret) = (url.to_owned(), secret.to_owned());
    let run = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        cli::run(&url, &secret, &arguments)
    };
    let output = tokio::task::spawn_blocking(run).await.expect("the command ran");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// An open end, before anything is published.
enum End {
    Poll { url: String, secret: String, topic: String },
    Sse(sse::Stream),
    WebSocket(ws::Client),
    WebSocketBinary(ws_binary::Client),
    Terminal(cli::Running),
}

async fn open(way: WayOut, url: &str, secret: &str, topic: &str, count: usize) -> End {
    match way {
        WayOut::Poll => {
            End::Poll { url: url.to_owned(), secret: secret.to_owned(), topic: topic.to_owned() }
        }
        WayOut::Sse => {
            let query = format!("topics={topic}&from=earliest");
            End::Sse(sse::Stream::open(url, secret, &query).await)
        }
        WayOut::WebSocket => {
            let mut client = ws::Client::open(url, secret).await;
            client.subscribe(1, topic, "earliest".into()).await;
            End::WebSocket(client)
        }
        WayOut::WebSocketBinary => {
            let mut client = ws_binary::Client::open(url, secret).await;
            client.follow(topic).await;
            End::WebSocketBinary(client)
        }
        WayOut::Terminal => {
            let count = count.to_string();
            let arguments = ["follow", topic, "--from", "earliest", "--json", "--limit", &count];
            End::Terminal(cli::Running::start(url, secret, &arguments))
        }
    }
}

async fn poll(url: &str, secret: &str, topic: &str, count: usize) -> Vec<Got> {
    let (mut got, mut from) = (Vec::new(), "earliest".to_owned());
    while got.len() < count {
        let url = format!("{url}/v1/topics/{topic}/records?wait=10s&from={from}");
        let request = Client::new().get(url).bearer_auth(secret);
        let page: Value = request.send().await.expect("a page").json().await.expect("JSON");
        let records = page["records"].as_array().unwrap_or_else(|| panic!("records in {page}"));
        got.extend(records.iter().map(Got::from_view));
        page["next_cursor"].as_str().expect("a cursor").clone_into(&mut from);
    }
    got
}

async fn receive(end: End, count: usize) -> Vec<Got> {
    let mut got = Vec::new();
    match end {
        End::Poll { url, secret, topic } => return poll(&url, &secret, &topic, count).await,
        End::Sse(mut stream) => {
            for _ in 0..count {
                got.push(stream.record().await);
            }
        }
        End::WebSocket(mut client) => {
            for _ in 0..count {
                got.push(client.record().await);
            }
        }
        End::WebSocketBinary(mut client) => {
            for _ in 0..count {
                got.push(client.record().await);
            }
        }
        End::Terminal(running) => {
            let read = move || {
                let line = |_| serde_json::from_str(&running.line()).expect("a line of JSON");
                let views: Vec<Value> = (0..count).map(line).collect();
                running.finish();
                views.iter().map(Got::from_view).collect()
            };
            return tokio::task::spawn_blocking(read).await.expect("the output is read");
        }
    }
    got
}

fn check(pair: (WayIn, WayOut), sent: &Sent, got: &Got) {
    assert_eq!(got.topic, sent.topic, "{pair:?}");
    assert_eq!(got.key, sent.key, "{pair:?}");
    assert_eq!(got.headers, sent.headers, "{pair:?}");
    match &sent.body {
        Body::Json(value) => assert_eq!(got.data(), *value, "{pair:?}"),
        Body::Bytes(bytes, _) => assert_eq!(got.value, *bytes, "{pair:?}"),
    }
}

/// All ways in, one way out, which is open before the first record comes.
async fn every_way_into(shared: &Shared, way_out: WayOut) {
    let server = &shared.server;
    let (room, key) = server.admin().furnished().await;
    let topic = "pairs";
    server.admin().topic(&room, topic, 1).await;
    let mut sent = Vec::new();
    for way_in in WAYS_IN {
        let able = samples(topic).into_iter().filter(|sample| can_send(way_in, sample));
        sent.extend(able.map(|sample| (way_in, sample)));
    }
    let end = open(way_out, &server.url, &key.secret, topic, sent.len()).await;
    let publishing = async {
        for (way_in, sample) in &sent {
            publish(*way_in, &server.url, &key.secret, sample).await;
        }
    };
    let (got, ()) = tokio::join!(receive(end, sent.len()), publishing);
    // One partition: the order of publishing is the order of records.
    for ((way_in, sent), got) in sent.iter().zip(&got) {
        check((*way_in, way_out), sent, got);
    }
    let offsets: Vec<u64> = got.iter().map(|got| got.offset).collect();
    assert_eq!(offsets, (0..sent.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_way_in_reaches_the_long_poll() {
    every_way_into(&server(), WayOut::Poll).await;
}

#[tokio::test]
async fn every_way_in_reaches_event_streams() {
    every_way_into(&server(), WayOut::Sse).await;
}

#[tokio::test]
async fn every_way_in_reaches_web_sockets() {
    every_way_into(&server(), WayOut::WebSocket).await;
}

#[tokio::test]
async fn every_way_in_reaches_binary_web_sockets() {
    every_way_into(&server(), WayOut::WebSocketBinary).await;
}

#[tokio::test]
async fn every_way_in_reaches_the_terminal() {
    every_way_into(&server(), WayOut::Terminal).await;
}
