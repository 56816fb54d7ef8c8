//! Values of queries and headers, as tables.

use crate::param::{page_cursor, parse_key, parse_limit, parse_page_cursor};
use crate::trace::is_traceparent;
use crate::view::is_json;
use crate::{parse_from, parse_wait};
use std::time::Duration;
use types::{ConsumerName, From};

#[test]
fn where_to_start() {
    let good = [
        ("earliest", From::Earliest),
        ("latest", From::Latest),
        ("offset:12", From::Offset(12)),
        ("time:1700000000000", From::Time(1_700_000_000_000)),
        ("time:2024-01-01T00:00:00Z", From::Time(1_704_067_200_000)),
        ("time:2024-01-01T02:00:00.5+02:00", From::Time(1_704_067_200_500)),
        ("consumer:mail", From::Consumer(ConsumerName::parse("mail").unwrap())),
        ("abc", From::Cursors(vec!["abc".into()])),
        ("abc,d-_e", From::Cursors(vec!["abc".into(), "d-_e".into()])),
    ];
    for (text, from) in good {
        assert_eq!(parse_from(text), Ok(from), "{text}");
    }
    let many = ["a"; 2_049].join(",");
    let bad = [
        "",
        "offset:",
        "offset:-1",
        "offset:x",
        "time:",
        "time:yesterday",
        "when:1",
        "consumer:",
        "consumer:a b",
        ",",
        "a,",
        &many,
    ];
    for text in bad {
        let refusal = parse_from(text).expect_err(text);
        assert_eq!(refusal.field_name(), Some("from"), "{text}");
    }
}

#[test]
fn how_long_to_wait() {
    let max = Duration::from_secs(60);
    let good = [("30s", 30_000), ("500ms", 500), ("10", 10_000), ("1m", 60_000), ("0", 0)];
    for (text, ms) in good {
        assert_eq!(parse_wait(text, max), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in ["", "s", "1h", "-1", "1.5", "61s", "99999999999999999999", "18446744073709551615m"]
    {
        assert_eq!(parse_wait(text, max).expect_err(text).field_name(), Some("wait"), "{text}");
    }
}

#[test]
fn keys_limits_and_pages() {
    let key = |text, base64| parse_key(text, base64).map(|key| key.map(|k| k.bytes().to_vec()));
    assert_eq!(key(None, None), Ok(None));
    assert_eq!(key(Some("a/b"), None), Ok(Some(b"a/b".to_vec())));
    assert_eq!(key(None, Some("/wA=")), Ok(Some(vec![255, 0])));
    assert!(key(Some("a"), Some("YQ==")).is_err());
    assert!(key(None, Some("no base64")).is_err());
    assert!(key(Some(&"k".repeat(70_000)), None).is_err());
    assert_eq!(parse_limit(None, 100, 1_000), Ok(100));
    assert_eq!(parse_limit(Some(1_000), 100, 1_000), Ok(1_000));
    assert!(parse_limit(Some(0), 100, 1_000).is_err());
    assert!(parse_limit(Some(1_001), 100, 1_000).is_err());
    assert_eq!(parse_page_cursor(&page_cursor(&[255, 0, 1])), Ok(vec![255, 0, 1]));
    assert!(parse_page_cursor("%").is_err());
}

#[test]
fn trace_contexts() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert!(is_traceparent(good.as_bytes()));
    assert!(is_traceparent(b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what"));
    let bad = [
        "",
        "00",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
    ];
    for text in bad {
        assert!(!is_traceparent(text.as_bytes()), "{text}");
    }
}

#[test]
fn media_types_that_are_json() {
    for media in ["application/json", "Application/JSON; charset=utf-8", "text/json", "a/b+json"] {
        assert!(is_json(media.as_bytes()), "{media}");
    }
    for media in ["", "text/plain", "application/jsonl", "+jso", "json"] {
        assert!(!is_json(media.as_bytes()), "{media}");
    }
}
