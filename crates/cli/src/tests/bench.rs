//! The load's own arithmetic, and its protocols against what the documents say.

use crate::bench::dialects::{Role, Settings, make};
use crate::bench::report::text;
use crate::bench::scene::expected;
use proptest::prelude::*;
use serde_json::{Value, json};
use swarm::stamp::{Stamp, value};
use swarm::ws::frame;
use swarm::{Dialect, Heard, Line, Plan};

fn dialect(name: &str, role: Role, address: &str) -> Box<dyn Dialect> {
    let settings = Settings {
        host: "h".to_owned(),
        secrets: vec!["one".to_owned(), "two".to_owned()],
        address: address.to_owned(),
        role,
    };
    let plan = Plan {
        server: "127.0.0.1:1".parse().unwrap(),
        tls_name: None,
        sources: Vec::new(),
        first: 0,
        count: 1,
        streams: 1,
        per_second: 0.0,
        retries_max: 0,
        receive_bytes: 0,
        keeps_cursors: true,
        dialect: name.to_owned(),
        settings: serde_json::to_value(settings).unwrap(),
    };
    make(&plan).unwrap()
}

fn stamped(number: u32) -> String {
    let mut text = Vec::new();
    value(Stamp { due_ns: 5, number }, 40, &mut text);
    String::from_utf8(text).unwrap()
}

/// What a server would say: an answer's head, then these messages.
fn upgraded(first: u8, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut said = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
    for message in messages {
        let mut masked = Vec::new();
        frame(first, message, &mut masked);
        // A server does not mask.
        let head = masked.len() - message.len() - 4;
        masked[1] &= 0x7F;
        said.extend_from_slice(&masked[..head]);
        said.extend_from_slice(message);
    }
    said
}

/// Hears all of `said` in pieces, and tells what was said back.
fn hear(
    dialect: &dyn Dialect,
    said: &[u8],
    piece: usize,
) -> (Line, Heard, Result<Vec<u8>, String>) {
    let (mut line, mut heard, mut out) = (Line::default(), Heard::default(), Vec::new());
    heard.keeps_cursors = true;
    dialect.begin(&mut line, &mut out);
    let mut waiting = Vec::new();
    for bytes in said.chunks(piece) {
        waiting.extend_from_slice(bytes);
        match dialect.hear(&mut line, &waiting, &mut heard, &mut out) {
            Ok(taken) => drop(waiting.drain(..taken)),
            Err(why) => return (line, heard, Err(why)),
        }
    }
    (line, heard, Ok(out))
}

fn json_record(number: u32, offset: u64) -> Vec<u8> {
    let data = stamped(number);
    format!(
        concat!(
            r#"{{"type":"record","sub":1,"topic":"t","partition":0,"offset":{offset},"#,
            r#""data":"{data}","cursor":"c{offset}"}}"#
        ),
        offset = offset,
        data = data
    )
    .into_bytes()
}

