//! The scanner agrees with serde_json on what JSON is, and bounds the depth by itself.

use crate::scan::{Fault, check};
use crate::text::{write_base64, write_string};
use base64::Engine;
use bytes::BytesMut;
use proptest::prelude::*;

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

#[test]
fn what_is_json() {
    let good = [
        "null",
        " true ",
        "false\n",
        "0",
        "-0.5e+10",
        "1E9",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "[[],{}]",
        "{\"a\":1,\"b\":[2,{\"c\":null}]}",
        r#""\u12aB\"\\\/\b\f\n\r\t""#,
        "\"ü☃\"",
        "[1 , 2]",
    ];
    let bad = [
        "",
        " ",
        "nul",
        "truex",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "[}",
        "{]",
        "1 2",
        "'a'",
        "{\"a\":1]",
    ];
    for text in good {
        assert!(check(text.as_bytes(), 64).is_ok(), "{text} is JSON");
    }
    for text in bad {
        assert!(matches!(check(text.as_bytes(), 64), Err(Fault::Syntax { .. })), "{text} is not");
    }
}

#[test]
fn depth_is_counted_to_the_bracket() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(check(nested(64).as_bytes(), 64).is_ok());
    assert_eq!(check(nested(65).as_bytes(), 64), Err(Fault::TooDeep { at: 64 }));
    assert_eq!(check(b"[{\"a\":[1]}]", 2), Err(Fault::TooDeep { at: 6 }));
    // A bomb is refused at its first bracket too many, without reading on or going deeper.
    assert_eq!(check(&b"[".repeat(1_000_000), 64), Err(Fault::TooDeep { at: 64 }));
}

#[test]
fn long_strings_are_searched_to_their_end() {
    for length in 0..100 {
        let text = format!("\"{}\"", "x".repeat(length));
        assert!(check(text.as_bytes(), 64).is_ok(), "{length}");
        for at in 1..=length {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = 0x1f;
            assert_eq!(check(&bytes, 64), Err(Fault::Syntax { at }), "{length}");
            bytes[at] = b'\\';
            assert!(check(&bytes, 64).is_err(), "neither `x` nor the last quote is escaped");
            bytes[at] = 0xc3;
            assert!(check(&bytes, 64).is_ok(), "UTF-8 is the caller's to know");
        }
    }
}

#[test]
fn line_breaks_between_tokens_are_seen() {
    let breaks = |text: &str| check(text.as_bytes(), 64).map(|shape| shape.has_line_break);
    assert_eq!(breaks("{\"a\":\"\\n\"}"), Ok(false));
    for text in ["{\n\"a\":1}", "[1,\r2]", "1\n", "\n1"] {
        assert_eq!(breaks(text), Ok(true), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn everything_serde_json_writes_passes(value in json(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        prop_assert!(check(text.unwrap().as_bytes(), 64).is_ok());
    }

    #[test]
    fn it_agrees_with_serde_json_on_damaged_text(
        value in json(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"{}[]\",:\\ntf01.-e \x01".to_vec()),
    ) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
            prop_assert_eq!(check(&bytes, 64).is_ok(), theirs, "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&bytes, 64);
    }

    #[test]
    fn strings_and_base64_read_back(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let mut out = BytesMut::new();
        write_string(&mut out, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        let long = bytes.repeat(100);
        out.clear();
        write_base64(&mut out, &long);
        let written: String = serde_json::from_slice(&out).unwrap();
        let read = base64::engine::general_purpose::STANDARD.decode(written).unwrap();
        prop_assert_eq!(read, long);
    }
}
