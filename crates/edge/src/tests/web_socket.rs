//! WebSockets over real sockets, with a client that others wrote.

use super::harness::{PATIENCE, Running, config, until};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use port::{Code, Refusal};
use std::time::Duration;
use stdx::Clock;
use testkit::clock::ManualClock;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

const GOOD: &str = "/v1/ws?access_token=good";

#[tokio::test]
async fn words_go_both_ways() {
    let edge = Running::start(config());
    let mut client = edge.client("/v1/ws").await;
    client.say("hello").await;
    assert_eq!(client.hear().await, "hello");
    let long = "x".repeat(1_000_000);
    client.say(&long).await;
    assert_eq!(client.hear().await, long);
    client.say("later").await;
    client.say("behind").await;
    assert_eq!(client.hear().await, "now");
    assert_eq!(client.hear().await, "behind");
    client.say("self").await;
    assert_eq!(client.hear().await, "before");
    assert_eq!(client.hear().await, "caught up");
    client.say("refuse").await;
    assert_eq!(client.hear().await, "refused INVALID_REQUEST");
    client.say("").await;
    assert_eq!(client.hear().await, "refused INVALID_REQUEST");
    client.0.close(None).await.expect("a closing handshake");
    assert!(client.0.next().await.is_none_or(|end| end.is_ok()));
    edge.end().await;
}

#[tokio::test]
async fn the_protocol_chooses_the_closing_word() {
    let edge = Running::start(config());
    let mut client = edge.client("/v1/ws").await;
    client.say("forbid").await;
    assert_eq!(client.closed().await, 4403);
    let mut client = edge.client("/v1/ws").await;
    client.say("panic").await;
    assert_eq!(client.closed().await, 1011);
    let mut client = edge.client("/v1/ws").await;
    client.0.send(Message::binary(vec![1])).await.expect("sent");
    assert_eq!(client.closed().await, 1003);
    edge.end().await;
}

#[tokio::test]
async fn many_are_fed_in_order() {
    let edge = Running::start(crate::Config { shards: 2, ..config() });
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = edge.client(GOOD).await;
        assert_eq!(client.hear().await, "welcome");
        client.say("follow").await;
        assert_eq!(client.hear().await, "following");
        clients.push(client);
    }
    for number in 0..50 {
        edge.hub.publish(Bytes::from(format!("news {number}")));
    }
    for client in &mut clients {
        for number in 0..50 {
            assert_eq!(client.hear().await, format!("news {number}"));
        }
    }
    drop(clients);
    until(|| edge.hub.readers() == 0).await;
    edge.end().await;
}

#[tokio::test]
async fn a_slow_reader_is_paused_and_catches_up() {
    let edge = Running::start(config());
    let mut slow = edge.client(GOOD).await;
    let mut quick = edge.client(GOOD).await;
    for client in [&mut slow, &mut quick] {
        assert_eq!(client.hear().await, "welcome");
        client.say("follow").await;
        assert_eq!(client.hear().await, "following");
    }
    let value = |number: usize| Bytes::from(format!("{number:06}{}", "x".repeat(64 * 1024)));
    for number in 0..400 {
        edge.hub.publish(value(number));
        // The quick one is not held up by the slow one.
        assert_eq!(quick.hear().await.as_bytes(), value(number));
    }
    until(|| edge.hub.paused() == 1).await;
    for number in 0..400 {
        assert_eq!(slow.hear().await.as_bytes(), value(number));
    }
    until(|| edge.hub.paused() == 0).await;
    edge.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let edge = Running::start(config());
    let mut client = edge.client("/v1/ws").await;
    for _ in 0..8 {
        client.say("big").await;
    }
    client.say("last").await;
    for _ in 0..8 * 64 {
        assert_eq!(client.hear().await.len(), 64 * 1024);
    }
    assert_eq!(client.hear().await, "last");
    edge.end().await;
}

#[tokio::test]
async fn what_all_clients_together_may_keep_waiting_is_bounded() {
    let mut settings = config();
    settings.web_socket.waiting_bytes_high = 200_000;
    settings.web_socket.shard_waiting_bytes_max = 300_000;
    let edge = Running::start(settings);
    let mut other = edge.client("/v1/ws").await;
    let mut greedy = [edge.client(GOOD).await, edge.client(GOOD).await];
    for client in &mut greedy {
        assert_eq!(client.hear().await, "welcome");
        client.say("follow").await;
        assert_eq!(client.hear().await, "following");
    }
    // Four megabytes each time, of which they read nothing. Each alone would be left in peace,
    // no longer read from; both together hold more than all may.
    for client in &mut greedy {
        for _ in 0..16 {
            let _ = client.0.send(Message::text("big")).await;
        }
    }
    until(|| edge.hub.readers() == 1).await;
    other.say("hello").await;
    assert_eq!(other.hear().await, "hello");
    edge.end().await;
}

#[tokio::test]
async fn the_hub_can_end_a_connection_from_any_thread() {
    let edge = Running::start(config());
    let mut client = edge.client(GOOD).await;
    assert_eq!(client.hear().await, "welcome");
    let closer = edge.hub.closers.lock().pop().expect("the session opened a connection");
    let why = Refusal::new(Code::ExpiredApiKey, "the key was revoked");
    std::thread::spawn(move || {
        closer.close(why);
        closer.close(Refusal::new(Code::Internal, "the second reason does not count"));
    });
    assert_eq!(client.hear().await, "refused EXPIRED_API_KEY");
    assert_eq!(client.closed().await, 4401);
    edge.end().await;
}

