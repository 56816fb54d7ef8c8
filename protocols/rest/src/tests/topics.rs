//! Topics, latest values and keys.

use super::Stage;
use serde_json::{Value, json};

#[tokio::test]
async fn a_topic_from_creation_to_deletion() {
    let stage = Stage::new();
    let config = json!({
        "partitions": 3, "durability": "relaxed", "retention": {"age_ms_max": 1_000},
        "schema": {"type": "object"},
    });
    let answer = stage.ask("PUT", "/v1/topics/orders", config.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.body;
    assert_eq!(made["topic"], "orders");
    assert_eq!(made["partitions"], 3);
    assert_eq!(made["durability"], "relaxed");
    assert_eq!(
        made["retention"],
        json!({"age_ms_max": 1_000, "bytes_max": null, "records_max": null})
    );
    assert_eq!(made["schema"], json!({"type": "object"}));
    assert_eq!(made["offsets"][2], json!({"partition": 2, "start": 0, "end": 0}));
    assert_eq!(stage.ask("GET", "/v1/topics/orders", "").await.body, made);
    let again = stage.ask("PUT", "/v1/topics/orders", config.to_string()).await;
    assert_eq!(again.status, 200, "{again:?}");
    let answer = stage.ask("DELETE", "/v1/topics/orders", "").await;
    assert_eq!((answer.status.as_u16(), answer.body), (204, Value::Null));
    assert_eq!(stage.ask("GET", "/v1/topics/orders", "").await.status, 404);
    assert_eq!(stage.ask("PUT", "/v1/topics/plain", "").await.status, 201, "no body, no options");
}

/// All names of a list, page by page.
async fn pages(stage: &Stage, path: &str, list: &str, item: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = stage.ask("GET", &format!("{path}?limit=2{cursor}"), "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let items = answer.body[list].as_array().unwrap();
        pages.push(items.iter().map(|found| found[item].as_str().unwrap().to_owned()).collect());
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let stage = Stage::new();
    for name in ["c", "a", "e", "b", "d"] {
        let body = json!([
            {"topic": name, "data": 1}, {"topic": "keyed", "key": name, "data": 1},
        ]);
        stage.publish(&body).await;
    }
    let expected = [vec!["a", "b"], vec!["c", "d"], vec!["e"]];
    assert_eq!(pages(&stage, "/v1/topics/keyed/keys", "keys", "key").await, expected);
    let expected = [vec!["a", "b"], vec!["c", "d"], vec!["e", "keyed"]];
    assert_eq!(pages(&stage, "/v1/topics", "topics", "topic").await, expected);
}

#[tokio::test]
async fn the_latest_value_of_a_key() {
    let stage = Stage::new();
    let latest = "/v1/topics/t/latest?key=a%2F1";
    stage.publish(&json!({"topic": "t", "key": "a/1", "data": {"v": 1}})).await;
    stage.publish(&json!({"topic": "t", "key": "a/1", "data": {"v": 2}})).await;
    let answer = stage.ask("GET", latest, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.body["data"], &answer.body["offset"]), (&json!({"v": 2}), &json!(1)));
    let cursor = answer.body["cursor"].as_str().unwrap();
    assert!(!cursor.is_empty());
    let missing = stage.ask("GET", "/v1/topics/t/latest?key=b", "").await;
    missing.check(404, "NOT_FOUND", Some("key"));
    stage.publish(&json!({"topic": "t", "key": "a/1", "data": null})).await;
    stage.ask("GET", latest, "").await.check(404, "NOT_FOUND", Some("key"));
    let keys = stage.ask("GET", "/v1/topics/t/keys", "").await;
    assert_eq!(keys.body, json!({"keys": [], "next_cursor": null}));
    let bytes = stage.ask("POST", "/v1/topics/t/records?key_base64=%2FwA%3D", "x").await;
    assert_eq!(bytes.status, 200);
    let answer = stage.ask("GET", "/v1/topics/t/latest?key_base64=%2FwA%3D", "").await;
    assert_eq!(answer.body["key_base64"], "/wA=");
    let keys = stage.ask("GET", "/v1/topics/t/keys", "").await;
    assert_eq!(keys.body["keys"], json!([{"key_base64": "/wA="}]));
}
