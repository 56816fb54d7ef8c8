//! The node's configuration: changed while it runs, traced, taken back.

use super::Rig;
use super::records::collect;
use serde_json::{Value, json};

#[tokio::test]
async fn a_change_is_checked_kept_and_taken_back() {
    let rig = Rig::new().await;
    let first = rig.get("/v1/config").await.ok(200);
    assert_eq!((&first["config"], &first["revision"]), (&json!({"level": 0}), &Value::Null));
    for level in [1, 2] {
        let body = json!({"config": {"level": level}, "note": "more"});
        let kept = rig.call("PUT", "/v1/config", body).await.ok(200);
        assert_eq!((&kept["revision"], &kept["actor"]), (&json!(level), &json!("operator")));
    }
    let bad = json!({"config": {"level": "high"}, "note": "more"});
    rig.call("PUT", "/v1/config", bad).await.refused(400, "INVALID_REQUEST", "level");
    let silent = json!({"config": {"level": 3}, "note": " "});
    rig.call("PUT", "/v1/config", silent).await.refused(400, "INVALID_REQUEST", "note");
    assert_eq!(rig.get("/v1/config").await.ok(200)["config"]["level"], 2);

    let back = json!({"revision": 1, "note": "too much"});
    let kept = rig.call("POST", "/v1/config/rollback", back).await.ok(200);
    assert_eq!((&kept["revision"], &kept["config"]), (&json!(3), &json!({"level": 1})));
    assert_eq!(rig.get("/v1/config").await.ok(200)["config"]["level"], 1);
    let nowhere = json!({"revision": 9, "note": "x"});
    rig.call("POST", "/v1/config/rollback", nowhere).await.refused(404, "NOT_FOUND", "revision");

    let revisions = collect(&rig, "/v1/config/revisions", "revisions", 2).await;
    let numbers: Vec<&Value> = revisions.iter().map(|kept| &kept["revision"]).collect();
    assert_eq!(numbers, [&json!(3), &json!(2), &json!(1)]);
    let trail = rig.get("/v1/audit?action=config.change").await.ok(200);
    assert_eq!(trail["records"].as_array().map(Vec::len), Some(3));
    assert_eq!(trail["records"][0]["tenant"], Value::Null);
}

#[tokio::test]
async fn what_a_configuration_would_change_is_told_without_changing_it() {
    let rig = Rig::new().await;
    let wanted = json!({"text": "{\"level\": 5}", "format": "json"});
    let told = rig.call("POST", "/v1/config/validate", wanted).await.ok(200);
    assert_eq!((&told["is_valid"], &told["needs_restart"]), (&json!(true), &json!(false)));
    let change = json!({"key": "level", "from": 0, "to": 5, "effect": null});
    assert_eq!(told["differences"], json!([change]));
    let told = rig.call("POST", "/v1/config/validate", json!({"config": {}})).await.ok(200);
    assert_eq!((&told["is_valid"], &told["problems"][0]["key"]), (&json!(false), &json!("level")));
    for both in [json!({}), json!({"config": {}, "text": ""})] {
        let answer = rig.call("POST", "/v1/config/validate", both).await;
        answer.refused(400, "INVALID_REQUEST", "config");
    }
    assert_eq!(rig.get("/v1/config").await.ok(200)["config"]["level"], 0);
    for level in [1, 2] {
        let body = json!({"config": {"level": level}, "note": "more"});
        rig.call("PUT", "/v1/config", body).await.ok(200);
    }
    let diff = rig.get("/v1/config/diff?from=1").await.ok(200);
    assert_eq!(
        (&diff["differences"][0]["from"], &diff["differences"][0]["to"]),
        (&json!(1), &json!(2))
    );
    rig.get("/v1/config/diff?from=7").await.refused(404, "NOT_FOUND", "revision");
}

#[tokio::test]
async fn a_node_with_a_fixed_configuration_says_so() {
    let rig = Rig::new().await;
    let control = crate::Control { configuration: None, ..rig.control.clone() };
    let request = Rig::request("GET", "/v1/config", "");
    Rig::send(&control.routes(), request).await.refused(501, "UNSUPPORTED", "");
}
