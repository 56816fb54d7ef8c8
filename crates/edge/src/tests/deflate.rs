//! permessage-deflate (RFC 7692): what is agreed on, the RFC's own examples, what is refused, and
//! that many share one compressed frame.

use super::frames::client_frame;
use super::harness::{PATIENCE, Running, config, until};
use crate::Config;
use crate::ws::Violation;
use crate::ws::deflate::{Deflater, Inflater};
use crate::ws::extensions::agree;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn offers_are_taken_or_declined() {
    let windowed = format!("{AGREED}; server_max_window_bits=15");
    let table: [(&str, Option<&str>); 17] = [
        ("permessage-deflate", Some(AGREED)),
        ("Permessage-Deflate ; Client_Max_Window_Bits", Some(AGREED)),
        ("permessage-deflate; client_max_window_bits=10", Some(AGREED)),
        ("permessage-deflate; client_no_context_takeover", Some(AGREED)),
        ("permessage-deflate; server_no_context_takeover", Some(AGREED)),
        ("permessage-deflate; server_max_window_bits=15", Some(&windowed)),
        ("permessage-deflate; server_max_window_bits=\"15\"", Some(&windowed)),
        ("permessage-deflate; server_max_window_bits=10", None),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", Some(AGREED)),
        ("x-webkit-deflate-frame, permessage-deflate", Some(AGREED)),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; unheard_of", None),
        ("permessage-bzip2", None),
        ("", None),
    ];
    for (offer, expect) in table {
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-extensions", HeaderValue::from_str(offer).expect("a value"));
        assert_eq!(agree(&headers), expect, "{offer}");
    }
    assert_eq!(agree(&HeaderMap::new()), None);
}

/// The ways in which RFC 7692 section 7.2.3 sends "Hello" from an empty window.
const HELLOS: [&[u8]; 4] = [
    b"\xf2\x48\xcd\xc9\xc9\x07\x00",
    b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
    b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
];

#[test]
fn the_examples_of_the_rfc() {
    let mut inflater = Inflater::default();
    for hello in HELLOS {
        assert_eq!(inflater.inflate(hello, 5), Ok(&b"Hello"[..]));
        assert_eq!(inflater.inflate(hello, 4), Err(Violation::TooBig));
    }
    assert_eq!(inflater.inflate(b"\x00", 10), Ok(&b""[..]), "an empty message");
}

#[test]
fn what_claims_to_be_larger_than_allowed_is_not_inflated() {
    let zeros = vec![0; 64 * 1024 * 1024];
    let mut bomb = Deflater::new(9);
    let bomb = bomb.deflate(&zeros).expect("it is shorter").to_vec();
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    let mut inflater = Inflater::default();
    assert_eq!(inflater.inflate(&bomb, 1_000_000), Err(Violation::TooBig));
    for garbage in [&b"\xff\xff\xff\xff"[..], b"\x06garbage", b"\xf2\x48\xcd"] {
        // What is cut off in the middle is the beginning of something; the rest is nothing.
        let _ = inflater.inflate(garbage, 1_000);
    }
    assert_eq!(inflater.inflate(b"\xff\xff\xff\xff", 1_000), Err(Violation::Deflate));
    assert_eq!(inflater.inflate(HELLOS[0], 5), Ok(&b"Hello"[..]), "nothing of it stays");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_deflated_is_inflated(
        messages in prop::collection::vec(prop::collection::vec(0u8..8, 0..5_000), 1..5),
    ) {
        let (mut deflater, mut inflater) = (Deflater::new(3), Inflater::default());
        for message in &messages {
            let deflated = deflater.deflate(message).map(<[u8]>::to_vec);
            prop_assert!(deflated.is_some() || message.len() < 512);
            if let Some(deflated) = deflated {
                prop_assert!(deflated.len() < message.len());
                let inflated = inflater.inflate(&deflated, message.len());
                prop_assert_eq!(inflated, Ok(&message[..]));
            }
        }
    }

    #[test]
    fn no_input_inflates_to_more_than_the_cap(
        input in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(message) = Inflater::default().inflate(&input, 100) {
            prop_assert!(message.len() <= 100);
        }
    }
}

/// A socket that has become a WebSocket, and what was agreed on.
async fn upgraded(edge: &Running, path: &str, offer: &str) -> (TcpStream, Option<String>) {
    let mut socket = edge.socket().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-extensions: {offer}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let agreed = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
    let agreed = agreed.map(str::to_owned);
    (socket, agreed)
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
    tokio::time::timeout(PATIENCE, read).await.expect("a frame comes")
}

fn settings() -> Config {
    let mut settings = config();
    if let Some(compression) = &mut settings.web_socket.compression {
        compression.threshold_bytes = 100;
    }
    settings
}

