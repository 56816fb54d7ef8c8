//! Records to publish: what each member becomes, what is refused and under which name.

use crate::publish::{Framing, Publishes, parse_publishes};
use bytes::Bytes;
use port::Code;
use proptest::prelude::*;
use types::Record;
use types::limits::RECORDS_PER_APPEND_MAX;

fn parse(text: &str, framing: Framing) -> Result<Publishes, port::Refusal> {
    parse_publishes(&Bytes::copy_from_slice(text.as_bytes()), framing)
}

fn one(text: &str) -> Record {
    let publishes = parse(text, Framing::Json).expect(text);
    assert!(!publishes.is_list);
    assert_eq!(publishes.records.len(), 1);
    publishes.records.into_iter().next().unwrap().record
}

fn check(text: &str, framing: Framing, code: Code, field: &str) {
    let refusal = parse(text, framing).expect_err(text);
    assert_eq!((refusal.code(), refusal.field_name()), (code, Some(field)), "{text}: {refusal}");
}

#[test]
fn what_the_members_become() {
    let text = r#" {"topic":"a.b","key":"k\n1","data": {"x": [1, "y"]} ,
        "headers":{"h":"v","w":"\""},
        "id":"i-1","timestamp":5,"content_type":"application/json"}"#;
    let body = Bytes::copy_from_slice(text.as_bytes());
    let found = parse_publishes(&body, Framing::Json).unwrap().records.remove(0);
    assert_eq!(found.topic.as_str(), "a.b");
    assert_eq!(found.id(), Some("i-1"));
    let record = found.record;
    assert_eq!(record.key.as_ref().unwrap().as_str(), Some("k\n1"));
    let value = record.value.clone().unwrap();
    assert_eq!(value, r#"{"x": [1, "y"]}"#);
    assert!(body.as_ptr_range().contains(&value.as_ptr()), "the value is a slice of the body");
    assert_eq!(record.timestamp, Some(5));
    let expected: [(&str, &str); 4] =
        [("ms-id", "i-1"), ("content-type", "application/json"), ("h", "v"), ("w", "\"")];
    assert_eq!(record.headers.len(), expected.len());
    for (name, value) in expected {
        assert_eq!(record.header(name).unwrap(), value);
    }
}

