//! Refusals as answers, and what strict bodies and queries refuse, by field.

use crate::credential::{TokenPlace, find_credential};
use crate::query::NoQuery;
use crate::refusal::{error_body, refusal_response, status_of};
use crate::{parse_json, parse_query};
use http::HeaderMap;
use port::{Code, Credential, Kind, RateState, Refusal, RequestId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Outer {
    name: String,
    #[serde(default)]
    inner: Vec<Inner>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    count: u32,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    limit: Option<u32>,
    name: String,
    #[serde(default)]
    is_on: bool,
}

#[test]
fn each_kind_has_its_status() {
    let statuses = [
        (Kind::Unauthenticated, 401),
        (Kind::Forbidden, 403),
        (Kind::NotFound, 404),
        (Kind::Conflict, 409),
        (Kind::Invalid, 400),
        (Kind::TooLarge, 413),
        (Kind::RateLimited, 429),
        (Kind::QuotaExceeded, 429),
        (Kind::Overloaded, 503),
        (Kind::NotLeader, 421),
        (Kind::Unsupported, 501),
        (Kind::Unavailable, 503),
        (Kind::Internal, 500),
    ];
    for (kind, status) in statuses {
        assert_eq!(status_of(kind).as_u16(), status, "{kind:?}");
    }
}

#[test]
fn the_error_body_is_whole_and_escaped() {
    let refusal = Refusal::new(Code::RateLimitExceeded, "too \"fast\"\n")
        .field("records[0].a\\b")
        .hint("wait")
        .retry_after(Duration::from_millis(1_500));
    let request = RequestId("r-1".into());
    let body: serde_json::Value =
        serde_json::from_slice(&error_body(&refusal, Some(&request))).unwrap();
    let expected = serde_json::json!({"error": {
        "code": "RATE_LIMIT_EXCEEDED", "message": "too \"fast\"\n",
        "details": {"field": "records[0].a\\b", "hint": "wait", "retry_after_ms": 1_500},
        "request_id": "r-1",
    }});
    assert_eq!(body, expected);
    let bare = Refusal::new(Code::NotFound, "no");
    let body: serde_json::Value = serde_json::from_slice(&error_body(&bare, None)).unwrap();
    let expected =
        serde_json::json!({"error": {"code": "NOT_FOUND", "message": "no", "details": {}}});
    assert_eq!(body, expected);
}

#[test]
fn the_headers_of_a_refusal() {
    let rate = RateState { limit: 10, remaining: 0, reset: Duration::from_millis(2_001) };
    let refusal = Refusal::new(Code::RateLimitExceeded, "no")
        .retry_after(Duration::from_millis(1_001))
        .rate(rate);
    let response = refusal_response(&refusal, Some(&RequestId("r-1".into())));
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("retry-after"), "2");
    assert_eq!(header("ratelimit-limit"), "10");
    assert_eq!(header("ratelimit-remaining"), "0");
    assert_eq!(header("ratelimit-reset"), "3");
    assert_eq!(header("x-request-id"), "r-1");
    assert_eq!(response.extensions().get::<Refusal>(), Some(&refusal));
    let stranger = refusal_response(&Refusal::new(Code::CredentialMissing, "who"), None);
    assert_eq!(stranger.headers()["www-authenticate"], "Bearer");
}

fn check_json(text: &str, code: Code, field: &str) {
    let refusal = parse_json::<Outer>(text).expect_err(text);
    assert_eq!((refusal.code(), refusal.field_name()), (code, Some(field)), "{text}: {refusal}");
    assert!(!refusal.message().contains(" at line 0"), "{refusal}");
}

