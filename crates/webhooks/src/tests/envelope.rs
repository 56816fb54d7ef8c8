//! Bodies: the envelope is JSON whatever the record holds.

use crate::envelope::{RECORD_TYPE, body, message_id, moment};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use port::{CursorMint, Delivery, Origin};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use types::{Key, Positions, ProjectId, Record, TopicId, TopicName};
use uuid::Uuid;

struct Plain;

impl CursorMint for Plain {
    fn mint(&self, _: ProjectId, _: &Positions) -> String {
        "cursor".to_owned()
    }
}

pub(super) fn delivery(topic: &str, offset: u64, key: Option<&str>, value: &[u8]) -> Arc<Delivery> {
    let origin = Arc::new(Origin {
        project: ProjectId(Uuid::from_u128(1)),
        topic: TopicName::parse(topic).expect("a topic"),
        topic_id: TopicId(255),
        partitions: 1,
        mint: Arc::new(Plain),
    });
    let record = Record {
        key: key.map(|key| Key::new(key.to_owned()).expect("a key")),
        value: Some(Bytes::copy_from_slice(value)),
        ..Record::default()
    };
    Arc::new(Delivery::new(origin, 0, offset, 1_795_262_400_123, record))
}

fn parsed(delivery: &Delivery) -> Value {
    serde_json::from_slice(&body(delivery)).expect("an envelope is JSON")
}

#[test]
fn a_record_in_its_envelope() {
    let delivery = delivery("orders", 17, Some("eu/42"), br#"{"total":99}"#);
    let found = parsed(&delivery);
    assert_eq!(
        (&found["type"], &found["timestamp"]),
        (&json!(RECORD_TYPE), &json!("2026-11-21T12:00:00.123Z"))
    );
    assert_eq!(found["data"]["topic"], "orders");
    assert_eq!(found["data"]["key"], "eu/42");
    assert_eq!(found["data"]["data"], json!({"total": 99}));
    assert_eq!(message_id(&delivery), "msg_00000000000000ff_0_17");
    assert!(!message_id(&delivery).contains('.'));
}

#[test]
fn a_change_is_an_event_of_its_own() {
    let value = json!({"id": "evt_1", "type": "key.revoked", "target": "key_1"});
    let found = parsed(&delivery("$changes", 3, Some("key/key_1"), value.to_string().as_bytes()));
    assert_eq!((&found["type"], &found["data"]), (&json!("key.revoked"), &value));
    // Something that is no event, though nobody but the platform can write there.
    let found = parsed(&delivery("$changes", 4, None, b"?"));
    assert_eq!(found["type"], RECORD_TYPE);
}

#[test]
fn times() {
    assert_eq!(moment(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(moment(i64::MAX), "1970-01-01T00:00:00.000Z", "what no calendar holds");
}

proptest! {
    #[test]
    fn any_bytes_and_keys(
        value in proptest::collection::vec(any::<u8>(), 0..64),
        key in ".{0,16}",
    ) {
        let found = parsed(&delivery("orders", 1, Some(&key), &value));
        prop_assert_eq!(&found["data"]["key"], &json!(key));
        let bytes = match &found["data"]["data_base64"] {
            Value::String(text) => STANDARD.decode(text).unwrap(),
            _ => {
                let shown: Value = found["data"]["data"].clone();
                prop_assert_eq!(serde_json::from_slice::<Value>(&value).unwrap(), shown);
                value.clone()
            }
        };
        prop_assert_eq!(bytes, value);
    }
}
