//! The process's log, figures and bundle as the admin API passes them on.

use super::permissions::BOB;
use super::{Rig, START_MS};
use crate::logbook::{LogFilter, LogLevel, LogLine, Logbook};
use crate::redact::redact;
use axum::body::Body;
use http::Request;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

fn line(level: LogLevel, target: &str, message: &str) -> LogLine {
    let fields: Map<String, Value> = [("topic".to_owned(), json!("Orders"))].into_iter().collect();
    let (target, message) = (target.to_owned(), message.to_owned());
    LogLine { sequence: 0, at: START_MS, level, target, message, fields }
}

fn messages(answer: &Value) -> Vec<&str> {
    let lines = answer["lines"].as_array().expect("lines");
    lines.iter().filter_map(|line| line["message"].as_str()).collect()
}

#[tokio::test]
async fn the_newest_lines_are_shown_and_those_that_come() {
    let rig = Rig::new().await;
    let book = &rig.control.logbook;
    book.push(line(LogLevel::Info, "hub::publish", "one"));
    book.push(line(LogLevel::Warn, "hubris", "two"));
    book.push(line(LogLevel::Error, "storage", "three"));
    let all = rig.get("/v1/logs").await.ok(200);
    assert_eq!(messages(&all), ["one", "two", "three"]);
    let cases = [
        ("level=warn", vec!["two", "three"]),
        ("target=hub", vec!["one"]),
        ("text=ORD", vec!["one", "two", "three"]),
        ("text=thr&level=error", vec!["three"]),
        ("limit=1", vec!["three"]),
        ("level=&target=", vec![]),
    ];
    for (query, wanted) in cases {
        let answer = rig.get(&format!("/v1/logs?{query}")).await;
        match wanted.is_empty() {
            true => answer.refused(400, "INVALID_REQUEST", "level"),
            false => assert_eq!(messages(&answer.ok(200)), wanted, "{query}"),
        }
    }
    let cursor = all["next_cursor"].as_str().expect("a cursor");
    let path = format!("/v1/logs?cursor={cursor}&wait_ms=30000&level=warn");
    let (book, coming) = (rig.control.logbook.clone(), rig.get(&path));
    let pushing = async {
        book.push(line(LogLevel::Info, "hub", "not wanted"));
        tokio::task::yield_now().await;
        book.push(line(LogLevel::Warn, "hub", "four"));
    };
    let (answer, ()) = tokio::join!(coming, pushing);
    let answer = answer.ok(200);
    assert_eq!((messages(&answer), &answer["is_torn"]), (vec!["four"], &json!(false)));
    rig.get("/v1/logs?cursor=x").await.refused(400, "INVALID_CURSOR", "cursor");
}

#[test]
fn a_reader_that_was_too_slow_is_told() {
    let book = Logbook::new(3);
    for number in 0..10 {
        book.push(line(LogLevel::Info, "hub", &number.to_string()));
    }
    let found = book.after(&LogFilter::default(), 2, 10);
    assert_eq!((found.lines.len(), found.place, found.is_torn), (3, 10, true));
    let found = book.after(&LogFilter::default(), 8, 1);
    assert_eq!((found.lines.len(), found.place, found.is_torn), (1, 9, false));
    // A place that another process gave.
    let found = book.after(&LogFilter::default(), 5_000, 10);
    assert_eq!((found.lines.len(), found.is_torn), (3, true));
    let none = Logbook::new(0);
    none.push(line(LogLevel::Error, "hub", "x"));
    assert!(none.newest(&LogFilter::default(), 10).lines.is_empty());
}

#[tokio::test]
async fn lines_are_streamed_as_events() {
    let rig = Rig::new().await;
    for message in ["one", "two"] {
        rig.control.logbook.push(line(LogLevel::Info, "hub", message));
    }
    let mut request = Rig::request("GET", "/v1/logs/stream", "");
    request.headers_mut().insert("last-event-id", "1".parse().unwrap());
    let response = rig.router.clone().oneshot(request).await.expect("routers do not fail");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let first = futures_util::StreamExt::next(&mut body).await.expect("an event").expect("bytes");
    let text = String::from_utf8_lossy(&first);
    assert!(text.contains("id: 2") && text.contains("event: line"), "{text}");
    assert!(text.contains("\"message\":\"two\""), "{text}");
}