#[tokio::test]
async fn messages_are_compressed_both_ways() {
    let edge = Running::start(settings());
    let (mut socket, agreed) = upgraded(&edge, "/v1/ws", "permessage-deflate").await;
    assert_eq!(agreed.as_deref(), Some(AGREED));
    for hello in HELLOS {
        socket.write_all(&client_frame(0xC1, hello)).await.expect("sent");
        assert_eq!(frame(&mut socket).await, (0x81, b"Hello".to_vec()), "too short to compress");
    }
    // In two fragments: only the first says that the message is compressed.
    socket.write_all(&client_frame(0x41, &HELLOS[0][..3])).await.expect("sent");
    socket.write_all(&client_frame(0x89, b"ping")).await.expect("sent");
    socket.write_all(&client_frame(0x80, &HELLOS[0][3..])).await.expect("sent");
    assert_eq!(frame(&mut socket).await, (0x8A, b"ping".to_vec()));
    assert_eq!(frame(&mut socket).await, (0x81, b"Hello".to_vec()));
    // What is not compressed may be mixed in, and what is long is answered compressed.
    let long = "words ".repeat(10_000).into_bytes();
    socket.write_all(&client_frame(0x81, &long)).await.expect("sent");
    let (first, payload) = frame(&mut socket).await;
    assert_eq!(first, 0xC1);
    assert!(payload.len() < long.len() / 10);
    assert_eq!(Inflater::default().inflate(&payload, long.len()), Ok(&long[..]));
    edge.end().await;
}

#[tokio::test]
async fn what_breaks_the_extension_is_closed_with_the_right_code() {
    let mut settings = settings();
    settings.web_socket.message_bytes_max = 10_000;
    let edge = Running::start(settings);
    let zeros = vec![b'0'; 1_000_000];
    let mut deflater = Deflater::new(9);
    let bomb = deflater.deflate(&zeros).expect("it is shorter").to_vec();
    let not_text = deflater.deflate(&[0xFF; 200]).expect("it is shorter").to_vec();
    let offer = "permessage-deflate";
    let table: [(&str, Vec<u8>, u16); 7] = [
        (offer, client_frame(0xC1, &bomb), 1009),
        (offer, client_frame(0xC1, b"\xff\xff\xff\xff"), 1007),
        (offer, client_frame(0xC1, &not_text), 1007),
        (offer, client_frame(0xA1, b"another bit"), 1002),
        (offer, client_frame(0xC9, b"a ping"), 1002),
        (offer, [client_frame(0x01, b"a"), client_frame(0xC0, b"b")].concat(), 1002),
        ("another", client_frame(0xC1, HELLOS[0]), 1002),
    ];
    for (offer, frames, code) in table {
        let (mut socket, _) = upgraded(&edge, "/v1/ws", offer).await;
        socket.write_all(&frames).await.expect("sent");
        let (first, payload) = frame(&mut socket).await;
        let found = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        assert_eq!((first, found), (0x88, Some(code)), "{frames:?}");
    }
    edge.end().await;
}

#[tokio::test]
async fn offers_are_declined_when_it_is_switched_off() {
    let mut settings = config();
    settings.web_socket.compression = None;
    let edge = Running::start(settings);
    let (_, agreed) = upgraded(&edge, "/v1/ws", "permessage-deflate").await;
    assert_eq!(agreed, None);
    edge.end().await;
}

#[tokio::test]
async fn subscribers_share_one_compressed_frame() {
    let edge = Running::start(settings());
    let mut sockets = Vec::new();
    for offer in ["permessage-deflate", "permessage-deflate", "none"] {
        let (mut socket, _) = upgraded(&edge, "/v1/ws?access_token=good", offer).await;
        assert_eq!(frame(&mut socket).await.1, b"welcome");
        socket.write_all(&client_frame(0x81, b"follow")).await.expect("sent");
        assert_eq!(frame(&mut socket).await.1, b"following");
        sockets.push(socket);
    }
    until(|| edge.hub.readers() == 3).await;
    let long = Bytes::from("news ".repeat(1_000));
    edge.hub.publish_all(&[Bytes::from("short"), long.clone()]);
    let mut compressed = Vec::new();
    for (index, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(frame(socket).await, (0x81, b"short".to_vec()));
        let (first, payload) = frame(socket).await;
        assert_eq!(first, if index < 2 { 0xC1 } else { 0x81 });
        compressed.push(payload);
    }
    assert_eq!(compressed[0], compressed[1]);
    assert_eq!(compressed[2], long);
    assert_eq!(Inflater::default().inflate(&compressed[0], long.len()), Ok(&long[..]));
    edge.end().await;
}
