//! Pages of records that are there already.

use super::Stage;
use crate::{Config, LongPoll};
use port::{Mounts, Protocol};
use serde_json::json;
use types::{Limits, TopicConfig};

#[tokio::test]
async fn pages_join_without_gap_or_repeat() {
    let stage = Stage::new();
    for n in 0..5 {
        stage.append(None, &n.to_string()).await;
    }
    let first = stage.read("t/records?limit=2").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.data(), [0, 1]);
    assert_eq!(first.body["end"], false);
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.headers["x-request-id"], "req-1");
    let record = &first.body["records"][1];
    assert_eq!((&record["offset"], &record["id"]), (&json!(1), &json!("t:0:1")));
    let second = stage.read(&format!("t/records?limit=2&from={}", first.next())).await;
    assert_eq!(second.data(), [2, 3]);
    // The cursor of a record goes on right after it.
    let after = record["cursor"].as_str().unwrap();
    assert_eq!(stage.read(&format!("t/records?limit=1&from={after}")).await.data(), [2]);
    let third = stage.read(&format!("t/records?limit=2&from={}", second.next())).await;
    assert_eq!((third.data(), &third.body["end"]), (vec![&json!(4)], &json!(true)));
    let end = stage.read(&format!("t/records?from={}", third.next())).await;
    assert_eq!((end.data().len(), &end.body["end"]), (0, &json!(true)));
    stage.append(None, "5").await;
    assert_eq!(stage.read(&format!("t/records?from={}", end.next())).await.data(), [5]);
}

#[tokio::test]
async fn where_to_start_and_which_key() {
    let stage = Stage::new();
    for n in 0..6 {
        stage.append(Some(if n % 2 == 0 { "even" } else { "odd" }), &n.to_string()).await;
    }
    assert_eq!(stage.read("t/records?from=offset:4").await.data(), [4, 5]);
    assert!(stage.read("t/records?from=latest").await.data().is_empty());
    assert_eq!(stage.read("t/records?from=earliest&key=odd").await.data(), [1, 3, 5]);
    assert_eq!(stage.read("t/records?key_base64=b2Rk&limit=1").await.data(), [1]);
    assert_eq!(stage.read("t/records?key=even&last=2").await.data(), [2, 4]);
    assert!(stage.read("t/records?from=time:99999999999999").await.data().is_empty());
    assert_eq!(stage.read("t/records?from=time:1970-01-01T00:00:00Z").await.data().len(), 6);
}

#[tokio::test]
async fn malformed_requests_are_refused_by_field() {
    let stage = Stage::new();
    let cases = [
        ("t/records?form=latest", 400, "UNKNOWN_FIELD", Some("form")),
        ("t/records?from=offset:x", 400, "INVALID_REQUEST", Some("from")),
        ("t/records?from=forged", 400, "INVALID_CURSOR", Some("from")),
        ("t/records?limit=0", 400, "INVALID_REQUEST", Some("limit")),
        ("t/records?limit=10001", 400, "INVALID_REQUEST", Some("limit")),
        ("t/records?last=2", 400, "INVALID_REQUEST", Some("last")),
        ("t/records?key=a&last=0", 400, "INVALID_REQUEST", Some("last")),
        ("t/records?wait=1h", 400, "INVALID_REQUEST", Some("wait")),
        ("t/records?wait=61s", 400, "INVALID_REQUEST", Some("wait")),
        ("t/records?key=%f", 400, "INVALID_REQUEST", Some("key")),
        ("a%20b/records", 400, "INVALID_TOPIC", Some("topic")),
    ];
    for (query, status, code, field) in cases {
        stage.read(query).await.check(status, code, field);
    }
    let missing = stage.read("none/records").await;
    assert_eq!(
        (missing.status.as_u16(), &missing.body["error"]["code"]),
        (404, &json!("TOPIC_NOT_FOUND"))
    );
    stage.read_as("ms_test_wrong", "t/records").await.check(401, "INVALID_API_KEY", None);
}

#[tokio::test]
async fn a_cursor_of_another_project_is_refused() {
    let stage = Stage::new();
    stage.append(None, "1").await;
    let cursor = stage.read("t/records").await.next().to_owned();
    let other = stage.hub.place(Limits::default());
    stage.hub.topic(other, "t", TopicConfig::default());
    let key = stage.hub.key(other);
    let answer = stage.read_as(&key, &format!("t/records?from={cursor}")).await;
    answer.check(400, "INVALID_CURSOR", Some("from"));
    assert!(stage.read_as(&key, "t/records").await.data().is_empty());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for limit_default in [0, 10_001] {
        let config = Config { limit_default, ..Config::default() };
        assert!(LongPoll::mount(config, &mut Mounts::default()).is_err());
    }
}
