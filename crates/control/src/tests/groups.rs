//! Kafka's groups: seen in their own project only, put elsewhere and forgotten while nobody is in
//! them, and in the trail when they were.

use super::records::collect;
use super::rig_groups::{RigGroup, RigGroups};
use super::{Rig, last_part, text};
use crate::Control;
use serde_json::{Value, json};
use std::sync::Arc;

/// A project with three groups, and the path of its groups.
async fn stage() -> (Rig, Arc<RigGroups>, String) {
    let mut rig = Rig::new().await;
    let groups = Arc::new(RigGroups::default());
    rig.control = Control { groups: Some(groups.clone()), ..rig.control.clone() };
    rig.router = rig.control.routes();
    let (_, project) = rig.project("p").await;
    let id = last_part(&project).parse().expect("an id");
    for (name, members) in [("billing", 0), ("mail/out", 0), ("workers", 2)] {
        let group = RigGroup { members, committed: 4 };
        groups.0.lock().insert((id, name.to_owned()), group);
    }
    (rig, groups, format!("{project}/kafka/groups"))
}

#[tokio::test]
async fn groups_are_listed_and_looked_at() {
    let (rig, _, groups) = stage().await;
    for limit in [1, 2, 3] {
        let listed = collect(&rig, &groups, "groups", limit).await;
        let names: Vec<String> = listed.iter().map(|group| text(&group["name"])).collect();
        assert_eq!(names, ["billing", "mail/out", "workers"]);
    }
    let workers = rig.get(&format!("{groups}/workers")).await.ok(200);
    assert_eq!((&workers["state"], &workers["lag"]), (&json!("Stable"), &json!(6)));
    assert_eq!(workers["member_list"][1]["id"], "m-1");
    let part = &workers["partitions"][0];
    let (committed, end, lag) = (&part["committed"], &part["end"], &part["lag"]);
    assert_eq!((committed, end, lag), (&json!(4), &json!(10), &json!(6)));
    assert_eq!(part["member"], "m-0");
    // A name is any text.
    let mail = rig.get(&format!("{groups}/mail%2Fout")).await.ok(200);
    assert_eq!(mail["name"], "mail/out");
    rig.get(&format!("{groups}/nobody")).await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn nobody_sees_or_touches_another_projects_groups() {
    let (rig, kept, groups) = stage().await;
    let (stranger, other) = rig.project("other").await;
    let empty = rig.get(&format!("{other}/kafka/groups")).await.ok(200);
    assert_eq!(empty["groups"], json!([]));
    let project = groups.split('/').nth(5).expect("an id");
    let to = json!({"to": "latest"});
    // Under its own name in another project, and in its project under another tenant.
    for crossed in [
        format!("{other}/kafka/groups/billing"),
        format!("{stranger}/projects/{project}/kafka/groups/billing"),
    ] {
        rig.get(&crossed).await.refused(404, "NOT_FOUND", "");
        let reset = rig.call("POST", &format!("{crossed}/reset"), to.clone()).await;
        reset.refused(404, "NOT_FOUND", "");
        rig.call("DELETE", &crossed, Value::Null).await.refused(404, "NOT_FOUND", "");
    }
    assert!(kept.0.lock().values().all(|group| group.committed == 4));
    assert_eq!(kept.0.lock().len(), 3);
}

#[tokio::test]
async fn a_reset_is_tried_first_then_done_and_noted() {
    let (rig, _, groups) = stage().await;
    let (one, reset) = (format!("{groups}/billing"), format!("{groups}/billing/reset"));
    let tried = json!({"to": "latest", "dry_run": true});
    let told = rig.call("POST", &reset, tried).await.ok(200);
    assert_eq!(told["dry_run"], true);
    let moved = json!([{"topic": "orders", "partition": 0, "from": 4, "to": 10}]);
    assert_eq!(told["moves"], moved);
    assert_eq!(rig.get(&one).await.ok(200)["lag"], 6);
    let trail = |action: &str| format!("/v1/audit?action={action}");
    let records = rig.get(&trail("kafka_group.reset")).await.ok(200);
    assert_eq!(records["records"], json!([]));

    let told = rig.call("POST", &reset, json!({"to": "latest"})).await.ok(200);
    assert_eq!((&told["dry_run"], &told["moves"]), (&json!(false), &moved));
    assert_eq!(rig.get(&one).await.ok(200)["lag"], 0);
    let records = rig.get(&trail("kafka_group.reset")).await.ok(200);
    let noted = &records["records"][0];
    assert_eq!((&noted["target"], &noted["actor"]), (&json!("billing"), &json!("operator")));
    assert_eq!(noted["details"]["to"], "latest");

    rig.call("DELETE", &one, Value::Null).await.ok(204);
    rig.get(&one).await.refused(404, "NOT_FOUND", "");
    let records = rig.get(&trail("kafka_group.delete")).await.ok(200);
    assert_eq!(records["records"][0]["target"], "billing");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_reason() {
    let (rig, _, groups) = stage().await;
    let (busy, free) = (format!("{groups}/workers"), format!("{groups}/billing/reset"));
    rig.call("DELETE", &busy, Value::Null).await.refused(409, "CONFLICT", "");
    for dry_run in [true, false] {
        let body = json!({"to": "earliest", "dry_run": dry_run});
        let reset = rig.call("POST", &format!("{busy}/reset"), body).await;
        reset.refused(409, "CONFLICT", "");
    }
    let table = [
        (json!({}), "INVALID_REQUEST", "to"),
        (json!({"to": "yesterday"}), "INVALID_REQUEST", "to"),
        (json!({"to": "offset:-1"}), "INVALID_REQUEST", "to"),
        (json!({"to": "latest", "topic": "a b"}), "INVALID_TOPIC", "topic"),
        (json!({"to": "latest", "topics": []}), "UNKNOWN_FIELD", "topics"),
    ];
    for (body, code, field) in table {
        rig.call("POST", &free, body).await.refused(400, code, field);
    }
    let control = Control { groups: None, ..rig.control.clone() };
    let answer = Rig::send(&control.routes(), Rig::request("GET", &groups, "")).await;
    assert_eq!(answer.code(), "UNSUPPORTED", "{}", answer.body);
}
