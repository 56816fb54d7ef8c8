//! Sockets that mean harm: each is refused with the right word, and costs what is bounded.

use super::frames::client_frame;
use super::harness::{PATIENCE, Running, config, read_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nhost: x\r\n\
    connection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A socket that has just become a WebSocket.
async fn upgraded(edge: &Running) -> TcpStream {
    let mut socket = edge.socket().await;
    socket.write_all(UPGRADE.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // The example of RFC 6455 section 1.3.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    socket
}

/// The code of the close frame, after which the edge ends the connection.
async fn close_code(mut socket: TcpStream) -> Option<u16> {
    let mut all = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = socket.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..count]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the edge ends the connection");
    match all[..] {
        [0x88, _, high, low, ..] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_are_closed_with_the_right_code() {
    let mut settings = config();
    settings.web_socket.message_bytes_max = 1_000;
    let edge = Running::start(settings);
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("garbage", vec![0xFF; 500], 1002),
        ("http again", UPGRADE.into(), 1002),
        ("unmasked", vec![0x81, 1, b'a'], 1002),
        ("reserved bit", client_frame(0xC1, b"a"), 1002),
        ("reserved opcode", client_frame(0x83, b"a"), 1002),
        ("fragmented ping", client_frame(0x09, b""), 1002),
        ("continuation of nothing", client_frame(0x80, b"a"), 1002),
        ("half a close code", client_frame(0x88, b"\x03"), 1002),
        ("forbidden close code", client_frame(0x88, &1006u16.to_be_bytes()), 1002),
        ("wrong UTF-8", client_frame(0x81, b"\xff\xfe"), 1007),
        ("oversize frame", client_frame(0x81, &[b'a'; 1_001]), 1009),
        ("announced oversize", vec![0x81, 0xFF, 0, 0, 0, 0xFF, 0, 0, 0, 0], 1009),
        (
            "oversize message",
            [client_frame(0x01, &[b'a'; 900]), client_frame(0x80, &[b'a'; 101])].concat(),
            1009,
        ),
        ("wrong kind", client_frame(0x82, b"a"), 1003),
        ("its own code back", client_frame(0x88, &4_321u16.to_be_bytes()), 4_321),
    ];
    for (name, bytes, code) in cases {
        let mut socket = upgraded(&edge).await;
        socket.write_all(bytes).await.expect("sent");
        assert_eq!(close_code(socket).await, Some(*code), "{name}");
    }
    edge.end().await;
}

#[tokio::test]
async fn silence_is_pinged_then_closed() {
    let clock = testkit::clock::ManualClock::shared(0);
    let mut settings = config();
    settings.web_socket.keepalive_ms = 1_000;
    let edge = Running::start_with_clock(settings, clock.clone());
    let mut socket = upgraded(&edge).await;
    clock.advance(std::time::Duration::from_millis(1_100));
    let mut ping = [0; 2];
    socket.read_exact(&mut ping).await.expect("a ping");
    assert_eq!(ping, [0x89, 0]);
    clock.advance(std::time::Duration::from_millis(1_100));
    assert_eq!(close_code(socket).await, Some(1001));
    edge.end().await;
}

#[tokio::test]
async fn a_half_frame_and_an_end_leave_nothing_behind() {
    let edge = Running::start(config());
    let frame = client_frame(0x81, b"never whole");
    for cut in [1, 2, 5, frame.len() - 1] {
        let mut socket = upgraded(&edge).await;
        socket.write_all(&frame[..cut]).await.expect("sent");
        socket.shutdown().await.expect("ended");
        assert_eq!(read_all(&mut socket).await, "");
    }
    edge.end().await;
}

#[tokio::test]
async fn frames_sent_behind_the_upgrade_are_not_lost() {
    let edge = Running::start(config());
    let mut socket = edge.socket().await;
    let mut bytes = UPGRADE.as_bytes().to_vec();
    bytes.extend(client_frame(0x81, b"early"));
    bytes.extend(client_frame(0x88, b"\x03\xe8"));
    socket.write_all(&bytes).await.expect("sent");
    let all = read_all(&mut socket).await;
    assert!(all.contains("\u{fffd}\u{5}early"), "{all}");
    edge.end().await;
}

#[tokio::test]
async fn pings_overtake_and_a_flood_of_them_is_bounded() {
    let edge = Running::start(config());
    let mut socket = upgraded(&edge).await;
    // It sends 64 MB of pings and reads nothing until the edge has stopped to read.
    let flood = client_frame(0x89, &[7; 125]).repeat(8_000);
    let mut sent = 0usize;
    let (mut read, mut write) = socket.split();
    let stalled = async {
        for _ in 0..64 {
            write.write_all(&flood).await.expect("the edge reads");
            sent += flood.len();
        }
    };
    let is_stalled =
        tokio::time::timeout(std::time::Duration::from_secs(2), stalled).await.is_err();
    assert!(is_stalled, "the edge took {sent} bytes and their answers without being read from");
    let mut chunk = vec![0; 64 * 1024];
    assert!(read.read(&mut chunk).await.is_ok_and(|count| count > 0));
    drop(socket);
    edge.end().await;
}

#[track_caller]
fn check_refusal(answer: &str, status: &str, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    assert!(head.starts_with(status), "{answer}");
    assert!(head.contains("x-request-id: "), "{answer}");
    let body: serde_json::Value = serde_json::from_str(body).expect(answer);
    assert_eq!(body["error"]["code"], code, "{answer}");
    assert!(body["error"]["request_id"].is_string(), "{answer}");
}

#[tokio::test]
async fn heads_that_are_no_requests() {
    let mut settings = config();
    settings.http.head_ms_max = 500;
    settings.http.headers_max = 50;
    let edge = Running::start(settings);
    let many = "a: b\r\n".repeat(10_000);
    let long = "a".repeat(200_000);
    let cases: &[(&str, String, &str, &str)] = &[
        ("garbage", "\x01\x02\x03\r\n\r\n".into(), "HTTP/1.1 400 ", "INVALID_REQUEST"),
        ("no http", "hello there\r\n\r\n".into(), "HTTP/1.1 400 ", "INVALID_REQUEST"),
        (
            "bad header",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n".into(),
            "HTTP/1.1 400 ",
            "INVALID_REQUEST",
        ),
        (
            "10,000 headers",
            format!("GET / HTTP/1.1\r\n{many}\r\n"),
            "HTTP/1.1 431 ",
            "PAYLOAD_TOO_LARGE",
        ),
        (
            "a long header",
            format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n"),
            "HTTP/1.1 431 ",
            "PAYLOAD_TOO_LARGE",
        ),
        (
            "51 headers",
            format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(51)),
            "HTTP/1.1 431 ",
            "PAYLOAD_TOO_LARGE",
        ),
        (
            "half a head",
            "GET /v1/thing HTTP/1.1\r\nhost: x\r\n".into(),
            "HTTP/1.1 408 ",
            "INVALID_REQUEST",
        ),
        (
            "a long path",
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(40_000)),
            "HTTP/1.1 431 ",
            "PAYLOAD_TOO_LARGE",
        ),
    ];
    for (name, request, status, code) in cases {
        let answer = edge.raw(request.as_bytes()).await;
        assert!(!answer.is_empty(), "{name}");
        check_refusal(&answer, status, code);
    }
    // Nothing at all ends without a word.
    assert_eq!(edge.raw(b"").await, "");
    edge.end().await;
}

