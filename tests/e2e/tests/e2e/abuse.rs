//! Storms and abuse: caps per principal, tenant and address; frames that count against the rate;
//! floods, drips and clients that never read; a drain that spreads those who come back. Others
//! notice nothing.

use crate::stand::admin::{EVENT_SCOPES, Key, Room};
use crate::stand::got::Sent;
use crate::stand::raw::Raw;
use crate::stand::server::{Home, Server};
use crate::stand::ws::{Client, JSON, bring, dial};
use crate::stand::{LOOK_EVERY, within};
use futures_util::SinkExt;
use futures_util::future::select_all;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// What one flood may leave in resident memory.
const GROWTH_KIB_MAX: u64 = 100 * 1024;

async fn keyed(server: &Server, limits: Value) -> (Room, Key) {
    let admin = server.admin();
    let room = admin.room(&limits).await;
    let key = admin.key(&room, EVENT_SCOPES).await;
    (room, key)
}

/// The error of an upgrade that is refused: its code, and whether it says when to come back.
async fn refused_upgrade(url: &str, secret: &str) -> (String, bool) {
    let refused = dial(url, Some(secret), JSON).await.expect_err("the limit is reached");
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else {
        panic!("no answer: {refused}");
    };
    let says_when = answer.headers().contains_key("retry-after");
    let body = answer.body().clone().unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    (body["error"]["code"].as_str().unwrap_or_default().to_owned(), says_when)
}

async fn error_of(client: &mut Client, request: Value) -> Value {
    let answer = client.call(request).await.expect("the socket goes on");
    assert_eq!(answer["type"], "error", "{answer}");
    answer["error"].clone()
}

#[tokio::test]
async fn connections_of_a_principal_and_of_a_tenant_are_capped() {
    let home = Home::new(&json!({ "tenants": { "connections_max": 3 } }));
    let server = home.start();
    let (room, key) = keyed(&server, json!({ "connections_per_principal_max": 2 })).await;
    let full = ("PROJECT_LIMIT_EXCEEDED".to_owned(), true);
    let one = Client::open(&server.url, &key.secret).await;
    let two = Client::open(&server.url, &key.secret).await;
    assert_eq!(refused_upgrade(&server.url, &key.secret).await, full);
    // Another key of the project has room of its own, until the tenant has none.
    let other = server.admin().key(&room, EVENT_SCOPES).await;
    let _three = Client::open(&server.url, &other.secret).await;
    assert_eq!(refused_upgrade(&server.url, &other.secret).await, full);
    let beside = server.admin().project(&room.tenant, "beside", &json!({})).await;
    let beside = Room { tenant: room.tenant.clone(), project: beside };
    let beside = server.admin().key(&beside, EVENT_SCOPES).await;
    assert_eq!(refused_upgrade(&server.url, &beside.secret).await, full);
    // Another tenant is not concerned.
    let (_, stranger) = server.admin().furnished().await;
    let _stranger = Client::open(&server.url, &stranger.secret).await;
    drop((one, two));
    let again = async {
        while dial(&server.url, Some(&key.secret), JSON).await.is_err() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("a place becomes free", Box::pin(again)).await;
}

#[tokio::test]
async fn subscriptions_are_capped_and_given_back() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let limits = json!({ "subscriptions_max": 4, "subscriptions_per_principal_max": 3 });
    let (room, key) = keyed(&server, limits).await;
    let mut client = Client::open(&server.url, &key.secret).await;
    for sub in 1..=3 {
        client.subscribe(sub, "t", "latest".into()).await;
    }
    let fourth = json!({ "type": "subscribe", "sub": 4, "filter": "t" });
    let error = error_of(&mut client, fourth.clone()).await;
    assert_eq!(error["code"], "PROJECT_LIMIT_EXCEEDED", "{error}");
    assert_eq!(error["details"]["field"], "subscriptions_per_principal_max", "{error}");
    assert!(error["details"]["retry_after_ms"].as_u64() >= Some(5_000), "{error}");
    let key = server.admin().key(&room, EVENT_SCOPES).await;
    let mut other = Client::open(&server.url, &key.secret).await;
    other.subscribe(1, "t", "latest".into()).await;
    let error = error_of(&mut other, fourth.clone()).await;
    assert_eq!(error["details"]["field"], "subscriptions_max", "{error}");
    client.done(json!({ "type": "unsubscribe", "sub": 1 })).await;
    client.done(fourth).await;
}

