//! The JSON form of records: one line of valid JSON for any content, saying what the record holds.

use crate::view::{JsonForm, cursor_of, write_placed, write_record};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use port::hub::Placed;
use port::{CursorMint, Delivery, Origin};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use types::{Header, Key, Positions, ProjectId, Record, TopicId, TopicName};

struct Mint;

impl CursorMint for Mint {
    fn mint(&self, _: ProjectId, positions: &Positions) -> String {
        let ends: Vec<String> = positions.iter().map(|p| p.next.to_string()).collect();
        format!("c{}", ends.join("-"))
    }
}

fn delivery(record: Record) -> Delivery {
    let origin = Origin {
        project: "prj_00000000000000000000000000000001".parse().unwrap(),
        topic: TopicName::parse("orders").unwrap(),
        topic_id: TopicId(7),
        partitions: 4,
        mint: Arc::new(Mint),
    };
    Delivery::new(Arc::new(origin), 3, 41, 1_700_000_000_000, record)
}

fn header(name: &str, value: &[u8]) -> Header {
    Header { name: Bytes::copy_from_slice(name.as_bytes()), value: Bytes::copy_from_slice(value) }
}

fn view(record: Record) -> Value {
    let delivery = delivery(record);
    let form = delivery.form::<JsonForm>();
    let mut whole = BytesMut::new();
    write_record(&mut whole, &delivery);
    assert_eq!(&whole[..1], b"{");
    assert_eq!(&whole[1..], &form[..]);
    assert!(!form.contains(&b'\n') && !form.contains(&b'\r'));
    assert_eq!(cursor_of(&form), Some("c42"));
    let framed = [b"{\"type\":\"record\",", &form[..]].concat();
    assert!(serde_json::from_slice::<Value>(&framed).is_ok());
    serde_json::from_slice(&whole).unwrap()
}

#[test]
fn a_full_record() {
    let record = Record {
        key: Some(Key::new("eu/42").unwrap()),
        value: Some(Bytes::from_static(b"{\n \"a\": [1, \"x\\n\"]\r\n}")),
        headers: [
            header("ms-id", b"mine"),
            header("ms-publisher", b"key:1"),
            header("ms-schema", b"3"),
            header("content-type", b"application/json"),
            header("traceparent", b"00-1"),
            header("twice", b"old"),
            header("twice", b"new"),
            header("raw", &[255]),
        ]
        .into_iter()
        .collect(),
        timestamp: None,
    };
    let expected = json!({
        "topic": "orders", "partition": 3, "offset": 41, "id": "mine", "key": "eu/42",
        "timestamp": 1_700_000_000_000_i64, "headers": {"traceparent": "00-1", "twice": "new"},
        "headers_base64": {"raw": "/w=="}, "publisher": "key:1",
        "content_type": "application/json", "data": {"a": [1, "x\n"]}, "cursor": "c42",
    });
    assert_eq!(view(record), expected);
}

#[test]
fn a_bare_record_and_a_tombstone() {
    let expected = json!({
        "topic": "orders", "partition": 3, "offset": 41, "id": "orders:3:41",
        "timestamp": 1_700_000_000_000_i64, "headers": {}, "data": null, "tombstone": true,
        "cursor": "c42",
    });
    assert_eq!(view(Record::default()), expected);
    let bytes = Record {
        key: Some(Key::new(vec![255, 1]).unwrap()),
        value: Some(Bytes::from_static(b"not json")),
        ..Record::default()
    };
    let found = view(bytes);
    assert_eq!(found["key_base64"], "/wE=");
    assert_eq!(found["data_base64"], STANDARD.encode("not json"));
    assert!(found.get("data").is_none() && found.get("key").is_none());
}

#[test]
fn json_is_shown_as_json_only_when_nothing_speaks_against_it() {
    let shown = |media: Option<&str>, value: &[u8]| {
        let record = Record {
            value: Some(Bytes::copy_from_slice(value)),
            headers: media.iter().map(|m| header("content-type", m.as_bytes())).collect(),
            ..Record::default()
        };
        view(record).get("data").cloned()
    };
    assert_eq!(shown(None, b"null"), Some(Value::Null));
    assert_eq!(shown(Some("application/cloudevents+json"), b"[1]"), Some(json!([1])));
    assert_eq!(shown(Some("text/plain"), b"1"), None);
    assert_eq!(shown(None, b""), None);
    assert_eq!(shown(None, b"\"\xff\""), None);
    let deep = "[".repeat(65) + &"]".repeat(65);
    assert_eq!(shown(None, deep.as_bytes()), None);
}

#[test]
fn places() {
    let topic = TopicName::parse("orders").unwrap();
    let placed = Placed { partition: 1, offset: 2, timestamp: 3, is_duplicate: false };
    let mut out = BytesMut::new();
    write_placed(&mut out, &topic, None, &placed);
    let expected = r#"{"topic":"orders","partition":1,"offset":2,"id":"orders:1:2","timestamp":3}"#;
    assert_eq!(out, expected);
    out.clear();
    write_placed(&mut out, &topic, Some("a\"b"), &Placed { is_duplicate: true, ..placed });
    let found: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&found["id"], &found["duplicate"]), (&json!("a\"b"), &json!(true)));
}

fn records() -> impl Strategy<Value = Record> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..64);
    let text = any::<String>().prop_map(String::into_bytes);
    let value = prop_oneof![
        bytes(),
        text,
        Just(b"{\r\n\"a\":\"b\"}".to_vec()),
        any::<f64>().prop_map(|n| n.to_string().into_bytes()),
    ];
    let headers = prop::collection::vec((any::<String>(), bytes()), 0..4);
    (prop::option::of(bytes()), prop::option::of(value), headers).prop_map(
        |(key, value, headers)| Record {
            key: key.map(|key| Key::new(key).unwrap()),
            value: value.map(Bytes::from),
            headers: headers.iter().map(|(name, value)| header(name, value)).collect(),
            timestamp: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_record_is_one_line_of_json_and_says_its_value(record in records()) {
        let found = view(record.clone());
        match (&record.value, found.get("data"), found.get("data_base64")) {
            (None, Some(Value::Null), None) => prop_assert_eq!(&found["tombstone"], &json!(true)),
            (Some(value), Some(data), None) => {
                prop_assert_eq!(data, &serde_json::from_slice::<Value>(value).unwrap());
            }
            (Some(value), None, Some(Value::String(text))) => {
                prop_assert_eq!(&STANDARD.decode(text).unwrap(), value);
            }
            _ => prop_assert!(false, "{}", found),
        }
        match (&record.key, found.get("key"), found.get("key_base64")) {
            (None, None, None) => {}
            (Some(key), Some(Value::String(text)), None) => {
                prop_assert_eq!(text.as_bytes(), &key.bytes()[..]);
            }
            (Some(key), None, Some(Value::String(text))) => {
                prop_assert_eq!(&STANDARD.decode(text).unwrap(), key.bytes());
            }
            _ => prop_assert!(false, "{}", found),
        }
    }
}
