//! Open connections and usage.

use super::records::collect;
use super::{Rig, START_MS, last_part, text};
use port::{ConnectionId, ConnectionState, Usage};
use serde_json::{Value, json};
use tenancy::USAGE_WINDOW_MS;
use types::{PrincipalId, ProjectId, TenantId};

pub(super) fn connection(
    id: u64,
    scope: &(String, String),
    protocol: &'static str,
) -> ConnectionState {
    ConnectionState {
        id: ConnectionId(id),
        tenant: last_part(&scope.0).parse().unwrap(),
        project: last_part(&scope.1).parse().unwrap(),
        principal: PrincipalId("key:1".into()),
        protocol,
        address: ([10, 0, 0, 1], 4_000).into(),
        opened_at: START_MS,
        subscriptions: 2,
    }
}

#[tokio::test]
async fn connections_are_listed_filtered_and_closed() {
    let rig = Rig::new().await;
    let (one, other) = (rig.project("one").await, rig.project("other").await);
    rig.live.open.lock().extend([
        connection(0, &one, "websocket"),
        connection(1, &other, "websocket"),
        connection(5, &one, "sse"),
        connection(9, &one, "websocket"),
    ]);
    let ids =
        |found: Vec<Value>| found.iter().map(|c| c["id"].as_u64().unwrap()).collect::<Vec<_>>();
    for limit in [1, 3, 4] {
        let found = collect(&rig, "/v1/connections", "connections", limit).await;
        assert_eq!(ids(found), [0, 1, 5, 9]);
    }
    let tenant = last_part(&one.0);
    let of_one = format!("/v1/connections?tenant={tenant}&protocol=websocket");
    assert_eq!(ids(collect(&rig, &of_one, "connections", 1).await), [0, 9]);
    let of_other = format!("/v1/connections?project={}", last_part(&other.1));
    let found = collect(&rig, &of_other, "connections", 10).await;
    assert_eq!(found[0]["address"], "10.0.0.1:4000");
    assert_eq!((&found[0]["principal"], &found[0]["subscriptions"]), (&json!("key:1"), &json!(2)));

    for id in [5, 0] {
        rig.call("DELETE", &format!("/v1/connections/{id}"), Value::Null).await.ok(204);
    }
    rig.call("DELETE", "/v1/connections/5", Value::Null).await.refused(404, "NOT_FOUND", "");
    rig.call("DELETE", "/v1/connections/x", Value::Null).await.refused(
        400,
        "INVALID_REQUEST",
        "connection",
    );
    assert_eq!(ids(collect(&rig, "/v1/connections", "connections", 10).await), [1, 9]);
    let trail =
        rig.get(&format!("/v1/audit?tenant={tenant}&action=connection.close")).await.ok(200);
    assert_eq!(trail["records"][1]["target"], "5");
    assert_eq!(trail["records"][1]["details"]["protocol"], "sse");
}

#[tokio::test]
async fn usage_is_reported_by_hour_and_in_sum() {
    let rig = Rig::new().await;
    let scope = rig.project("one").await;
    let tenant: TenantId = last_part(&scope.0).parse().unwrap();
    let project: ProjectId = last_part(&scope.1).parse().unwrap();
    let used = Usage { events_published: 2, connection_seconds: 60, ..Usage::default() };
    for hour in 0..3 {
        let at = START_MS + hour * USAGE_WINDOW_MS;
        rig.tenancy.add_usage(at, &[(tenant, project, used)]).await.unwrap();
    }
    let path = format!("{}/usage", scope.0);
    for limit in [1, 4, 100] {
        assert_eq!(collect(&rig, &path, "windows", limit).await.len(), 6);
    }
    let later = format!("{path}?from={}&metric=events_published", START_MS + 1);
    let found = collect(&rig, &later, "windows", 1).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["window_start"], START_MS + USAGE_WINDOW_MS);

    let totals = rig.get(&format!("{path}/totals")).await.ok(200);
    let wanted = json!([
        {"project": project, "metric": "connection_seconds", "quantity": 180},
        {"project": project, "metric": "events_published", "quantity": 6},
    ]);
    assert_eq!(totals["totals"], wanted);
    let to = format!("{path}/totals?to={}", START_MS + 1);
    assert_eq!(rig.get(&to).await.ok(200)["totals"][1]["quantity"], 2);

    let table = [("metric=bytes", "metric"), ("from=yesterday", "from"), ("project=x", "project")];
    for (query, field) in table {
        let answer = rig.get(&format!("{path}?{query}")).await;
        answer.refused(400, "INVALID_REQUEST", field);
    }
    rig.get(&format!("{path}/totals?limit=1")).await.refused(400, "UNKNOWN_FIELD", "limit");
    rig.get(&format!("{path}?cursor=e30")).await.refused(400, "INVALID_CURSOR", "cursor");
    assert!(text(&found[0]["project"]).starts_with("prj_"));
    let nobody = format!("/v1/tenants/ten_{}/usage", "0".repeat(32));
    rig.get(&nobody).await.refused(404, "NOT_FOUND", "");
}