#[tokio::test]
async fn an_address_is_capped_before_it_says_a_word() {
    let home = Home::new(&json!({ "edge": { "accept": { "connections_per_address_max": 5 } } }));
    let server = home.start();
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let mut silent = Raw::connect(server.authority()).await;
        waiting.push(Box::pin(async move { silent.answer().await }));
    }
    // Several processes accept in no order: one of the six is turned away, and only one.
    let (told, _, silent) = select_all(waiting).await;
    let told = told.expect("it is told why");
    assert_eq!((told.status, &told.body["error"]["code"]), (503, &json!("OVERLOADED")), "{told:?}");
    assert!(told.body["error"]["details"]["retry_after_ms"].as_u64() >= Some(5_000), "{told:?}");
    // Another address of this machine has room.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("bound");
    let address = server.authority().parse().expect("an address");
    let _other = within("a connection", socket.connect(address)).await.expect("accepted");
    drop(silent);
    let free = async {
        loop {
            let mut raw = Raw::connect(server.authority()).await;
            raw.say(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            if raw.answer().await.is_some_and(|answer| answer.status == 200) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("a place becomes free", free).await;
}

#[tokio::test]
async fn frames_count_against_the_rate_as_requests_do() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let (_, key) = keyed(&server, json!({ "request_per_second_max": 20 })).await;
    let mut client = Client::open(&server.url, &key.secret).await;
    let (mut done, mut refused) = (0, None);
    for _ in 0..100 {
        let answer = client.call(json!({ "type": "ping" })).await.expect("it goes on");
        match &*answer["type"].to_string() {
            "\"pong\"" => done += 1,
            _ => refused = Some(answer),
        }
    }
    let refused = refused.expect("a hundred at once are more than twenty a second");
    assert_eq!(refused["error"]["code"], "RATE_LIMIT_EXCEEDED", "{refused}");
    assert!(done < 90, "{done} frames of 100 in a moment, 20 a second allowed");
    // The wait it tells is enough, and the session has not ended.
    let wait = refused["error"]["details"]["retry_after_ms"].as_u64().expect("a wait");
    tokio::time::sleep(Duration::from_millis(wait + 50)).await;
    assert_eq!(client.done(json!({ "type": "ping" })).await["type"], "pong");
}

/// A socket with the smallest window there is: what is not read soon waits at the server.
async fn narrow(server: &Server, key: &Key) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(1).expect("a small buffer");
    let address = server.authority().parse().expect("an address");
    let stream = within("a connection", socket.connect(address)).await.expect("accepted");
    let url = format!("ws://{}/v1/ws?access_token={}", server.authority(), key.secret);
    let opened = within("a handshake", tokio_tungstenite::client_async(url, stream)).await;
    opened.expect("a socket").0
}

/// Few recent records in memory, so that what grows is what those who do not read cost.
fn bare_tail() -> Value {
    json!({ "log": { "tail_mib": 4 } })
}

/// Publishes, and reads the answer, as a client does who minds nobody.
async fn check_served(bystander: &mut Client) {
    let publish = async { bystander.publish(&[Sent::json("fine", "key", json!(1))]).await };
    within("a publish beside the flood", publish).await;
}

