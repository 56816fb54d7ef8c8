//! Several topics in one request, all or nothing.

use super::Stage;
use serde_json::json;

#[tokio::test]
async fn records_of_several_topics_are_placed_in_order() {
    let stage = Stage::new();
    let records = json!({ "records": [
        { "topic": "orders", "key": "o1", "data": { "n": 1 }, "id": "a" },
        { "topic": "audit", "data": "o1 made" },
        { "topic": "orders", "key": "o1", "data": { "n": 2 } },
    ] });
    let answer = stage.ask("POST", "/v1/transactions", records.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let placed = &answer.body["records"];
    let topics = placed.as_array().unwrap().iter().map(|one| one["topic"].as_str().unwrap());
    assert_eq!(topics.collect::<Vec<_>>(), ["orders", "audit", "orders"]);
    assert_eq!((&placed[0]["id"], &placed[2]["offset"]), (&json!("a"), &json!(1)));
    assert_eq!(stage.stored("orders").await.len(), 2);
    assert_eq!(stage.stored("audit").await.len(), 1);
    let again = stage.ask("POST", "/v1/transactions", records.to_string()).await;
    assert_eq!(again.body["records"][0]["duplicate"], true);
    assert_eq!(again.body["records"][2]["offset"], 2, "it has no id");
}

#[tokio::test]
async fn what_is_refused_stores_nothing_and_says_why() {
    let stage = Stage::new();
    let large = "x".repeat(2 << 20);
    let records = json!({ "records": [
        { "topic": "orders", "data": 1 },
        { "topic": "audit", "data": large },
    ] });
    let answer = stage.ask("POST", "/v1/transactions", records.to_string()).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(stage.stored("orders").await.is_empty());
    let cases = [
        (json!({}), "INVALID_REQUEST", None),
        (json!({ "records": [] }), "INVALID_REQUEST", Some("records")),
        (
            json!({ "records": [{ "topic": "t", "dat": 1 }] }),
            "UNKNOWN_FIELD",
            Some("records[0].dat"),
        ),
        (json!({ "records": [], "more": 1 }), "UNKNOWN_FIELD", Some("more")),
    ];
    for (body, code, field) in cases {
        let answer = stage.ask("POST", "/v1/transactions", body.to_string()).await;
        assert_eq!(answer.body["error"]["code"], code, "{body}: {answer:?}");
        if field.is_some() {
            assert_eq!(answer.body["error"]["details"]["field"].as_str(), field, "{body}");
        }
    }
}

#[tokio::test]
async fn an_idempotency_key_holds_for_a_transaction() {
    let stage = Stage::new();
    let body = json!({ "records": [{ "topic": "t", "data": 1 }] }).to_string();
    let headers = [("x-api-key", stage.key.as_str()), ("idempotency-key", "k")];
    for turn in 0..2 {
        let answer = stage.ask_with("POST", "/v1/transactions", &headers, body.clone()).await;
        assert_eq!(answer.body["records"][0]["offset"], 0, "turn {turn}");
    }
    assert_eq!(stage.stored("t").await.len(), 1);
}
