//! What is refused, with status, code and field; and the headers that go with answers.

use super::Stage;
use crate::{CLAIMS, Config};
use port::{Code, Mounts, Protocol, Refusal};
use serde_json::json;
use std::time::Duration;
use testkit::memory_hub::{Call, KeySpec, Storage};
use types::{Limits, Scope};

#[tokio::test]
async fn strangers_are_refused_on_every_route() {
    let stage = Stage::new();
    for (method, path) in CLAIMS {
        let method = format!("{method:?}").to_uppercase();
        let path = path.replace("{topic}", "t");
        let answer = stage.ask_with(&method, &path, &[], "{").await;
        answer.check(401, "CREDENTIAL_MISSING", None);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let wrong = [("authorization", "Bearer ms_test_wrong")];
        let answer = stage.ask_with(&method, &path, &wrong, "{").await;
        answer.check(401, "INVALID_API_KEY", None);
        // A credential in the URL of a plain request would end up in logs.
        let query = format!("{path}?access_token={}", stage.key);
        stage.ask_with(&method, &query, &[], "{").await.check(401, "CREDENTIAL_MISSING", None);
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_by_field() {
    let stage = Stage::new();
    let cases = [
        ("POST", "/v1/events", "{", 400, "INVALID_REQUEST", Some("body")),
        ("POST", "/v1/events", "", 400, "INVALID_REQUEST", Some("body")),
        ("POST", "/v1/events", r#"{"topic":"t","data":1,"x":1}"#, 400, "UNKNOWN_FIELD", Some("x")),
        ("POST", "/v1/events?x=1", "{}", 400, "UNKNOWN_FIELD", Some("x")),
        ("POST", "/v1/topics/t/records?kee=1", "", 400, "UNKNOWN_FIELD", Some("kee")),
        ("POST", "/v1/topics/t/records?timestamp=x", "", 400, "INVALID_REQUEST", Some("timestamp")),
        ("POST", "/v1/topics/t/records?key=%ff", "", 400, "INVALID_REQUEST", Some("key")),
        ("POST", "/v1/topics/a%20b/records", "", 400, "INVALID_TOPIC", Some("topic")),
        ("GET", "/v1/topics/%ff", "", 400, "INVALID_TOPIC", Some("topic")),
        ("GET", "/v1/topics/none", "", 404, "TOPIC_NOT_FOUND", None),
        ("DELETE", "/v1/topics/none", "", 404, "TOPIC_NOT_FOUND", None),
        ("GET", "/v1/topics?limit=0", "", 400, "INVALID_REQUEST", Some("limit")),
        ("GET", "/v1/topics?cursor=%25", "", 400, "INVALID_CURSOR", Some("cursor")),
        ("GET", "/v1/topics/t/latest", "", 400, "INVALID_REQUEST", Some("key")),
        ("GET", "/v1/topics/t/keys?limit=1001", "", 400, "INVALID_REQUEST", Some("limit")),
        ("PUT", "/v1/topics/t", r#"{"partition":1}"#, 400, "UNKNOWN_FIELD", Some("partition")),
        (
            "PUT",
            "/v1/topics/t",
            r#"{"retention":{"age":1}}"#,
            400,
            "UNKNOWN_FIELD",
            Some("retention.age"),
        ),
        (
            "PUT",
            "/v1/topics/t",
            r#"{"durability":"high"}"#,
            400,
            "INVALID_REQUEST",
            Some("durability"),
        ),
    ];
    for (method, path, body, status, code, field) in cases {
        let answer = stage.ask(method, path, body).await;
        let named = answer.body["error"]["details"]["field"].as_str().map(str::to_owned);
        // A missing topic may or may not be named; everything else is.
        let field = if status == 404 { named.as_deref() } else { field };
        answer.check(status, code, field);
    }
}

#[tokio::test]
async fn record_headers_that_do_not_exist_are_refused() {
    let stage = Stage::new();
    for (name, field) in [("ms-publisher", "ms-publisher"), ("ms-header-ms-id", "ms-header-ms-id")]
    {
        let headers = [("x-api-key", stage.key.as_str()), (name, "x")];
        let answer = stage.ask_with("POST", "/v1/topics/t/records", &headers, "").await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body["error"]["details"]["field"], field);
    }
}

#[tokio::test]
async fn oversize_is_refused_before_it_is_read() {
    let config = Config { body_bytes_max: 1_000, ..Config::default() };
    let stage = Stage::with(config, stdx::SystemClock::shared());
    for path in ["/v1/events", "/v1/topics/t/records"] {
        stage.ask("POST", path, vec![b' '; 1_001]).await.check(413, "PAYLOAD_TOO_LARGE", None);
    }
    let stage = Stage::new();
    let body = vec![b'x'; 1024 * 1024 + 1];
    let answer = stage.ask("POST", "/v1/topics/t/records", body).await;
    answer.check(413, "PAYLOAD_TOO_LARGE", Some("data"));
    assert_eq!(stage.hub.append_count(), 0);
}

#[tokio::test]
async fn scopes_and_tenants_hold() {
    let stage = Stage::new();
    let spec =
        KeySpec { scopes: [Scope::EventsSubscribe].into_iter().collect(), ..KeySpec::default() };
    let reader = stage.hub.key_with(stage.place, spec);
    let body = r#"{"topic":"t","data":1}"#;
    let answer = stage.ask_with("POST", "/v1/events", &[("x-api-key", &reader)], body).await;
    answer.check(403, "INSUFFICIENT_SCOPE", None);
    stage.ask("POST", "/v1/events", body).await;
    let other = stage.hub.admin_key(stage.hub.place(Limits::default()));
    let other = [("x-api-key", other.as_str())];
    let answer = stage.ask_with("GET", "/v1/topics/t", &other, "").await;
    assert_eq!(answer.body["error"]["code"], "TOPIC_NOT_FOUND");
    let answer = stage.ask_with("GET", "/v1/topics", &other, "").await;
    assert_eq!(answer.body["topics"], json!([]));
}

#[tokio::test]
async fn rates_are_told_and_kept() {
    let stage = Stage::new();
    let key =
        stage.hub.key_with(stage.place, KeySpec { rate_per_second: Some(3), ..KeySpec::default() });
    let headers = [("x-api-key", key.as_str())];
    let answer = stage.ask_with("GET", "/v1/topics/none/keys", &headers, "").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.headers["ratelimit-limit"], "3");
    assert_eq!(answer.headers["ratelimit-remaining"], "2");
    // Also when an extractor refuses after the caller is known.
    let answer = stage.ask_with("GET", "/v1/topics/none/keys?x=1", &headers, "").await;
    assert_eq!(answer.headers["ratelimit-remaining"], "1");
    let mut last = answer;
    for _ in 0..3 {
        last = stage.ask_with("GET", "/v1/topics/none/keys", &headers, "").await;
    }
    last.check(429, "RATE_LIMIT_EXCEEDED", None);
    assert!(last.headers.contains_key("retry-after"));
    assert_eq!(last.headers["ratelimit-remaining"], "0");
}

#[tokio::test]
async fn the_state_of_the_storage_is_told() {
    let stage = Stage::new();
    let body = json!({"topic": "t", "data": 1});
    stage.hub.set_storage(Storage::Full);
    stage.publish(&body).await.check(503, "STORAGE_FULL", None);
    stage.hub.set_storage(Storage::Free);
    assert_eq!(stage.publish(&body).await.status, 200);
    let wait = Duration::from_millis(1_200);
    let busy = Refusal::new(Code::Overloaded, "busy").retry_after(wait);
    stage.hub.refuse_next(Call::Append, busy);
    let answer = stage.publish(&body).await;
    answer.check(503, "OVERLOADED", None);
    assert_eq!(answer.headers["retry-after"], "2");
}

#[test]
fn what_is_claimed_is_what_is_served() {
    let stage = Stage::new();
    let mut served = Vec::new();
    for (path, operations) in stage.openapi["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            served.push((method.clone(), path.clone()));
        }
    }
    let mut claimed: Vec<_> = CLAIMS
        .iter()
        .map(|(method, path)| (format!("{method:?}").to_lowercase(), (*path).to_owned()))
        .collect();
    served.sort();
    claimed.sort();
    assert_eq!(served, claimed);
    assert!(stage.openapi["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let config = Config { body_bytes_max: 0, ..Config::default() };
    let refusal = crate::Rest::mount(config, &mut Mounts::default()).unwrap_err();
    assert_eq!(refusal.field_name(), Some("rest.body_bytes_max"));
    let unknown = serde_json::from_value::<Config>(json!({"body_max": 1}));
    assert!(unknown.unwrap_err().to_string().contains("body_max"));
}
