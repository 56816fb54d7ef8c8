//! WebSockets as streams of HTTP/2 connections (RFC 8441), with the client of the `h2` crate under
//! a WebSocket client that others wrote.

use super::harness::{PATIENCE, Running, Talk, config, until};
use super::http::{self_signed, tls};
use bytes::Bytes;
use futures_util::StreamExt;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

const GOOD: &str = "/v1/ws?access_token=good";

type Client = Talk<DuplexStream>;

/// One HTTP/2 connection.
struct Connection(SendRequest<Bytes>);

impl Connection {
    async fn over(
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        window_bytes: u32,
    ) -> Connection {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window_bytes);
        let (send, connection) = builder.handshake(socket).await.expect("a handshake");
        tokio::spawn(connection);
        Connection(send)
    }

    async fn to(edge: &Running) -> Connection {
        let connection = Connection::over(edge.socket().await, 65_535).await;
        until(|| connection.0.is_extended_connect_protocol_enabled()).await;
        connection
    }

    /// The answer to an extended CONNECT, and the stream if it is a good one.
    async fn ask(
        &self,
        path: &str,
        protocol: &'static str,
        headers: Headers<'_>,
    ) -> (StatusCode, HeaderMap, SendStream<Bytes>, RecvStream) {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://edge.example{path}"))
            .extension(h2::ext::Protocol::from_static(protocol));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let mut send = self.0.clone().ready().await.expect("room for a stream");
        let (answer, stream) = send.send_request(request, false).expect("sent");
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer comes");
        let (head, body) = answer.expect("an answer").into_parts();
        (head.status, head.headers, stream, body)
    }

    async fn client(&self, path: &str) -> Client {
        let version = [("sec-websocket-version", "13")];
        let (status, _, send, receive) = self.ask(path, "websocket", &version).await;
        assert_eq!(status, StatusCode::OK);
        let (near, far) = tokio::io::duplex(16 * 1024);
        let (read, write) = tokio::io::split(far);
        tokio::spawn(push(send, read));
        tokio::spawn(pull(receive, write));
        Talk(WebSocketStream::from_raw_socket(near, Role::Client, None).await)
    }
}

/// What the client says goes to the stream, as its window allows; the end too.
async fn push(mut send: SendStream<Bytes>, mut from: impl AsyncRead + Unpin) {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut chunk).await.unwrap_or(0);
        let mut rest = Bytes::copy_from_slice(&chunk[..count]);
        if count == 0 {
            let _ = send.send_data(rest, true);
            return;
        }
        while !rest.is_empty() {
            send.reserve_capacity(rest.len());
            let Some(Ok(room)) = poll_fn(|cx| send.poll_capacity(cx)).await else {
                return;
            };
            let part = rest.split_to(room.min(rest.len()));
            if send.send_data(part, false).is_err() {
                return;
            }
        }
    }
}

/// What the stream brings goes to the client; what it does not take keeps the window shut.
async fn pull(mut receive: RecvStream, mut to: impl AsyncWrite + Unpin) {
    while let Some(Ok(bytes)) = receive.data().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        let _ = receive.flow_control().release_capacity(bytes.len());
    }
    let _ = to.shutdown().await;
}

#[tokio::test]
async fn one_connection_carries_many_sessions_and_requests() {
    let edge = Running::start(config());
    let connection = Connection::to(&edge).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = connection.client(GOOD).await;
        assert_eq!(client.hear().await, "welcome");
        client.say("follow").await;
        assert_eq!(client.hear().await, "following");
        clients.push(client);
    }
    let long = "x".repeat(1_000_000);
    clients[7].say(&long).await;
    assert_eq!(clients[7].hear().await, long);
    for number in 0..50 {
        edge.hub.publish(Bytes::from(format!("news {number}")));
    }
    for client in &mut clients {
        for number in 0..50 {
            assert_eq!(client.hear().await, format!("news {number}"));
        }
    }
    let plain = Request::get("http://edge.example/v1/thing").body(()).expect("a request");
    let mut send = connection.0.clone().ready().await.expect("room for a stream");
    let (answer, _) = send.send_request(plain, true).expect("sent");
    assert_eq!(answer.await.expect("an answer").status(), StatusCode::OK);
    clients[3].0.close(None).await.expect("a closing handshake");
    assert!(clients[3].0.next().await.is_none_or(|end| end.is_ok()));
    until(|| edge.hub.readers() == 19).await;
    // Streams that are cut off leave nothing behind either.
    drop(clients);
    drop((connection, send));
    until(|| edge.hub.readers() == 0).await;
    edge.end().await;
}

type Headers<'a> = &'a [(&'static str, &'a str)];
/// Path, protocol, headers, and the status of the answer.
type Case<'a> = (&'a str, &'static str, Headers<'a>, u16);