#[tokio::test]
async fn a_flood_that_never_reads_is_stopped_and_bounded() {
    let home = Home::new(&bare_tail());
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut bystander = Client::open(&server.url, &key.secret).await;
    check_served(&mut bystander).await;
    let before = server.resident_kib();
    let mut floods = Vec::new();
    for n in 0..8 {
        let mut socket = narrow(&server, &key).await;
        floods.push(tokio::spawn(async move {
            let publish = json!({
                "type": "publish", "id": 1, "topic": "flood", "data": "x".repeat(500 * n),
            });
            let ping = json!({ "type": "ping", "id": 1 });
            let frame = if n % 2 == 0 { ping.to_string() } else { publish.to_string() };
            // Nothing is ever read: the server stops to take at some point.
            let mut said = 0_u64;
            while said < 2_000_000 {
                let say = socket.send(Message::text(frame.clone()));
                match tokio::time::timeout(Duration::from_secs(2), say).await {
                    Ok(Ok(())) => said += 1,
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            (socket, said)
        }));
    }
    for _ in 0..20 {
        check_served(&mut bystander).await;
    }
    let mut stopped = Vec::new();
    for flood in floods {
        let (socket, said) = flood.await.expect("a flood ends");
        assert!(said < 2_000_000, "it was never stopped");
        stopped.push(socket);
    }
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB for eight floods");
    check_served(&mut bystander).await;
}

#[tokio::test]
async fn a_tiny_window_and_a_drip_hold_up_nobody() {
    let home = Home::new(&bare_tail());
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut bystander = Client::open(&server.url, &key.secret).await;
    let mut follower = Client::open(&server.url, &key.secret).await;
    follower.subscribe(1, "t", "latest".into()).await;
    // A hundred with the smallest window there is: they subscribe and never read.
    let mut tiny = Vec::new();
    for _ in 0..100 {
        let mut socket = narrow(&server, &key).await;
        let subscribe = json!({ "type": "subscribe", "id": 1, "filter": "t" });
        socket.send(Message::text(subscribe.to_string())).await.expect("said");
        tiny.push(socket);
    }
    // And one that says its frame a byte at a time.
    let mut drip = Raw::connect(server.authority()).await;
    let head = format!(
        "GET /v1/ws?access_token={} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        key.secret
    );
    assert!(drip.say(head.as_bytes()).await);
    assert!(drip.say(&[0x81, 0xfe, 0x00, 0xff, 0, 0, 0, 0]).await);
    let bulk = "x".repeat(10_000);
    let before = server.resident_kib();
    for n in 0..200 {
        bystander.publish(&[Sent::json("t", "key", json!({ "n": n, "bulk": bulk }))]).await;
        assert!(drip.say(b"{").await, "a slow frame is no crime");
        assert_eq!(follower.record().await.data()["n"], n);
    }
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB for a hundred that never read");
}

#[tokio::test]
async fn a_drain_spreads_those_who_come_back() {
    const CLIENTS: usize = 200;
    const WITHIN_MS: u64 = 10_000;
    let drain = json!({ "edge": { "drain": { "reconnect_ms_max": WITHIN_MS } } });
    let home = Home::new(&drain);
    let mut server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::open(&server.url, &key.secret).await);
    }
    server.terminate();
    let mut waits = Vec::new();
    for client in &mut clients {
        let told = client.next().await.expect("an advice before the end");
        assert_eq!(told["type"], "reconnect", "{told}");
        waits.push(told["after_ms"].as_u64().expect("a time"));
    }
    assert!(waits.iter().all(|&wait| wait <= WITHIN_MS), "{waits:?}");
    // In each tenth of the time about a tenth of them: 20, and hardly ever more than 45.
    for tenth in 0..10 {
        let range = tenth * WITHIN_MS / 10..(tenth + 1) * WITHIN_MS / 10;
        let count = waits.iter().filter(|wait| range.contains(wait)).count();
        assert!((3..=45).contains(&count), "{count} of {CLIENTS} come back in {range:?} ms");
    }
    for client in &mut clients {
        while !matches!(bring(&mut client.socket).await, crate::stand::ws::Brought::Closed(_)) {}
    }
    assert!(server.ended().success());
}
