//! What is refused before a consumer is asked, by the name of the field. What consumers do is
//! tested where they are: in the hub, and end to end.

use super::Stage;
use serde_json::json;

const AT: &str = "/v1/topics/orders/consumers/mail";

#[tokio::test]
async fn bodies_are_read_strictly() {
    let stage = Stage::new();
    let token = |more: serde_json::Value| {
        let mut one = json!({"token": "t", "action": "acknowledge"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "settlements": [one] })
    };
    let cases = [
        ("PUT", "", json!({"start": "yesterday"}), Some("start")),
        ("PUT", "", json!({"backoff": {"delays": [1]}}), Some("backoff.delays")),
        ("PUT", "", json!({"max_deliveries": 1}), Some("max_deliveries")),
        ("PUT", "", json!({"ordering": "sorted"}), Some("ordering")),
        ("POST", "/fetch", json!({"records_max": 0}), Some("records_max")),
        ("POST", "/fetch", json!({"records_max": 1001}), Some("records_max")),
        ("POST", "/fetch", json!({"bytes_max": 0}), Some("bytes_max")),
        ("POST", "/fetch", json!({"wait_ms": 60_001}), Some("wait_ms")),
        ("POST", "/fetch", json!({"wait": 1}), Some("wait")),
        ("POST", "/settle", json!({"settlements": []}), Some("settlements")),
        ("POST", "/settle", token(json!({"action": "nack"})), Some("settlements[0].action")),
        ("POST", "/settle", token(json!({"delay_ms": 1})), Some("settlements[0].delay_ms")),
        ("POST", "/settle", token(json!({"reason": "x"})), Some("settlements[0].reason")),
        (
            "POST",
            "/settle",
            token(json!({"action": "retry", "delay_ms": 86_400_001u64})),
            Some("settlements[0].delay_ms"),
        ),
        ("POST", "/commit", json!({"cursor": "x"}), Some("cursor")),
        ("POST", "/reset", json!({}), Some("to")),
        ("POST", "/reset", json!({"to": "now"}), Some("to")),
        ("POST", "/reset", json!({"to": "latest", "positions": []}), Some("to")),
        ("POST", "/dead-letters/replay", json!({"to": "nowhere"}), Some("to")),
        ("POST", "/dead-letters/replay", json!({"limit": 1, "letters": []}), Some("limit")),
        ("DELETE", "/dead-letters", json!({"letters": []}), Some("letters")),
        ("DELETE", "/dead-letters", json!({"limit": 0}), Some("limit")),
    ];
    for (method, rest, body, field) in cases {
        let answer = stage.ask(method, &format!("{AT}{rest}"), body.to_string()).await;
        assert_eq!(answer.status, 400, "{method} {rest} {body}: {answer:?}");
        assert_eq!(answer.body["error"]["details"]["field"].as_str(), field, "{body} {answer:?}");
    }
}

#[tokio::test]
async fn names_are_checked_and_a_hub_without_consumers_says_so() {
    let stage = Stage::new();
    let answer = stage.ask("GET", "/v1/topics/orders/consumers/a%20b", "").await;
    answer.check(400, "INVALID_REQUEST", Some("consumer"));
    let answer = stage.ask("GET", "/v1/topics/o%20s/consumers/a", "").await;
    answer.check(400, "INVALID_TOPIC", Some("topic"));
    let answer = stage.ask("GET", AT, "").await;
    assert_eq!(answer.body["error"]["code"], "UNSUPPORTED", "{answer:?}");
    let stranger = stage.ask_with("GET", AT, &[], "").await;
    assert_eq!(stranger.status, 401);
}
