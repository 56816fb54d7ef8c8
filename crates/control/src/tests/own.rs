//! What a project's own principals see on the public port: theirs, and with the right scope.

use super::live::connection;
use super::{Answer, Rig, START_MS, last_part, peer, text};
use axum::body::Body;
use http::Request;
use port::Usage;
use serde_json::{Value, json};

async fn key(rig: &Rig, project: &str, scopes: &[&str]) -> String {
    let body = json!({"name": "k", "scopes": scopes});
    text(&rig.call("POST", &format!("{project}/keys"), body).await.ok(201)["secret"])
}

async fn ask(rig: &Rig, secret: &str, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).extension(peer());
    let request = request.header("authorization", format!("Bearer {secret}"));
    Rig::send(&rig.public, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn one_sees_and_closes_ones_own_connections_only() {
    let rig = Rig::new().await;
    let (mine, theirs) = (rig.project("mine").await, rig.project("theirs").await);
    rig.live.open.lock().extend([
        connection(1, &theirs, "websocket"),
        connection(2, &mine, "websocket"),
        connection(3, &mine, "sse"),
    ]);
    let admin = key(&rig, &mine.1, &["admin:read", "admin:write"]).await;
    let listed = ask(&rig, &admin, "GET", "/v1/connections?limit=1").await.ok(200);
    assert_eq!(listed["connections"][0]["id"], 2);
    let next = format!("/v1/connections?cursor={}", text(&listed["next_cursor"]));
    let listed = ask(&rig, &admin, "GET", &next).await.ok(200);
    assert_eq!(
        (&listed["connections"][0]["id"], &listed["next_cursor"]),
        (&json!(3), &Value::Null)
    );

    ask(&rig, &admin, "DELETE", "/v1/connections/1").await.refused(404, "NOT_FOUND", "");
    ask(&rig, &admin, "DELETE", "/v1/connections/2").await.ok(204);
    let query = format!("/v1/connections?project={}", last_part(&theirs.1));
    ask(&rig, &admin, "GET", &query).await.refused(400, "UNKNOWN_FIELD", "project");
    assert_eq!(rig.live.open.lock().len(), 2);
    let trail = rig.get("/v1/audit?action=connection.close").await.ok(200);
    assert!(text(&trail["records"][0]["actor"]).starts_with("key:"), "{trail}");
}

#[tokio::test]
async fn each_look_needs_its_scope() {
    let rig = Rig::new().await;
    let mine = rig.project("mine").await;
    rig.live.open.lock().push(connection(1, &mine, "websocket"));
    let all = ["events:publish", "events:subscribe", "admin:read", "admin:write", "billing:read"];
    let table = [
        ("GET", "/v1/connections", "admin:read"),
        ("DELETE", "/v1/connections/1", "admin:write"),
        ("GET", "/v1/usage", "billing:read"),
    ];
    for (method, path, needed) in table {
        let others: Vec<&str> = all.into_iter().filter(|scope| *scope != needed).collect();
        let secret = key(&rig, &mine.1, &others).await;
        ask(&rig, &secret, method, path).await.refused(403, "INSUFFICIENT_SCOPE", "scopes");
        let secret = key(&rig, &mine.1, &[needed]).await;
        assert!(ask(&rig, &secret, method, path).await.status.is_success(), "{path}");
        let answer = ask(&rig, "ms_live_wrong", method, path).await;
        assert_eq!(answer.status.as_u16(), 401);
    }
}

#[tokio::test]
async fn usage_is_of_ones_own_project() {
    let rig = Rig::new().await;
    let (mine, theirs) = (rig.project("mine").await, rig.project("theirs").await);
    for (scope, count) in [(&mine, 3), (&theirs, 50)] {
        let (tenant, project) = (last_part(&scope.0), last_part(&scope.1));
        let used = Usage { events_delivered: count, ..Usage::default() };
        let rows = [(tenant.parse().unwrap(), project.parse().unwrap(), used)];
        rig.tenancy.add_usage(START_MS, &rows).await.unwrap();
    }
    let secret = key(&rig, &mine.1, &["billing:read"]).await;
    let found = ask(&rig, &secret, "GET", "/v1/usage?metric=events_delivered").await.ok(200);
    let project = last_part(&mine.1);
    let wanted = json!([{"project": project, "metric": "events_delivered", "quantity": 3}]);
    assert_eq!(found["totals"], wanted);
}
