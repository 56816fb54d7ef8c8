//! What else may carry a WebSocket session: a stream of an HTTP/2 connection (RFC 8441), and
//! compressed frames (RFC 7692). The sessions are the same.

use crate::stand::got::Sent;
use crate::stand::shared::server;
use crate::stand::within;
use flate2::{Decompress, FlushDecompress};
use futures_util::{SinkExt, StreamExt};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Bytes, Message, http};

type Socket = WebSocketStream<DuplexStream>;

async fn connection(authority: &str) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(authority).await.expect("the server accepts");
    let (send, connection) = h2::client::handshake(socket).await.expect("a handshake");
    tokio::spawn(connection);
    let mut send = within("settings", send.ready()).await.expect("a connection");
    while !send.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
        send = send.ready().await.expect("a connection");
    }
    send
}

/// A session on a stream of the connection, or the status of the refusal.
async fn session(send: &SendRequest<Bytes>, secret: &str) -> Result<Socket, StatusCode> {
    let request = http::Request::builder()
        .method(Method::CONNECT)
        .uri("http://mainstem.example/v1/ws")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "mainstem.v1.json")
        .header("authorization", format!("Bearer {secret}"))
        .body(())
        .expect("a request");
    let mut send = send.clone().ready().await.expect("room for a stream");
    let (answer, upward) = send.send_request(request, false).expect("sent");
    let answer = within("an answer", answer).await.expect("an answer");
    if answer.status() != StatusCode::OK {
        return Err(answer.status());
    }
    assert_eq!(answer.headers()["sec-websocket-protocol"], "mainstem.v1.json");
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (read, write) = tokio::io::split(far);
    tokio::spawn(push(upward, read));
    tokio::spawn(pull(answer.into_body(), write));
    Ok(WebSocketStream::from_raw_socket(near, Role::Client, None).await)
}

async fn push(mut send: SendStream<Bytes>, mut from: impl AsyncRead + Unpin) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let mut rest = Bytes::copy_from_slice(&chunk[..count]);
        while !rest.is_empty() {
            send.reserve_capacity(rest.len());
            let Some(Ok(room)) = poll_fn(|cx| send.poll_capacity(cx)).await else {
                return;
            };
            if send.send_data(rest.split_to(room.min(rest.len())), false).is_err() {
                return;
            }
        }
    }
    let _ = send.send_data(Bytes::new(), true);
}

async fn pull(mut receive: RecvStream, mut to: impl AsyncWrite + Unpin) {
    while let Some(Ok(bytes)) = receive.data().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        let _ = receive.flow_control().release_capacity(bytes.len());
    }
    let _ = to.shutdown().await;
}

async fn hear(socket: &mut Socket, kind: &str) -> Value {
    loop {
        match within(kind, socket.next()).await.expect("the session is open").expect("a frame") {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                if frame["type"] == kind {
                    return frame;
                }
            }
            other => panic!("{other:?} where {kind} was expected"),
        }
    }
}

#[tokio::test]
async fn sessions_on_streams_publish_and_follow() {
    let shared = server();
    let (_, key) = shared.server.admin().furnished().await;
    let connection = connection(shared.server.authority()).await;
    assert_eq!(session(&connection, "msk_wrong").await.err(), Some(StatusCode::UNAUTHORIZED));
    let mut one = session(&connection, &key.secret).await.expect("a session");
    let mut two = session(&connection, &key.secret).await.expect("a session");
    for socket in [&mut one, &mut two] {
        hear(socket, "connected").await;
        let subscribe = json!({ "type": "subscribe", "id": 1, "filter": "streams" });
        socket.send(Message::text(subscribe.to_string())).await.expect("sent");
        hear(socket, "subscribed").await;
    }
    for n in 0..20 {
        let view = Sent::json("streams", "key", json!({ "n": n })).view();
        let publish = json!({ "type": "publish", "id": n + 2, "records": [view] });
        one.send(Message::text(publish.to_string())).await.expect("sent");
    }
    for n in 0..20 {
        assert_eq!(hear(&mut two, "record").await["data"]["n"], n);
    }
    // The client ends one session; the other goes on.
    two.close(None).await.expect("a closing handshake");
    one.send(Message::text(json!({ "type": "ping", "id": 99 }).to_string())).await.expect("sent");
    assert_eq!(hear(&mut one, "pong").await["id"], 99);
}

/// The first byte and the payload of the next frame.
async fn frame(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let read = async {
        let first = socket.read_u8().await.expect("a frame");
        let length = match socket.read_u8().await.expect("a length") {
            126 => usize::from(socket.read_u16().await.expect("a length")),
            127 => socket.read_u64().await.expect("a length") as usize,
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).await.expect("a payload");
        (first, payload)
    };
    within("a frame", read).await
}

/// A text message of at most 126 bytes, with a mask of zeros.
fn said(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).expect("a short message")];
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[tokio::test]
async fn long_records_come_compressed_to_who_offers_it() {
    let shared = server();
    let (_, key) = shared.server.admin().furnished().await;
    let mut socket = TcpStream::connect(shared.server.authority()).await.expect("accepted");
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\
         authorization: Bearer {}\r\n\r\n",
        key.secret
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a head", socket.read_u8()).await.expect("a head"));
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.contains("sec-websocket-extensions: permessage-deflate"), "{head}");
    assert_eq!(frame(&mut socket).await.0, 0x81, "what is short is not compressed");
    let subscribe = json!({ "type": "subscribe", "id": 1, "filter": "long" });
    socket.write_all(&said(&subscribe.to_string())).await.expect("sent");
    for _ in ["subscribed", "caught_up"] {
        assert_eq!(frame(&mut socket).await.0, 0x81);
    }
    let text = "the same words again, ".repeat(500);
    let view = Sent::json("long", "key", json!({ "text": text })).view();
    let request = reqwest::Client::new().post(format!("{}/v1/events", shared.server.url));
    let answer = request.bearer_auth(&key.secret).json(&view).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let (first, payload) = frame(&mut socket).await;
    assert_eq!(first, 0xC1);
    assert!(payload.len() < text.len() / 10, "{}", payload.len());
    let mut inflated = Vec::with_capacity(64 * 1024);
    let mut state = Decompress::new(false);
    for part in [&payload[..], &[0, 0, 0xFF, 0xFF]] {
        state.decompress_vec(part, &mut inflated, FlushDecompress::Sync).expect("it inflates");
    }
    let record: Value = serde_json::from_slice(&inflated).expect("JSON");
    assert_eq!((&record["type"], &record["data"]["text"]), (&json!("record"), &json!(text)));
}
