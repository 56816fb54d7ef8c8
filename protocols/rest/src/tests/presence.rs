//! Presence over requests: entered with a lease, renewed, listed in pages, left.

use super::{Answer, Stage};
use crate::Config;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::clock::ManualClock;

fn names(answer: &Answer) -> Vec<&str> {
    let members = answer.body["members"].as_array().expect("members");
    members.iter().filter_map(|member| member["member"].as_str()).collect()
}

#[tokio::test]
async fn a_lease_is_entered_renewed_and_ends() {
    let clock = ManualClock::shared(1_000_000);
    let stage = Stage::with(Config::default(), clock.clone());
    let ann = "/v1/presence/room/members/ann?key=1";
    let enter = json!({"data": {"mood": "fine"}, "lease_ms": 5_000}).to_string();
    let entered = stage.ask("PUT", ann, enter).await;
    assert_eq!(entered.status, 200, "{entered:?}");
    assert_eq!(entered.body["counts"], json!({"members": 1, "connections": 1}));
    assert_eq!(entered.body["lease_ms"], 5_000);
    clock.advance(Duration::from_secs(4));
    // Without data it stays.
    stage.ask("PUT", ann, r#"{"lease_ms":5000}"#).await;
    clock.advance(Duration::from_secs(4));
    let list = "/v1/presence/room?key=1";
    let there = stage.ask("GET", list, "").await;
    assert_eq!(there.body["members"][0]["data"], json!({"mood": "fine"}), "{there:?}");
    stage.ask("PUT", ann, r#"{"data":null,"lease_ms":5000}"#).await;
    let there = stage.ask("GET", list, "").await;
    assert_eq!(there.body["members"][0].get("data"), None, "{there:?}");
    clock.advance(Duration::from_secs(6));
    assert!(names(&stage.ask("GET", list, "").await).is_empty());
}

#[tokio::test]
async fn members_come_in_pages_and_counts_alone() {
    let stage = Stage::new();
    for name in ["c", "a", "b"] {
        for device in ["phone", "desk"] {
            let path = format!("/v1/presence/room/members/{name}");
            let body = json!({"device": device}).to_string();
            assert_eq!(stage.ask("PUT", &path, body).await.status, 200);
        }
    }
    let page = stage.ask("GET", "/v1/presence/room?limit=2", "").await;
    assert_eq!((names(&page), page.body["next"].as_str()), (vec!["a", "b"], Some("b")));
    let rest = stage.ask("GET", "/v1/presence/room?limit=2&after=b", "").await;
    assert_eq!((names(&rest), rest.body.get("next")), (vec!["c"], None));
    let counts = stage.ask("GET", "/v1/presence/room?count_only=true", "").await;
    assert_eq!(counts.body["counts"], json!({"members": 3, "connections": 6}));
    assert!(names(&counts).is_empty());
    let one = stage.ask("DELETE", "/v1/presence/room/members/a?device=desk", "").await;
    assert_eq!(one.body["counts"], json!({"members": 3, "connections": 5}));
    let both = stage.ask("DELETE", "/v1/presence/room/members/a?device=phone", "").await;
    assert_eq!(both.body["counts"], json!({"members": 2, "connections": 4}));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let stage = Stage::new();
    let cases: [(&str, &str, Value, &str); 6] = [
        ("PUT", "/v1/presence/room/members/a", json!({"lease": 1}), "lease"),
        ("PUT", "/v1/presence/room/members/a?limit=1001", json!({}), "limit"),
        ("PUT", "/v1/presence/room/members/a?mood=1", json!({}), "mood"),
        ("GET", "/v1/presence/room?limit=1001", Value::Null, "limit"),
        ("GET", "/v1/presence/no%20room", Value::Null, "topic"),
        ("DELETE", "/v1/presence/room/members/a?key=a&key_base64=YQ", Value::Null, "key_base64"),
    ];
    for (method, path, body, field) in cases {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = stage.ask(method, path, body).await;
        assert_eq!(answer.status, 400, "{method} {path}: {answer:?}");
        assert_eq!(answer.body["error"]["details"]["field"], field, "{path}: {answer:?}");
    }
}