#[test]
fn bodies_are_refused_by_field() {
    let good = Outer { name: "a".into(), inner: vec![Inner { count: 1 }] };
    assert_eq!(parse_json::<Outer>(r#" {"name":"a","inner":[{"count":1}]} "#), Ok(good));
    check_json(r#"{"name":"a","nmae":1}"#, Code::UnknownField, "nmae");
    check_json(
        r#"{"name":"a","inner":[{"count":1},{"cont":1}]}"#,
        Code::UnknownField,
        "inner[1].cont",
    );
    check_json(r#"{"name":7}"#, Code::InvalidRequest, "name");
    check_json(r#"{"name":"a","inner":[{"count":-1}]}"#, Code::InvalidRequest, "inner[0].count");
    check_json(r#"{"name":"a","inner":[{}]}"#, Code::InvalidRequest, "inner[0].count");
    check_json(r#"{"inner":[]}"#, Code::InvalidRequest, "name");
    check_json(r#"{"name":"a","name":"b"}"#, Code::InvalidRequest, "name");
    check_json("[]", Code::InvalidRequest, "body");
    check_json(r#"["a",[]]"#, Code::InvalidRequest, "body");
    check_json(r#"{"name":"a","inner":[{"count":1},[1]]}"#, Code::InvalidRequest, "inner[1]");
    check_json("", Code::InvalidRequest, "body");
    check_json("{\"name\":\"a\"} x", Code::InvalidRequest, "body");
    check_json("{\"name\":\"a\"", Code::InvalidRequest, "body");
    check_json(&("[".repeat(65) + &"]".repeat(65)), Code::InvalidRequest, "body");
    let hint = parse_json::<Outer>(r#"{"x":1}"#).unwrap_err();
    assert_eq!(hint.hint_text(), Some("expected `name` or `inner`"));
}

/// Every way in which a struct can stand inside something else.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Nested {
    Plain { count: i64 },
    Boxed(Inner),
    Pair(Inner, u8),
    Nothing,
}

#[test]
fn lists_are_no_objects_however_deep() {
    type Deep = BTreeMap<String, Option<Nested>>;
    for (good, bad) in [
        (r#"{"a":{"plain":{"count":1}}}"#, r#"{"a":{"plain":[1]}}"#),
        (r#"{"a":{"boxed":{"count":1}}}"#, r#"{"a":{"boxed":[1]}}"#),
        (r#"{"a":{"pair":[{"count":1},2]}}"#, r#"{"a":{"pair":[[1],2]}}"#),
        (r#"{"a":"nothing","b":null}"#, r#"{"a":["nothing"]}"#),
    ] {
        parse_json::<Deep>(good).expect(good);
        parse_json::<Deep>(bad).expect_err(bad);
    }
    let inner = parse_json::<(Inner, serde_json::Value)>(r#"[{"count":1},{"x":[1,null,"y"]}]"#);
    assert_eq!(inner, Ok((Inner { count: 1 }, serde_json::json!({"x":[1,null,"y"]}))));
}

#[test]
fn queries_are_refused_by_name() {
    let good = Query { limit: Some(3), name: "a b/ü".into(), is_on: true };
    assert_eq!(parse_query("limit=3&name=a+b%2F%C3%BC&&is_on=true"), Ok(good));
    let cases = [
        ("name=a&nmae=b", Code::UnknownField, "nmae"),
        ("limit=3", Code::InvalidRequest, "name"),
        ("name=a&name=b", Code::InvalidRequest, "name"),
        ("name=a&limit=x", Code::InvalidRequest, "limit"),
        ("name=a&limit=-1", Code::InvalidRequest, "limit"),
        ("name=a&is_on=maybe", Code::InvalidRequest, "is_on"),
        ("name=%ff", Code::InvalidRequest, "name"),
        ("name=%2", Code::InvalidRequest, "name"),
        ("name=%zz", Code::InvalidRequest, "name"),
        ("%ff=1", Code::InvalidRequest, "query"),
    ];
    for (query, code, field) in cases {
        let refusal = parse_query::<Query>(query).expect_err(query);
        assert_eq!((refusal.code(), refusal.field_name()), (code, Some(field)), "{query}");
    }
    assert!(parse_query::<NoQuery>("").is_ok());
    assert_eq!(parse_query::<NoQuery>("a=1").unwrap_err().code(), Code::UnknownField);
    assert!(parse_query::<Query>(&"a=1&".repeat(65)).is_err());
}

#[test]
fn where_the_credential_stands() {
    let find = |pairs: &[(&'static str, &str)], query: &str, place| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        find_credential(&headers, Some(query), place).map_err(|refusal| refusal.code())
    };
    let header = TokenPlace::Header;
    let both = TokenPlace::HeaderOrQuery;
    let key = |text: &str| Ok(Some(Credential::ApiKey(text.into())));
    let token = |text: &str| Ok(Some(Credential::Token(text.into())));
    assert_eq!(find(&[("authorization", "Bearer ms_live_1")], "", header), key("ms_live_1"));
    assert_eq!(find(&[("authorization", "bearer  ey.x.y ")], "", header), token("ey.x.y"));
    assert_eq!(find(&[("x-api-key", "ms_test_2")], "", header), key("ms_test_2"));
    assert_eq!(find(&[], "access_token=ms_test_3", both), key("ms_test_3"));
    assert_eq!(find(&[], "access_token=ms_test_3", header), Ok(None));
    assert_eq!(find(&[], "a=b", both), Ok(None));
    let bad = Err(Code::InvalidRequest);
    assert_eq!(find(&[("authorization", "Basic abc")], "", header), bad);
    assert_eq!(find(&[("authorization", "Bearer ")], "", header), bad);
    assert_eq!(find(&[("x-api-key", "")], "", header), bad);
    assert_eq!(find(&[("x-api-key", &"k".repeat(20_000))], "", header), bad);
}