#[tokio::test]
async fn refusals_are_answers_of_http() {
    let mut settings = config();
    settings.cors.origins.clear();
    let edge = Running::start(settings);
    let connection = Connection::to(&edge).await;
    let version = ("sec-websocket-version", "13");
    let bad = "/v1/ws?access_token=bad";
    let foreign = ("origin", "https://elsewhere.example");
    let own = ("origin", "http://edge.example");
    let words = ("sec-websocket-protocol", "words");
    let strange = ("sec-websocket-protocol", "strange");
    let table: [Case<'_>; 8] = [
        ("/v1/ws", "websocket", &[version], 200),
        ("/v1/strict", "websocket", &[version, words, own], 200),
        ("/v1/ws", "websocket", &[], 426),
        ("/v1/ws", "connect-udp", &[version], 426),
        ("/v1/nothing", "websocket", &[version], 404),
        (bad, "websocket", &[version], 401),
        ("/v1/ws", "websocket", &[version, foreign], 403),
        ("/v1/strict", "websocket", &[version, strange], 400),
    ];
    for (path, protocol, headers, status) in table {
        let (found, answer, ..) = connection.ask(path, protocol, headers).await;
        assert_eq!(found.as_u16(), status, "{path} {headers:?}");
        assert!(answer.contains_key("x-request-id"));
        let chosen = answer.get("sec-websocket-protocol").map(|name| name.as_bytes());
        assert_eq!(chosen, (path == "/v1/strict" && status == 200).then_some(&b"words"[..]));
    }
    drop(connection);
    edge.end().await;
}

#[tokio::test]
async fn streams_can_be_switched_off() {
    let mut settings = config();
    settings.web_socket.over_http2 = false;
    let edge = Running::start(settings);
    let connection = Connection::over(edge.socket().await, 65_535).await;
    let plain = Request::get("http://edge.example/v1/thing").body(()).expect("a request");
    let mut send = connection.0.clone().ready().await.expect("room for a stream");
    let (answer, _) = send.send_request(plain, true).expect("sent");
    // The settings came before the answer.
    assert_eq!(answer.await.expect("an answer").status(), StatusCode::OK);
    assert!(!connection.0.is_extended_connect_protocol_enabled());
    drop((connection, send));
    edge.end().await;
}

#[tokio::test]
async fn a_stream_whose_window_stays_shut_is_paused_and_catches_up() {
    let edge = Running::start(config());
    // A window of 1,000 bytes: the smallest writes wait for the client.
    let connection = Connection::over(edge.socket().await, 1_000).await;
    until(|| connection.0.is_extended_connect_protocol_enabled()).await;
    let mut slow = connection.client(GOOD).await;
    let mut quick = edge.client(GOOD).await;
    assert_eq!(slow.hear().await, "welcome");
    slow.say("follow").await;
    assert_eq!(slow.hear().await, "following");
    assert_eq!(quick.hear().await, "welcome");
    quick.say("follow").await;
    assert_eq!(quick.hear().await, "following");
    let value = |number: usize| Bytes::from(format!("{number:06}{}", "x".repeat(8 * 1024)));
    for number in 0..100 {
        edge.hub.publish(value(number));
        assert_eq!(quick.hear().await.as_bytes(), value(number));
    }
    until(|| edge.hub.paused() == 1).await;
    for number in 0..100 {
        assert_eq!(slow.hear().await.as_bytes(), value(number));
    }
    until(|| edge.hub.paused() == 0).await;
    drop((slow, connection));
    edge.end().await;
}

#[tokio::test]
async fn every_session_takes_a_place() {
    let mut settings = config();
    settings.accept.connections_max = 3;
    let edge = Running::start(settings);
    let connection = Connection::to(&edge).await;
    let kept = [connection.client(GOOD).await, connection.client(GOOD).await];
    let version = [("sec-websocket-version", "13")];
    let (status, headers, ..) = connection.ask(GOOD, "websocket", &version).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
    drop(kept);
    let connection = &connection;
    let mut found = StatusCode::SERVICE_UNAVAILABLE;
    while found != StatusCode::OK {
        (found, ..) = connection.ask(GOOD, "websocket", &version).await;
    }
    edge.end().await;
}

#[tokio::test]
async fn draining_tells_sessions_on_streams_too() {
    let mut edge = Running::start(config());
    let connection = Connection::to(&edge).await;
    let mut client = connection.client(GOOD).await;
    assert_eq!(client.hear().await, "welcome");
    edge.begin_drain();
    assert!(client.hear().await.starts_with("come back in "));
    assert_eq!(client.closed().await, 1012);
    drop((client, connection));
    edge.end().await;
}

#[tokio::test]
async fn streams_work_over_tls() {
    let edge = Running::start(self_signed());
    let connection = Connection::over(tls(&edge, &[b"h2"]).await, 65_535).await;
    until(|| connection.0.is_extended_connect_protocol_enabled()).await;
    let mut client = connection.client("/v1/ws").await;
    client.say("hello").await;
    assert_eq!(client.hear().await, "hello");
    client.say("forbid").await;
    assert_eq!(client.closed().await, 4403);
    drop((client, connection));
    edge.end().await;
}