#[test]
fn json_is_followed_and_published_to() {
    let dialect = dialect("ws-json", Role::Follow, "t/{n}");
    let said = upgraded(
        0x81,
        &[
            br#"{"type":"connected","project":"p"}"#.to_vec(),
            br#"{"type":"subscribed","id":1,"sub":1,"cursor":"c0"}"#.to_vec(),
            json_record(0, 7),
            json_record(1, 8),
            json_record(1, 8),
        ],
    );
    for piece in [1, 7, said.len()] {
        let (line, heard, out) = hear(dialect.as_ref(), &said, piece);
        let out = String::from_utf8_lossy(&out.unwrap()).into_owned();
        assert!(out.contains("Bearer one") && out.contains(r#""filter":"t/0","from":"latest""#));
        assert!(heard.is_ready);
        assert_eq!((heard.tally.deliveries, heard.tally.doubled, heard.tally.lost), (2, 1, 0));
        assert_eq!((line.cursor.as_deref(), line.offset), (Some("c8"), Some(8)));
    }
    let mut out = Vec::new();
    dialect.publish(&mut Line::default(), 3, &[b"x".to_vec(), b"y".to_vec()], &mut out);
    let said: Value = serde_json::from_slice(&out[out.iter().position(|&b| b == b'{').unwrap()..])
        .expect("the payload of one frame");
    assert_eq!(said["records"][1], json!({"topic": "t", "key": "3", "data": "y"}));
}

#[test]
fn a_refused_publish_is_counted_and_a_refused_subscription_ends() {
    let error = br#"{"type":"error","id":4,"error":{"code":"RATE_LIMIT_EXCEEDED","message":"m"}}"#;
    let said = upgraded(0x81, &[error.to_vec()]);
    let (_, heard, _) = hear(dialect("ws-json", Role::Publish, "t").as_ref(), &said, 9);
    assert_eq!((heard.refused, heard.refusal.as_deref()), (1, Some("RATE_LIMIT_EXCEEDED: m")));
    let (.., outcome) = hear(dialect("ws-json", Role::Follow, "t").as_ref(), &said, 9);
    assert_eq!(outcome, Err("RATE_LIMIT_EXCEEDED: m".to_owned()));
}

#[test]
fn binary_records_are_read_to_their_cursor() {
    let data = stamped(4);
    let mut record = vec![10, 1, 1, b't', 0, 0x90, 0x03, 2, 2, data.len() as u8];
    record.extend_from_slice(data.as_bytes());
    record.extend_from_slice(&[1, 1, b'h', 1, b'v', 3, b'c', b'u', b'r']);
    let subscribed = vec![3, 1, 1, 2, b'c', b'0'];
    let said =
        upgraded(0x82, &[vec![1, 0, 0, 0, 0], subscribed, record, vec![5, 1, 1, 0, 0, 0, 0]]);
    for piece in [1, 5, said.len()] {
        let (line, heard, out) = hear(dialect("ws-bin", Role::Follow, "t").as_ref(), &said, piece);
        assert!(out.unwrap().windows(4).any(|four| four == [3, 1, 1, 0]), "a subscribe frame");
        assert!(heard.is_ready);
        assert_eq!((heard.tally.deliveries, heard.answered), (1, 1));
        assert_eq!((line.cursor.as_deref(), line.offset), (Some("cur"), Some(400)));
    }
}

#[test]
fn streams_of_events_are_followed() {
    let record = String::from_utf8(json_record(2, 5)).unwrap();
    let events = format!("retry: 2000\n\nid: a\n\nid: b\ndata: {record}\n\n: beat\n\n");
    let mut said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in events.as_bytes().chunks(50) {
        said.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        said.extend_from_slice(chunk);
        said.extend_from_slice(b"\r\n");
    }
    for piece in [1, 33, said.len()] {
        let (line, heard, out) = hear(dialect("sse", Role::Follow, "t").as_ref(), &said, piece);
        assert!(
            String::from_utf8_lossy(&out.unwrap()).starts_with("GET /v1/sse?topics=t&from=latest ")
        );
        assert!(heard.is_ready);
        assert_eq!((heard.tally.deliveries, line.cursor.as_deref()), (1, Some("b")));
    }
}

#[test]
fn pages_are_asked_for_one_after_the_other() {
    let page = |records: &str, cursor: &str| {
        let body = format!(r#"{{"records":[{records}],"next_cursor":"{cursor}","end":true}}"#);
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let (one, two) = (json_record(0, 1), json_record(1, 2));
    let records = format!("{},{}", String::from_utf8_lossy(&one), String::from_utf8_lossy(&two));
    let said = page("", "c0") + &page(&records, "c2");
    let (line, heard, out) = hear(dialect("poll", Role::Follow, "t").as_ref(), said.as_bytes(), 11);
    let out = String::from_utf8_lossy(&out.unwrap()).into_owned();
    assert!(out.contains("from=c0&limit=1000&wait=30s") && out.contains("from=c2&"));
    assert!(heard.is_ready);
    assert_eq!((heard.tally.deliveries, line.cursor.as_deref()), (2, Some("c2")));
}

#[test]
fn answers_to_requests_are_counted() {
    let dialect = dialect("rest", Role::Publish, "t");
    let said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\
                HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\
                HTTP/1.1 429 Too Many\r\nContent-Length: 3\r\n\r\nno!";
    let (_, heard, out) = hear(dialect.as_ref(), said.as_bytes(), 13);
    assert!(String::from_utf8_lossy(&out.unwrap()).starts_with("GET /v1/topics?limit=1 "));
    assert!(heard.is_ready);
    assert_eq!((heard.answered, heard.refused, heard.refusal.as_deref()), (1, 1, Some("no!")));
    let mut out = Vec::new();
    dialect.publish(&mut Line { number: 1, ..Line::default() }, 0, &[b"x".to_vec()], &mut out);
    let said = String::from_utf8_lossy(&out).into_owned();
    assert!(
        said.contains("Bearer two") && said.ends_with("\r\n\r\n{\"topic\":\"t\",\"data\":\"x\"}")
    );
}

proptest! {
    /// What is expected is what a simulation of turns delivers.
    #[test]
    fn expected_deliveries_are_those_of_the_turns(
        calls in 0u64..200, batch in 1usize..4, streams in 1u32..20, subscribers in 0u32..50
    ) {
        let mut deliveries = 0;
        for call in 0..calls {
            let stream = (call % u64::from(streams)) as u32;
            let followers = (0..subscribers).filter(|number| number % streams == stream).count();
            deliveries += followers as u64 * batch as u64;
        }
        prop_assert_eq!(expected(calls, batch, streams, subscribers), deliveries);
    }
}

#[test]
fn reports_are_told_line_by_line() {
    let report =
        json!({"a": 1.25, "delivery": {"p50_ms": 2.0}, "pairs": [{"name": "x to y", "p99_ms": 3}]});
    let told = text(&report);
    assert!(told.contains("a  1.250\n"), "{told}");
    assert!(told.contains("delivery  p50_ms 2\n"), "{told}");
    assert!(told.contains("x to y  p99_ms 3\n"), "{told}");
}