#[test]
fn values_in_all_their_ways() {
    let value = |text: &str| one(text).value.map(|value| value.to_vec());
    assert_eq!(value(r#"{"topic":"t","data":"s"}"#), Some(b"\"s\"".to_vec()));
    assert_eq!(value(r#"{"topic":"t","data":1.50}"#), Some(b"1.50".to_vec()));
    assert_eq!(value(r#"{"topic":"t","data_base64":"/wA="}"#), Some(vec![255, 0]));
    assert_eq!(value(r#"{"topic":"t","data_base64":""}"#), Some(vec![]));
    assert_eq!(value(r#"{"topic":"t","key":"k","data":null}"#), None);
    let record = one(r#"{"topic":"t","key_base64":"/wA=","data":1}"#);
    assert_eq!(record.key.unwrap().bytes()[..], [255, 0]);
}

#[test]
fn lists_and_lines() {
    let list = parse(r#"[{"topic":"a","data":1},{"topic":"b","data":2}]"#, Framing::Json).unwrap();
    assert!(list.is_list);
    let topics: Vec<&str> = list.records.iter().map(|one| one.topic.as_str()).collect();
    assert_eq!(topics, ["a", "b"]);
    let lines = "\n{\"topic\":\"a\",\"data\":1}\r\n\n  {\"topic\":\"a\",\"data\":2}";
    let lines = parse(lines, Framing::Lines).unwrap();
    assert!(lines.is_list);
    let values: Vec<_> = lines.records.iter().map(|r| r.record.value.clone().unwrap()).collect();
    assert_eq!(values, ["1", "2"]);
}

#[test]
fn faults_are_named() {
    use Code::{InvalidRequest, InvalidTopic, PayloadTooLarge, UnknownField};
    let json = Framing::Json;
    check(r#"{"topic":"t","data":1,"foo":2}"#, json, UnknownField, "foo");
    let list = r#"[{"topic":"t","data":1},{"topic":"t","data":1,"foo":2}]"#;
    check(list, json, UnknownField, "records[1].foo");
    let lines = "{\"topic\":\"t\",\"data\":1}\n{\"topic\":\"t\",\"data\":1,\"foo\":2}";
    check(lines, Framing::Lines, UnknownField, "records[1].foo");
    check(r#"{"topic":"a b","data":1}"#, json, InvalidTopic, "topic");
    check(r#"[{"topic":"","data":1}]"#, json, InvalidTopic, "records[0].topic");
    check(r#"{"topic":"$presence","data":1}"#, json, InvalidTopic, "topic");
    check(r#"{"data":1}"#, json, InvalidRequest, "topic");
    check(r#"[{"data":1}]"#, json, InvalidRequest, "records[0].topic");
    check(r#"{"topic":7,"data":1}"#, json, InvalidRequest, "topic");
    check(r#"{"topic":"t"}"#, json, InvalidRequest, "data");
    check(r#"{"topic":"t","data":null}"#, json, InvalidRequest, "data");
    check(r#"{"topic":"t","data":1,"data_base64":""}"#, json, InvalidRequest, "data_base64");
    check(r#"{"topic":"t","data_base64":"?"}"#, json, InvalidRequest, "data_base64");
    check(r#"{"topic":"t","data":1,"key":"","key_base64":""}"#, json, InvalidRequest, "key_base64");
    check(r#"{"topic":"t","data":1,"key":1}"#, json, InvalidRequest, "key");
    check(r#"{"topic":"t","data":1,"timestamp":"now"}"#, json, InvalidRequest, "timestamp");
    check(r#"{"topic":"t","data":1,"timestamp":-1}"#, json, InvalidRequest, "timestamp");
    check(r#"{"topic":"t","data":1,"id":""}"#, json, InvalidRequest, "id");
    check(r#"{"topic":"t","data":1,"headers":[]}"#, json, InvalidRequest, "headers");
    check(r#"{"topic":"t","data":1,"headers":{"a":1}}"#, json, InvalidRequest, "headers.a");
    let reserved = r#"[{"topic":"t","data":1,"headers":{"ms-publisher":"me"}}]"#;
    check(reserved, json, InvalidRequest, "records[0].headers.ms-publisher");
    let media = r#"{"topic":"t","data":1,"headers":{"Content-Type":"a/b"}}"#;
    check(media, json, InvalidRequest, "headers.Content-Type");
    check("", json, InvalidRequest, "body");
    check("\n\n", Framing::Lines, InvalidRequest, "records");
    check("[]", json, InvalidRequest, "records");
    let positional = r#"[["t","k",null,1,null,null,null,null,null]]"#;
    check(positional, json, InvalidRequest, "records[0]");
    check("7", json, InvalidRequest, "body");
    check("[1]", json, InvalidRequest, "records[0]");
    let big = format!(r#"{{"topic":"t","data":"{}"}}"#, "x".repeat(1024 * 1024));
    check(&big, json, PayloadTooLarge, "data");
    let deep = format!(r#"{{"topic":"t","data":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    check(&deep, json, InvalidRequest, "body");
}

#[test]
fn too_many_records_and_headers() {
    let record = r#"{"topic":"t","data":1}"#;
    let lines = |count: usize| vec![record; count].join("\n");
    assert!(parse(&lines(RECORDS_PER_APPEND_MAX), Framing::Lines).is_ok());
    check(&lines(RECORDS_PER_APPEND_MAX + 1), Framing::Lines, Code::PayloadTooLarge, "records");
    let list = format!("[{}]", vec![record; RECORDS_PER_APPEND_MAX + 1].join(","));
    check(&list, Framing::Json, Code::InvalidRequest, "records");
    let headers: Vec<String> = (0..65).map(|n| format!("\"h{n}\":\"\"")).collect();
    let text = format!(r#"{{"topic":"t","data":1,"headers":{{{}}}}}"#, headers.join(","));
    check(&text, Framing::Json, Code::InvalidRequest, "headers");
}

#[test]
fn wrong_utf8_is_refused() {
    let body = Bytes::from_static(b"{\"topic\":\"t\",\"data\":\"\xff\"}");
    let refusal = parse_publishes(&body, Framing::Json).unwrap_err();
    assert_eq!(refusal.field_name(), Some("body"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[\\[{]\\{?\"(topic|data|key|id)\":[ -~]{0,40}".prop_map(String::into_bytes),
        ],
        lines in any::<bool>(),
    ) {
        let framing = if lines { Framing::Lines } else { Framing::Json };
        let _ = parse_publishes(&Bytes::from(bytes), framing);
    }

    #[test]
    fn any_text_and_bytes_arrive_unchanged(
        key in any::<String>(),
        value in any::<Vec<u8>>(),
        name in "[a-z]{1,8}",
        text in any::<String>(),
    ) {
        use base64::Engine;
        let base64 = base64::engine::general_purpose::STANDARD.encode(&value);
        let body = serde_json::json!([{
            "topic": "t", "key": key, "data_base64": base64, "headers": {&name: text},
        }]);
        let found = parse(&body.to_string(), Framing::Json).unwrap().records.remove(0).record;
        prop_assert_eq!(found.key.as_ref().unwrap().as_str(), Some(key.as_str()));
        prop_assert_eq!(&found.value.as_ref().unwrap()[..], &value[..]);
        prop_assert_eq!(&found.header(&name).unwrap()[..], text.as_bytes());
    }
}
