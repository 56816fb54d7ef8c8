//! Bad input over WebSocket: what breaks RFC 6455 or the subprotocol is answered with an error
//! frame or the right close code, and others notice nothing.

use crate::stand::got::Sent;
use crate::stand::raw::Raw;
use crate::stand::shared::{Shared, server};
use crate::stand::ws::{BINARY, Client, JSON, closed, dial};
use crate::stand::ws_binary;
use futures_util::SinkExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Message;

struct Site {
    shared: Arc<Shared>,
    secret: String,
}

impl Site {
    async fn new() -> Site {
        let shared = server();
        let (_, key) = shared.server.admin().furnished().await;
        Site { shared, secret: key.secret }
    }

    fn url(&self) -> &str {
        &self.shared.server.url
    }

    /// A socket upgraded by hand, on which frames can be said that no library would.
    async fn upgraded(&self) -> Raw {
        let mut raw = Raw::connect(self.shared.server.authority()).await;
        let head = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: {JSON}\r\nauthorization: Bearer {}\r\n\r\n",
            self.secret
        );
        assert!(raw.say(head.as_bytes()).await);
        raw
    }
}

/// A client's frame with a mask of zeros (RFC 6455 section 5.2).
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// The code of the close frame at the end of what the server said.
fn close_code(said: &[u8]) -> Option<u16> {
    let head_ends = said.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut rest = &said[head_ends..];
    loop {
        let (first, length) = (*rest.first()?, *rest.get(1)? & 0x7f);
        let (skip, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]))),
            short => (2, usize::from(short)),
        };
        let payload = rest.get(skip..skip + length)?;
        if first & 0x0f == 8 {
            return Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
        }
        rest = &rest[skip + length..];
    }
}

