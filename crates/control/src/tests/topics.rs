//! Topics of any project, through the hub as its operator.

use super::records::collect;
use super::{Rig, last_part, text};
use serde_json::{Value, json};

#[tokio::test]
async fn topics_are_made_listed_and_deleted() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let topics = format!("{project}/topics");
    let one = format!("{topics}/orders");
    let made = rig.call("PUT", &one, json!({"partitions": 4})).await.ok(201);
    assert_eq!((&made["partitions"], &made["durability"]), (&json!(4), &json!("durable")));
    assert_eq!(made["offsets"].as_array().map(Vec::len), Some(4));
    let schema = json!({"partitions": 4, "schema": {"type": "object"}});
    assert_eq!(rig.call("PUT", &one, schema).await.ok(200)["schema_version"], 1);
    let other = json!({"partitions": 4, "schema": {"type": "array"}});
    assert_eq!(rig.call("PUT", &one, other).await.ok(200)["schema_version"], 2);
    let kept = collect(&rig, &format!("{one}/schemas"), "schemas", 1).await;
    let types: Vec<String> = kept.iter().map(|kept| text(&kept["schema"]["type"])).collect();
    assert_eq!(types, ["object", "array"]);

    // Without a body: all defaults.
    rig.call("PUT", &format!("{topics}/plain"), Value::Null).await.ok(201);
    for limit in [1, 2, 3] {
        let listed = collect(&rig, &topics, "topics", limit).await;
        let names: Vec<String> = listed.iter().map(|topic| text(&topic["topic"])).collect();
        assert_eq!(names, ["orders", "plain"]);
    }
    rig.call("DELETE", &project, Value::Null).await.refused(409, "CONFLICT", "");
    rig.call("DELETE", &one, Value::Null).await.ok(204);
    rig.get(&one).await.refused(404, "TOPIC_NOT_FOUND", "");
    let trail = rig.get("/v1/audit?action=topic.create").await.ok(200);
    assert_eq!(trail["records"][0]["actor"], "operator");
}

#[tokio::test]
async fn a_project_is_found_under_its_own_tenant_only() {
    let rig = Rig::new().await;
    let (_, mine) = rig.project("mine").await;
    let (stranger, _) = rig.project("stranger").await;
    rig.call("PUT", &format!("{mine}/topics/t"), json!({})).await.ok(201);
    let crossed = format!("{stranger}/projects/{}/topics", last_part(&mine));
    rig.get(&crossed).await.refused(404, "NOT_FOUND", "");
    rig.get(&format!("{crossed}/t")).await.refused(404, "NOT_FOUND", "");
    rig.call("PUT", &format!("{crossed}/u"), json!({})).await.refused(404, "NOT_FOUND", "");
    rig.call("DELETE", &format!("{crossed}/t"), Value::Null).await.refused(404, "NOT_FOUND", "");
    rig.get(&format!("{crossed}/t/schemas")).await.refused(404, "TOPIC_NOT_FOUND", "");
    rig.get(&format!("{mine}/topics/t")).await.ok(200);
}

#[tokio::test]
async fn bad_names_and_configurations_are_refused() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let topics = format!("{project}/topics");
    for name in ["a%2Fb", "%24presence", "a%20b", "..", &"x".repeat(250)] {
        let answer = rig.call("PUT", &format!("{topics}/{name}"), json!({})).await;
        assert_eq!(answer.status.as_u16(), 400, "{name}: {}", answer.body);
        assert_eq!(answer.code(), "INVALID_TOPIC");
    }
    let one = format!("{topics}/t");
    let table = [
        (json!({"partition": 1}), "UNKNOWN_FIELD", "partition"),
        (json!({"partitions": 0}), "INVALID_REQUEST", "partitions"),
        (json!({"partitions": -1}), "INVALID_REQUEST", "partitions"),
        (json!({"durability": "eternal"}), "INVALID_REQUEST", "durability"),
        (json!({"retention": {"age": 1}}), "UNKNOWN_FIELD", "retention.age"),
        (json!([]), "INVALID_REQUEST", "body"),
    ];
    for (body, code, field) in table {
        let answer = rig.call("PUT", &one, body).await;
        answer.refused(400, code, field);
    }
    rig.get(&one).await.refused(404, "TOPIC_NOT_FOUND", "");
}