#[tokio::test]
async fn figures_are_values() {
    let rig = Rig::new().await;
    let answer = rig.get("/v1/metrics?name=mainstem_connections").await.ok(200);
    let labels = json!({"protocol": "sse", "note": "a \"b\""});
    let wanted =
        json!({"name": "mainstem_connections", "kind": "gauge", "labels": labels, "value": 3.0});
    assert_eq!(answer["metrics"], json!([wanted]));
    let all = rig.get("/v1/metrics").await.ok(200);
    let names: Vec<&Value> =
        all["metrics"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["mainstem_connections", "mainstem_seconds_sum", "mainstem_seconds_count"]);
    assert_eq!(all["metrics"][1]["kind"], "histogram");
}

#[tokio::test]
async fn a_bundle_holds_what_helps_and_no_secret() {
    let rig = Rig::new().await;
    rig.project("p").await;
    let canary = format!("ms_live_{}", "canary".repeat(5));
    rig.control.logbook.push(line(LogLevel::Warn, "hub", &format!("bad key {canary}, again")));
    let bundle = rig.get("/v1/diagnostics").await.ok(200);
    assert_eq!(bundle["about"]["version"], "1.2.3");
    assert_eq!(bundle["tenants"], json!({"active": 1}));
    assert_eq!(bundle["config"], json!({"level": 0}));
    assert_eq!(bundle["metrics"].as_array().map(Vec::len), Some(3));
    assert_eq!(bundle["logs"][0]["message"], "bad key ms_live_***, again");
    let text = bundle.to_string();
    for secret in ["canary", "hush-hush"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("postgres://user:***@host/db is gone"), "{text}");
}

#[test]
fn whatever_looks_like_a_secret_is_blotted_out() {
    let cases = [
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ***"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"),
        ("(sk_live_1234567890)", "(sk_live_***)"),
        ("https://a:b@c/d and x://y", "https://a:***@c/d and x://y"),
        ("the prefix ms_live_ alone", "the prefix ms_live_ alone"),
        ("a word like promss_everything", "a word like promss_everything"),
        ("Zürich – nothing", "Zürich – nothing"),
    ];
    for (text, wanted) in cases {
        let mut document = json!({"a": [text]});
        redact(&mut document);
        assert_eq!(document["a"][0], wanted);
    }
    let mut document = json!({"Password": "x", "token": null, "secret": {"a": 1}});
    redact(&mut document);
    assert_eq!(document, json!({"Password": "***", "token": null, "secret": {"a": 1}}));
}

#[tokio::test]
async fn who_looks_after_one_tenant_sees_nothing_of_the_process() {
    let rig = Rig::new().await;
    rig.owner().await;
    let (tenant, _) = rig.project("p").await;
    let user = rig.user(BOB).await;
    let tenant = super::last_part(&tenant);
    let given = json!({"user": user, "role": "owner", "tenant": tenant});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let access = rig.access(BOB).await;
    for path in ["/v1/logs", "/v1/logs/stream", "/v1/metrics", "/v1/status", "/v1/diagnostics"] {
        let answer = rig.call_as(&access, "GET", path, Value::Null).await;
        answer.refused(403, "INSUFFICIENT_SCOPE", "permission");
    }
    let request = Request::get("/v1/status").body(Body::empty()).unwrap();
    Rig::send(&rig.router, request).await.refused(401, "CREDENTIAL_MISSING", "");
}

#[tokio::test]
async fn what_is_logged_is_set_as_a_revision() {
    let rig = Rig::new().await;
    let body = json!({"log": "debug", "note": "a slow publish"});
    let fixed = rig.call("PUT", "/v1/logs/level", body.clone()).await;
    fixed.refused(501, "UNSUPPORTED", "log");
    let config = json!({"level": 0, "telemetry": {"log": "info"}});
    let wanted = json!({"config": config, "note": "with a log"});
    rig.call("PUT", "/v1/config", wanted).await.ok(200);
    let kept = rig.call("PUT", "/v1/logs/level", body).await.ok(200);
    assert_eq!(kept["config"]["telemetry"]["log"], "debug");
    assert_eq!(rig.get("/v1/config").await.ok(200)["config"]["telemetry"]["log"], "debug");
}
