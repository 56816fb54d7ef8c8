//! Property 12, and the writer by itself.

use super::parser::{Parser, Seen};
use super::{Client, Stage};
use crate::frame::{write_event, write_id, write_retry};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use types::{Header, Key, Record, TopicConfig};

fn read(bytes: &[u8]) -> (Vec<Seen>, Parser) {
    let mut parser = Parser::default();
    let mut seen = VecDeque::new();
    parser.feed(bytes, &mut seen);
    (seen.into(), parser)
}

#[test]
fn an_event_line_by_line() {
    let mut out = BytesMut::new();
    write_event(&mut out, Some("c1"), Some("gap"), &[b"{\"a\":", b"1}"]);
    assert_eq!(out, "id: c1\nevent: gap\ndata: {\"a\":1}\n\n");
    out.clear();
    write_event(&mut out, None, None, &[b"one\r", b"\ntwo\r\rthree\n"]);
    assert_eq!(out, "data: one\ndata: two\ndata: \ndata: three\ndata: \n\n");
    out.clear();
    write_retry(&mut out, Duration::from_millis(1_500));
    write_id(&mut out, "a\n\r\0b");
    assert_eq!(out, "retry: 1500\n\nid: ab\n\n");
    let (seen, parser) = read(&out);
    assert!(seen.is_empty());
    assert_eq!((parser.retry_ms, parser.last_event_id.as_str()), (Some(1_500), "ab"));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let awkward = prop::collection::vec(prop::sample::select(b"\r\n:\0 {}\"data".to_vec()), 0..24);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..48),
        any::<String>().prop_map(String::into_bytes),
        awkward,
        any::<String>().prop_map(|text| {
            let json = serde_json::json!({"text": text, "lines": ["\r\n", ": ", "id: x\n\n"]});
            serde_json::to_string_pretty(&json).unwrap().replace('\n', "\r\n").into_bytes()
        }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let header = (any::<String>(), bytes());
    let id = prop::option::of(bytes());
    let media = prop::option::of(prop_oneof![Just(b"application/json".to_vec()), bytes()]);
    let headers = prop::collection::vec(header, 0..3);
    (prop::option::of(bytes()), prop::option::of(bytes()), headers, id, media).prop_map(
        |(key, value, headers, id, media)| {
            let special = [("ms-id", id), ("content-type", media)];
            let special =
                special.into_iter().filter_map(|(name, v)| v.map(|v| (name.to_owned(), v)));
            // Headers that mean something to the hub are given on purpose only.
            let own = headers.into_iter().filter(|(name, _)| !name.starts_with("ms-"));
            let header = |(name, value): (String, Vec<u8>)| Header {
                name: Bytes::from(name.into_bytes()),
                value: Bytes::from(value),
            };
            Record {
                key: key.map(|key| Key::new(key).unwrap()),
                value: value.map(Bytes::from),
                headers: own.chain(special).map(header).collect(),
                timestamp: None,
            }
        },
    )
}

/// What is said of a record's value and key is what was published.
fn check_content(found: &Value, record: &Record) -> Result<(), TestCaseError> {
    let bytes_of = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    match &record.value {
        None => prop_assert_eq!(&found["tombstone"], true),
        Some(value) => match found.get("data") {
            Some(data) => {
                prop_assert_eq!(data, &serde_json::from_slice::<Value>(value).unwrap());
            }
            None => prop_assert_eq!(&bytes_of(&found["data_base64"]), value),
        },
    }
    if let Some(key) = &record.key {
        match found.get("key") {
            Some(text) => prop_assert_eq!(text.as_str(), key.as_str()),
            None => prop_assert_eq!(&bytes_of(&found["key_base64"]), key.bytes()),
        }
    }
    Ok(())
}

async fn replay(records: &[Record]) -> Result<(), TestCaseError> {
    let stage = Stage::new();
    stage.hub.topic(stage.place, "one", TopicConfig::default());
    // Records of one id are stored once.
    let mut ids = HashSet::new();
    let mut stored = Vec::new();
    for record in records {
        stage.append_all("one", vec![record.clone()]).await;
        if record.header("ms-id").is_none_or(|id| ids.insert(id.clone())) {
            stored.push(record);
        }
    }
    let mut client: Client = stage.open("topics=one&from=earliest").await;
    for record in stored {
        let seen = client.next().await.unwrap();
        prop_assert_eq!(&seen.name, "message");
        let found = seen.json();
        prop_assert_eq!(found["cursor"].as_str(), Some(seen.last_event_id.as_str()));
        check_content(&found, record)?;
    }
    let end = client.next().await.unwrap();
    prop_assert_eq!(&end.name, "caught_up");
    prop_assert!(client.parser.is_between_events());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// **Feature: realtime-saas-platform, Property 12: every SSE delivery follows the Server-Sent
    /// Events format**
    #[test]
    fn any_record_makes_a_valid_stream(records in prop::collection::vec(record(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(replay(&records))?;
    }

    #[test]
    fn any_data_reads_back(
        data in bytes().prop_map(|data| String::from_utf8_lossy(&data).into_owned()),
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut out = BytesMut::new();
        let (front, back) = data.as_bytes().split_at(at.index(data.len() + 1));
        write_event(&mut out, Some("id"), None, &[front, back]);
        let expected = data.replace("\r\n", "\n").replace('\r', "\n");
        // However the bytes are cut on their way.
        let mut parser = Parser::default();
        let mut seen = VecDeque::new();
        let (one, other) = out.split_at(cut.index(out.len()));
        parser.feed(one, &mut seen);
        parser.feed(other, &mut seen);
        prop_assert_eq!(seen.len(), 1);
        prop_assert_eq!(&seen[0].data, &expected);
        prop_assert!(parser.is_between_events());
    }
}