#[tokio::test]
async fn draining_advises_then_closes() {
    let mut edge = Running::start(config());
    let mut client = edge.client("/v1/ws").await;
    client.say("hello").await;
    assert_eq!(client.hear().await, "hello");
    edge.begin_drain();
    assert!(client.hear().await.starts_with("come back in "));
    assert_eq!(client.closed().await, 1012);
    edge.end().await;
}

#[tokio::test]
async fn draining_does_not_wait_for_ever() {
    let mut settings = config();
    settings.drain.total_ms_max = 300;
    settings.web_socket.close_ms_max = 60_000;
    let edge = Running::start(settings);
    // It never answers the closing word, and never ends its side.
    let client = edge.client("/v1/ws").await;
    edge.end().await;
    drop(client);
}

#[tokio::test]
async fn silence_is_pinged_and_an_answer_is_life() {
    let clock = ManualClock::shared(0);
    let mut settings = config();
    settings.web_socket.keepalive_ms = 1_000;
    let edge = Running::start_with_clock(settings, clock.clone());
    let mut client = edge.client("/v1/ws").await;
    client.say("hello").await;
    assert_eq!(client.hear().await, "hello");
    clock.advance(Duration::from_millis(1_100));
    assert!(matches!(client.next().await, Message::Ping(_)));
    // The client's library answers the ping when it reads again.
    client.say("still here").await;
    assert_eq!(client.hear().await, "still here");
    edge.end().await;
}

#[tokio::test]
async fn a_session_is_called_at_its_deadline() {
    let clock = ManualClock::shared(0);
    let edge = Running::start_with_clock(config(), clock.clone());
    let mut client = edge.client("/v1/ws").await;
    client.say("deadline").await;
    client.say("set").await;
    assert_eq!(client.hear().await, "set");
    clock.advance(Duration::from_millis(4_000));
    client.say("not yet").await;
    assert_eq!(client.hear().await, "not yet");
    clock.advance(Duration::from_millis(1_300));
    assert_eq!(client.hear().await, "time");
    assert_eq!(client.closed().await, 1000);
    assert!(clock.monotonic() > Duration::ZERO);
    edge.end().await;
}

/// The status and body of an upgrade that is refused.
async fn refused(edge: &Running, path: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
    let mut request =
        format!("ws://{}{path}", edge.public).into_client_request().expect("a request");
    for &(name, value) in headers {
        request.headers_mut().insert(name, value.parse().expect("a header"));
    }
    let attempt = tokio_tungstenite::connect_async(request);
    match tokio::time::timeout(PATIENCE, attempt).await.expect("an answer") {
        Err(Error::Http(answer)) => {
            let body = answer.body().clone().unwrap_or_default();
            (answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
        }
        Ok(_) => (101, String::new()),
        Err(error) => panic!("{error}"),
    }
}

/// Path, headers, status, and a word of the body.
type Case<'a> = (&'a str, &'a [(&'static str, &'a str)], u16, &'a str);

#[tokio::test]
async fn upgrades_are_judged_before_they_happen() {
    let mut settings = config();
    settings.cors.origins = vec!["https://app.example.com".into()];
    let edge = Running::start(settings);
    let own = format!("http://{}", edge.public);
    let cases: &[Case<'_>] = &[
        ("/v1/ws", &[], 101, ""),
        ("/v1/ws", &[("authorization", "Bearer good")], 101, ""),
        ("/v1/ws", &[("x-api-key", "good")], 101, ""),
        ("/v1/ws", &[("authorization", "Bearer bad")], 401, "INVALID_TOKEN"),
        ("/v1/ws?access_token=bad", &[], 401, "INVALID_TOKEN"),
        ("/v1/ws", &[("authorization", "Basic Z29vZA==")], 400, "INVALID_REQUEST"),
        ("/v1/ws", &[("origin", "https://app.example.com")], 101, ""),
        ("/v1/ws", &[("origin", &own)], 101, ""),
        ("/v1/ws", &[("origin", "https://evil.example.com")], 403, "ORIGIN_FORBIDDEN"),
        ("/v1/strict", &[("sec-websocket-protocol", "other, words")], 101, ""),
        ("/v1/strict", &[("sec-websocket-protocol", "other")], 400, "offer one of: words"),
        ("/v1/strict", &[], 400, "sec-websocket-protocol"),
        ("/v1/ws", &[("sec-websocket-version", "8")], 426, "UNSUPPORTED"),
        ("/v1/ws", &[("sec-websocket-key", "c2hvcnQ=")], 400, "sec-websocket-key"),
        ("/v1/none", &[], 404, "NOT_FOUND"),
    ];
    for &(path, headers, status, word) in cases {
        let (got, body) = refused(&edge, path, headers).await;
        assert_eq!(got, status, "{path} {headers:?} {body}");
        assert!(body.contains(word), "{path} {headers:?} {body}");
    }
    edge.end().await;
}