#[tokio::test]
async fn frames_that_break_the_protocol_close_with_its_codes() {
    let site = Site::new().await;
    let mut bystander = Client::open(site.url(), &site.secret).await;
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let mut endless = vec![0x81, 0x80 | 127];
    endless.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    endless.extend_from_slice(&[0; 4]);
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("unmasked", unmasked, &[1002]),
        ("reserved bits", frame(0xf1, b"{}"), &[1002]),
        ("an unknown opcode", frame(0x83, b""), &[1002]),
        ("a long ping", frame(0x89, &[0; 126]), &[1002]),
        ("a ping in pieces", frame(0x09, b"a"), &[1002]),
        ("a continuation of nothing", frame(0x80, b"a"), &[1002]),
        ("text within text", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), &[1002]),
        ("a close code that is none", frame(0x88, &[0, 1]), &[1002]),
        ("half a close code", frame(0x88, &[3]), &[1002]),
        ("wrong UTF-8", frame(0x81, b"{\"type\":\"\xff\"}"), &[1007]),
        ("a terabyte", endless, &[1009]),
    ];
    for (what, bytes, codes) in cases {
        let mut raw = site.upgraded().await;
        raw.say(&bytes).await;
        let said = raw.rest().await;
        let code = close_code(&said);
        assert!(code.is_some_and(|code| codes.contains(&code)), "{what}: {code:?}");
    }
    assert_eq!(bystander.done(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn kinds_of_message_that_do_not_belong_close_with_1003() {
    let site = Site::new().await;
    let mut text = dial(site.url(), Some(&site.secret), JSON).await.expect("a socket");
    text.send(Message::binary(vec![1, 2, 3])).await.expect("said");
    assert_eq!(closed(&mut text).await, Some(1003));
    let mut binary = dial(site.url(), Some(&site.secret), BINARY).await.expect("a socket");
    binary.send(Message::text("{}")).await.expect("said");
    assert_eq!(closed(&mut binary).await, Some(1003));
}

async fn error_of(client: &mut Client, request: Value) -> (String, String) {
    let answer = client.call(request).await.expect("an answer");
    assert_eq!(answer["type"], "error", "{answer}");
    let error = &answer["error"];
    assert!(error["message"].is_string() && error["request_id"].is_string(), "{answer}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&error["code"]), text(&error["details"]["field"]))
}

#[tokio::test]
async fn bad_requests_are_refused_by_field_and_the_socket_goes_on() {
    let site = Site::new().await;
    let mut client = Client::open(site.url(), &site.secret).await;
    let cases = [
        (json!({"type": "publish", "topic": "t", "data": 1, "foo": 2}), "UNKNOWN_FIELD", "foo"),
        (
            json!({"type": "publish", "records": [{"topic": "t", "data": 1, "dta": 2}]}),
            "UNKNOWN_FIELD",
            "records[0].dta",
        ),
        (json!({"type": "publish", "topic": "no spaces", "data": 1}), "INVALID_TOPIC", "topic"),
        (json!({"type": "subscribe", "filter": "a//#/b"}), "INVALID_FILTER", "filter"),
        (json!({"type": "subscribe", "filter": "t", "from": "forged"}), "INVALID_CURSOR", "from"),
        (json!({"type": "unsubscribe", "sub": 99}), "NOT_FOUND", "sub"),
        (json!({"type": "dance"}), "INVALID_REQUEST", "type"),
        (
            json!({"type": "publish", "topic": "t", "data": "x".repeat(1 << 20)}),
            "PAYLOAD_TOO_LARGE",
            "",
        ),
    ];
    for (request, code, field) in cases {
        let short = request.to_string().chars().take(80).collect::<String>();
        let found = error_of(&mut client, request).await;
        assert_eq!(found.0, code, "{short}: {found:?}");
        if !field.is_empty() {
            assert_eq!(found.1, field, "{short}");
        }
    }
    client.publish(&[Sent::json("t", "key", json!(1))]).await;
}

#[tokio::test]
async fn a_frame_too_large_closes_with_1009() {
    let site = Site::new().await;
    let mut client = Client::open(site.url(), &site.secret).await;
    client.say(&json!({ "type": "publish", "topic": "t", "data": "x".repeat(3 << 20) })).await;
    assert_eq!(closed(&mut client.socket).await, Some(1009));
}

#[tokio::test]
async fn who_never_speaks_sense_is_closed_with_1008() {
    let site = Site::new().await;
    let mut client = Client::open(site.url(), &site.secret).await;
    for _ in 0..64 {
        // The end may come amid them.
        let _ = client.socket.send(Message::text("no json")).await;
    }
    assert_eq!(closed(&mut client.socket).await, Some(1008));
    let mut binary = ws_binary::Client::open(site.url(), &site.secret).await;
    for _ in 0..64 {
        binary.say(vec![0x7f, 1, 2, 3]).await;
    }
    assert_eq!(closed(&mut binary.socket).await, Some(1008));
}

#[tokio::test]
async fn strangers_are_closed_with_4401() {
    let site = Site::new().await;
    let unknown = "ms_test_00000000000000000000000000000000000000000000";
    assert!(dial(site.url(), Some(unknown), JSON).await.is_err(), "refused in the handshake");
    let mut client = Client::over(dial(site.url(), None, JSON).await.expect("a socket"));
    let told = client.call(json!({ "type": "connect", "token": unknown })).await;
    if let Ok(frame) = told {
        assert_eq!(frame["error"]["code"], "INVALID_API_KEY", "{frame}");
    }
    assert_eq!(closed(&mut client.socket).await, Some(4401));
}

#[tokio::test]
async fn deep_json_in_a_frame_is_refused() {
    let site = Site::new().await;
    let mut client = Client::open(site.url(), &site.secret).await;
    let deep = format!(
        "{{\"type\":\"publish\",\"id\":1,\"topic\":\"t\",\"data\":{}1{}}}",
        "[".repeat(90_000),
        "]".repeat(90_000)
    );
    client.socket.send(Message::text(deep)).await.expect("said");
    let answer = client.next().await.expect("an answer");
    assert_eq!(answer["error"]["code"], "INVALID_REQUEST", "{answer}");
    client.publish(&[Sent::json("t", "key", json!(1))]).await;
}
