//! Tenants, projects and the audit trail through the API.

use super::{Rig, START_MS, last_part, text};
use port::Change;
use serde_json::{Value, json};

#[tokio::test]
async fn a_tenant_is_made_changed_and_deleted() {
    let rig = Rig::new().await;
    let body = json!({"name": "Acme", "plan": "pro", "status": "trial"});
    let made = rig.call("POST", "/v1/tenants", body).await.ok(201);
    assert_eq!((&made["plan"], &made["status"]), (&json!("pro"), &json!("trial")));
    assert_eq!(made["created_at"], START_MS);
    let path = format!("/v1/tenants/{}", text(&made["id"]));
    assert_eq!(rig.get(&path).await.ok(200), made);

    let patch = json!({"name": "Acme Ltd", "stripe_customer_id": "cus_1"});
    let changed = rig.call("PATCH", &path, patch).await.ok(200);
    assert_eq!((&changed["name"], &changed["plan"]), (&json!("Acme Ltd"), &json!("pro")));
    assert_eq!(changed["stripe_customer_id"], "cus_1");

    assert_eq!(rig.call("DELETE", &path, Value::Null).await.ok(204), Value::Null);
    rig.get(&path).await.refused(404, "NOT_FOUND", "");
    rig.call("DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn suspension_reaches_the_node_and_the_trail() {
    let rig = Rig::new().await;
    let (tenant, _) = rig.project("a").await;
    let id = last_part(&tenant).parse().unwrap();
    let suspend = format!("{tenant}/suspend");
    rig.call("POST", &suspend, json!({})).await.refused(400, "INVALID_REQUEST", "reason");
    rig.call("POST", &suspend, json!({"reason": ""})).await.refused(
        400,
        "INVALID_REQUEST",
        "reason",
    );
    assert!(rig.changes().is_empty());
    let suspended = rig.call("POST", &suspend, json!({"reason": "unpaid"})).await.ok(200);
    assert_eq!(
        (&suspended["status"], &suspended["status_reason"]),
        (&json!("suspended"), &json!("unpaid"))
    );
    assert_eq!(rig.changes(), [Change::Tenant(id)]);
    let again = rig.call("PATCH", &tenant, json!({"status": "active"})).await;
    again.refused(409, "CONFLICT", "");

    let resume = format!("{tenant}/resume");
    let resumed = rig.call("POST", &resume, json!({})).await.ok(200);
    assert_eq!(resumed["status"], "active");
    assert_eq!(rig.changes(), [Change::Tenant(id)]);
    rig.call("POST", &resume, json!({})).await.refused(409, "CONFLICT", "");

    let trail = rig.get(&format!("/v1/audit?tenant={id}&action=tenant.suspend")).await.ok(200);
    assert_eq!(trail["records"][0]["details"]["reason"], "unpaid");
    assert_eq!(trail["records"][0]["actor"], "operator");
}

#[tokio::test]
async fn a_project_has_limits() {
    let rig = Rig::new().await;
    let (tenant, project) = rig.project("p").await;
    let id = last_part(&project).parse().unwrap();
    let limits = json!({"limits": {"topics_max": 3, "publish_per_month_max": 1_000}});
    let changed = rig.call("PATCH", &project, limits).await.ok(200);
    assert_eq!(changed["limits"]["topics_max"], 3);
    assert_eq!(changed["limits"]["connections_max"], Value::Null);
    assert_eq!(rig.changes(), [Change::Project(id)]);
    let renamed = rig.call("PATCH", &project, json!({"name": "q"})).await.ok(200);
    assert_eq!((&renamed["name"], &renamed["limits"]), (&json!("q"), &changed["limits"]));

    let projects = format!("{tenant}/projects");
    rig.call("POST", &projects, json!({"name": "q"})).await.refused(409, "CONFLICT", "name");
    let unknown = json!({"name": "r", "limits": {"topic_max": 3}});
    rig.call("POST", &projects, unknown).await.refused(400, "UNKNOWN_FIELD", "limits.topic_max");
    rig.call("DELETE", &tenant, Value::Null).await.refused(409, "CONFLICT", "");
    rig.call("DELETE", &project, Value::Null).await.ok(204);
    rig.get(&project).await.refused(404, "NOT_FOUND", "");
    rig.call("DELETE", &tenant, Value::Null).await.ok(204);
    rig.get(&projects).await.refused(404, "NOT_FOUND", "");
}

/// All items of a list, page by page, each page with at most `limit` of them.
pub(super) async fn collect(rig: &Rig, path: &str, items: &str, limit: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut next = format!("{path}{separator}limit={limit}");
    loop {
        let page = rig.get(&next).await.ok(200);
        let part = page[items].as_array().expect("a list").clone();
        assert!(part.len() <= limit);
        found.extend(part);
        let Some(cursor) = page["next_cursor"].as_str() else { return found };
        next = format!("{path}{separator}limit={limit}&cursor={cursor}");
    }
}

#[tokio::test]
async fn lists_are_paged_to_the_end() {
    let rig = Rig::new().await;
    let mut tenants = Vec::new();
    for index in 0..5 {
        tenants.push(rig.project(&format!("t{index}")).await.0);
    }
    for limit in [1, 2, 5, 1_000] {
        let found = collect(&rig, "/v1/tenants", "tenants", limit).await;
        let names: Vec<String> = found.iter().map(|tenant| text(&tenant["name"])).collect();
        assert_eq!(names, ["t0", "t1", "t2", "t3", "t4"]);
    }
    let projects = format!("{}/projects", tenants[2]);
    for name in ["b", "c"] {
        rig.call("POST", &projects, json!({"name": name})).await.ok(201);
    }
    let found = collect(&rig, &projects, "projects", 2).await;
    assert_eq!(found.len(), 3);
    // Newest first, and each record once.
    let trail = collect(&rig, "/v1/audit", "records", 3).await;
    assert_eq!(trail.len(), 12);
    assert_eq!(trail[0]["details"]["name"], "c");
    assert_eq!(trail[11]["action"], "tenant.create");
    let own = format!("/v1/audit?tenant={}", last_part(&tenants[2]));
    let own = collect(&rig, &own, "records", 2);
    assert_eq!(own.await.len(), 4);
}