#[tokio::test]
async fn a_head_that_drips_is_cut() {
    let mut settings = config();
    settings.http.head_ms_max = 300;
    let edge = Running::start(settings);
    let mut socket = edge.socket().await;
    let (mut read, mut write) = socket.split();
    let drip = async {
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            if write.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
            pace.tick().await;
        }
    };
    let answer = tokio::select! {
        () = drip => String::new(),
        answer = read_all(&mut read) => answer,
    };
    check_refusal(&answer, "HTTP/1.1 408 ", "INVALID_REQUEST");
    edge.end().await;
}

#[tokio::test]
async fn bodies_that_are_too_long_or_too_slow() {
    let mut settings = config();
    settings.http.body_bytes_max = 1_000;
    settings.http.body_gap_ms_max = 200;
    let edge = Running::start(settings);
    let post = |rest: &str| format!("POST /v1/echo HTTP/1.1\r\nhost: x\r\n{rest}");
    let answer = edge.raw(post("content-length: 1001\r\n\r\n").as_bytes()).await;
    check_refusal(&answer, "HTTP/1.1 413 ", "PAYLOAD_TOO_LARGE");
    let chunk = format!(
        "transfer-encoding: chunked\r\nconnection: close\r\n\r\n600\r\n{}\r\n0\r\n\r\n",
        "x".repeat(0x600)
    );
    let answer = edge.raw(post(&chunk).as_bytes()).await;
    check_refusal(&answer, "HTTP/1.1 413 ", "PAYLOAD_TOO_LARGE");
    let answer = edge.raw(post("content-length: 10\r\n\r\nhalf").as_bytes()).await;
    check_refusal(&answer, "HTTP/1.1 408 ", "INVALID_REQUEST");
    edge.end().await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_told_so() {
    let mut settings = config();
    settings.accept.connections_max = 2;
    let edge = Running::start(settings);
    let first = upgraded(&edge).await;
    let second = upgraded(&edge).await;
    let answer = edge.raw(b"").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("OVERLOADED"), "{answer}");
    let wait = answer.split("retry-after: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let wait: u64 = wait.and_then(|seconds| seconds.parse().ok()).expect("a wait");
    assert!((5..=10).contains(&wait), "{answer}");
    drop(first);
    // The place is free again as soon as the edge has seen the end.
    let again = async {
        loop {
            let answer =
                edge.raw(b"GET /v1/thing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            if answer.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place becomes free");
    drop(second);
    edge.end().await;
}
