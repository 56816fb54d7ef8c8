//! Everything that reads text of an HTTP client: bodies, queries, starting points, trace contexts.
//! Nothing may panic, and what is taken must hold what the limits promise.

use bolero::check;
use bytes::Bytes;
use serde_json::Value;
use types::limits::{HEADERS_MAX, RECORD_BYTES_MAX, RECORDS_PER_APPEND_MAX};
use wire_http::json::{DEPTH_MAX, parse_json};
use wire_http::parse_publishes;
use wire_http::publish::Framing;
use wire_http::query::{pairs, parse_query};
use wire_http::scan;

fn check_publishes(input: &[u8], framing: Framing) {
    let body = Bytes::copy_from_slice(input);
    let Ok(publishes) = parse_publishes(&body, framing) else { return };
    assert!((1..=RECORDS_PER_APPEND_MAX).contains(&publishes.records.len()));
    for one in publishes.records {
        assert!(one.record.size() <= RECORD_BYTES_MAX);
        assert!(one.record.headers.len() <= HEADERS_MAX + 2);
        assert!(one.record.value.is_some() || one.record.key.is_some());
    }
}

#[test]
fn publishes() {
    check!().for_each(|input: &[u8]| {
        check_publishes(input, Framing::Json);
        check_publishes(input, Framing::Lines);
    });
}

/// Damage in the middle of something that is a publish reaches further than bytes at random.
#[test]
fn damaged_publishes() {
    const GOOD: &[u8] = br#"[{"topic":"a.b","key":"k","data":{"x":[1,"\u00e9"]},"id":"i",
        "headers":{"h":"v"},"timestamp":1},{"topic":"c","data_base64":"AAA="}]"#;
    check!().with_type::<Vec<(u8, u8)>>().for_each(|changes| {
        let mut body = GOOD.to_vec();
        for &(at, byte) in changes.iter().take(8) {
            let at = usize::from(at) % body.len();
            body[at] = byte;
        }
        check_publishes(&body, Framing::Json);
        check_publishes(&body, Framing::Lines);
    });
}

#[test]
fn scanner_agrees_with_serde_json() {
    check!().for_each(|input: &[u8]| {
        let Ok(text) = std::str::from_utf8(input) else {
            let _ = scan::check(input, DEPTH_MAX);
            return;
        };
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        match scan::check(input, DEPTH_MAX) {
            Ok(_) => assert!(is_json),
            Err(scan::Fault::Syntax { .. }) => assert!(!is_json),
            Err(scan::Fault::TooDeep { .. }) => {}
        }
    });
}

#[test]
fn bodies_queries_and_parameters() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let _ = parse_json::<Value>(&text);
        let _ = parse_json::<types::TopicConfig>(&text);
        let _ = pairs(&text);
        let _ = parse_query::<std::collections::BTreeMap<String, String>>(&text);
        let _ = wire_http::parse_from(&text);
        let _ = wire_http::parse_wait(&text, std::time::Duration::from_secs(60));
        let _ = wire_http::param::parse_key(None, Some(&text));
        let _ = wire_http::param::parse_page_cursor(&text);
        let _ = wire_http::trace::is_traceparent(input);
        let _ = wire_http::view::cursor_of(input);
        let _ = wire_http::view::is_json(input);
    });
}
