//! The pure parts: event parsing, paths, refusals.

use crate::bench::progress::{self, Audience};
use crate::events::{Event, Reader};
use crate::target::{refusal, segment};
use proptest::prelude::*;

fn event(id: Option<&str>, name: &str, data: &str) -> Event {
    Event { id: id.map(str::to_owned), name: name.to_owned(), data: data.to_owned() }
}

#[test]
fn events_are_read_as_the_standard_says() {
    let cases: &[(&str, Vec<Event>)] = &[
        ("data: a\n\n", vec![event(None, "", "a")]),
        ("id: 7\nevent: record\ndata: a\ndata: b\n\n", vec![event(Some("7"), "record", "a\nb")]),
        (": heartbeat\n\n", vec![]),
        ("data:a\r\n\r\ndata: b\n\n", vec![event(None, "", "a"), event(None, "", "b")]),
        ("event: x\n\ndata: a\n\n", vec![event(None, "", "a")]),
        ("data: unfinished\n", vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(Reader::default().push(text.as_bytes()).as_ref(), Ok(expected), "{text:?}");
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(cut in 0usize..40) {
        let text = b"id: 1\ndata: one\n\nid: 2\ndata: two\n\n: c\n\n";
        let mut reader = Reader::default();
        let mut events = reader.push(&text[..cut.min(text.len())]).unwrap();
        events.extend(reader.push(&text[cut.min(text.len())..]).unwrap());
        prop_assert_eq!(events, vec![event(Some("1"), "", "one"), event(Some("2"), "", "two")]);
    }
}

#[test]
fn a_refusal_is_one_line() {
    let body = r#"{"error":{"code":"INVALID_TOPIC","message":"no","details":{"field":"topic",
        "hint":"use letters"},"request_id":"r"}}"#;
    assert_eq!(refusal(body).as_deref(), Some("INVALID_TOPIC: no (field topic); use letters"));
    assert_eq!(refusal("oops"), None);
}

#[test]
fn segments_are_escaped() {
    assert_eq!(segment("a/b c#+"), "a%2Fb%20c%23%2B");
}

#[test]
fn machines_see_no_progress() {
    let audience = Audience::of(true);
    let bars = [progress::bar(audience, 10, "records"), progress::counter(audience, "records")];
    for bar in bars {
        assert!(bar.is_hidden());
        bar.inc(3);
        assert_eq!(bar.position(), 3, "it counts all the same");
    }
}
