//! How a record looks outside, and that its text can be read back and only that.

use crate::format::{DATAGRAM_BYTES_MAX, datagram};
use crate::{Format, syslog};
use proptest::prelude::*;
use serde_json::{Value, json};
use tenancy::{
    AuditHash, AuditOutcome, AuditRecord, audit_link, audit_text, canonical, open_audit,
};

pub(super) fn record(details: Value) -> AuditRecord {
    let mut record = AuditRecord {
        id: "aud_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id"),
        tenant: Some("ten_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id")),
        project: None,
        actor: "operator".to_owned(),
        action: "key.revoke".to_owned(),
        target: "key_1|2".to_owned(),
        details,
        at: 1_795_219_200_123,
        outcome: AuditOutcome::Refused,
        address: Some("203.0.113.7".to_owned()),
        request: Some("req1".to_owned()),
        count: 3,
        link: None,
    };
    record.link = Some(audit_link(&record, 7, AuditHash([1; 32])));
    record
}

#[test]
fn a_syslog_message_is_what_rfc_5424_says() {
    let record = record(json!({"b": "x=y", "a": "\"]\\"}));
    let message = syslog(&record, Format::Json, Some("node 1"));
    let start = "<108>1 2026-11-21T00:00:00.123Z node1 mainstem - key.revoke \
                 [mainstem@32473 sequence=\"7\" hash=\"";
    assert!(message.starts_with(start), "{message}");
    let text = message.split_once("] ").expect("a message").1;
    assert_eq!(open_audit(text).expect("the record itself"), record);
}

#[test]
fn cef_escapes_what_it_must() {
    let mut record = record(json!({"why": "a=b\nc"}));
    record.action = "a|b\\c".to_owned();
    let line = Format::Cef.line(&record);
    assert!(line.starts_with("CEF:0|Mainstem|Mainstem|"), "{line}");
    assert!(line.contains("|a\\|b\\\\c|"), "{line}");
    assert!(line.contains("cs1=key_1|2 ") && line.contains(" src=203.0.113.7 "), "{line}");
    assert!(line.contains("a\\=b\\\\nc") && !line.contains('\n'), "{line}");
}

#[test]
fn a_datagram_is_short() {
    let record = record(json!({"long": "x".repeat(100_000)}));
    let message = datagram(&record, Format::Json, None);
    assert!(message.len() <= DATAGRAM_BYTES_MAX && message.contains("omitted"), "{message}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("\\PC{0,6}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A record's text is read back as it was, and a text with any byte changed is not.
    #[test]
    fn texts_are_read_back_and_changes_are_seen(
        details in value(),
        at in any::<prop::sample::Index>(),
    ) {
        let record = record(details);
        let text = audit_text(&record, &record.link.expect("a place"));
        let parsed: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(&canonical(&parsed), &text);
        let read = open_audit(&text).expect("intact");
        prop_assert_eq!(canonical(&read.details), canonical(&record.details));
        prop_assert_eq!(read.link, record.link);
        let mut bytes = text.into_bytes();
        let place = at.index(bytes.len());
        bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(open_audit(&changed).is_err());
        }
    }
}
