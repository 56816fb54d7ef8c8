//! The trail through the admin API: found by what people look for, told apart by place, and what is
//! refused is in it.

use super::{Rig, peer};
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use std::time::Duration;

/// Writes down what was refused, as the node's worker does.
async fn settle(rig: &Rig) {
    rig.clock.advance(Duration::from_secs(61));
    let now = rig.control.clock.now_ms();
    let told = rig.tenancy.incidents().take(now);
    rig.tenancy.note_incidents(&told).await.expect("written");
    rig.tenancy.seal_audit(1_000).await.expect("places");
}

fn actions(list: &Value) -> Vec<&str> {
    let records = list["records"].as_array().expect("a list");
    records.iter().map(|record| record["action"].as_str().expect("an action")).collect()
}

#[tokio::test]
async fn the_trail_is_searched_by_what_people_know() {
    let rig = Rig::new().await;
    let (tenant, path) = rig.project("p").await;
    let tenant = super::last_part(&tenant).to_owned();
    let body = json!({"name": "k", "scopes": ["events:publish"]});
    let mut request = Rig::request("POST", &format!("{path}/keys"), body.to_string());
    request.extensions_mut().insert(peer());
    let key = Rig::send(&rig.router, request).await.ok(201);
    let key = key["key"]["id"].as_str().expect("an id").to_owned();
    settle(&rig).await;
    let find = async |query: &str| rig.get(&format!("/v1/audit?{query}")).await.ok(200);
    let found = find(&format!("target={key}")).await;
    let record = &found["records"][0];
    assert_eq!(
        (&record["address"], &record["request"]),
        (&json!("127.0.0.1"), &json!("req-of-test"))
    );
    assert_eq!((&record["outcome"], &record["count"]), (&json!("done"), &json!(1)));
    assert!(record["sequence"].is_u64() && record["hash"].as_str().expect("a hash").len() == 64);
    assert_eq!(actions(&find("action=key.*").await), ["key.create"]);
    assert_eq!(actions(&find("actor=oper*&action=project.create").await), ["project.create"]);
    assert!(actions(&find("actor=nobody").await).is_empty());
    assert!(actions(&find("action=key%25").await).is_empty(), "only `*` is a wildcard");
    assert!(actions(&find("to=1").await).is_empty());
    let all = find(&format!("tenant={tenant}&from=1")).await;
    assert_eq!(actions(&all), ["key.create", "project.create", "tenant.create"]);
    let first = find(&format!("tenant={tenant}&limit=2")).await;
    let cursor = first["next_cursor"].as_str().expect("more");
    let rest = find(&format!("tenant={tenant}&limit=2&cursor={cursor}")).await;
    assert_eq!(actions(&rest), ["tenant.create"]);
    rig.get("/v1/audit?outcome=maybe").await.refused(400, "INVALID_REQUEST", "outcome");
}

#[tokio::test]
async fn what_is_refused_is_in_the_trail_once_with_a_count() {
    let rig = Rig::new().await;
    for _ in 0..50 {
        let mut request = Request::get("/v1/tenants").body(Body::empty()).expect("a request");
        request.extensions_mut().insert(peer());
        Rig::send(&rig.router, request).await.refused(401, "CREDENTIAL_MISSING", "");
    }
    let (_, path) = rig.project("p").await;
    let wrong = json!({"name": ""});
    for _ in 0..3 {
        assert_eq!(rig.call("PATCH", &path, wrong.clone()).await.status.as_u16(), 400);
    }
    settle(&rig).await;
    let refused = rig.get("/v1/audit?outcome=refused").await.ok(200);
    let of = |action: &str| -> Vec<u64> {
        let records = refused["records"].as_array().expect("a list").iter();
        let own = records.filter(|record| record["action"] == action);
        own.map(|record| record["count"].as_u64().expect("a count")).collect()
    };
    assert_eq!(of("credential.check").iter().sum::<u64>(), 50);
    assert_eq!(of("credential.check").len(), 2, "the first at once, the others together");
    assert_eq!(of("admin.request").iter().sum::<u64>(), 3);
    let mut tried = refused["records"].as_array().expect("a list").iter();
    let tried = tried.find(|record| record["action"] == "admin.request").expect("one");
    assert_eq!(tried["actor"], "operator");
    assert!(tried["tenant"].is_string() && tried["project"].is_string(), "{tried}");
    let report = rig.get("/v1/audit/report?from=1").await.ok(200);
    assert_eq!(report["refused_credentials"], 50);
    assert_eq!(report["refused"]["operator"]["admin.request"], 3);
    assert_eq!(report["acts"]["operator"]["project.create"], 1);
}

#[tokio::test]
async fn a_project_sees_its_own_part_only() {
    let rig = Rig::new().await;
    let (_, path) = rig.project("p").await;
    let (other, _) = rig.project("q").await;
    let body = json!({"name": "k", "scopes": ["admin:read"]});
    let key = rig.call("POST", &format!("{path}/keys"), body).await.ok(201);
    let secret = key["secret"].as_str().expect("a secret");
    let own = async |query: &str| {
        let mut request = Request::get(format!("/v1/audit{query}"))
            .header("authorization", format!("Bearer {secret}"))
            .body(Body::empty())
            .expect("a request");
        request.extensions_mut().insert(peer());
        Rig::send(&rig.public, request).await
    };
    let list = own("").await.ok(200);
    assert_eq!(actions(&list), ["key.create", "project.create"]);
    let other = super::last_part(&other);
    own(&format!("?tenant={other}")).await.refused(404, "NOT_FOUND", "project");
}

#[tokio::test]
async fn an_export_is_the_chain_line_by_line() {
    let rig = Rig::new().await;
    rig.project("p").await;
    settle(&rig).await;
    let send = async |path: &str| {
        use tower::ServiceExt;
        let request = Rig::request("GET", path, "");
        let response = rig.router.clone().oneshot(request).await.expect("routers do not fail");
        assert_eq!(response.status().as_u16(), 200);
        let body = wire_http::read_body(response.into_body(), 1 << 20).await.expect("an answer");
        String::from_utf8(body.to_vec()).expect("text")
    };
    let text = send("/v1/audit/export").await;
    let mut before = tenancy::AuditHash::NONE;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 2);
    for (line, number) in lines.iter().zip(1..) {
        let link = tenancy::open_audit(line).expect("intact").link.expect("a place");
        assert_eq!((link.sequence, link.previous), (number, before));
        before = link.hash;
    }
    let cef = send("/v1/audit/export?format=cef&action=project.create").await;
    assert!(cef.starts_with("CEF:0|Mainstem|") && cef.lines().count() == 1, "{cef}");
    assert!(send("/v1/audit/export?format=syslog").await.starts_with("<110>1 "));
    rig.get("/v1/audit/export?format=xml").await.refused(400, "INVALID_REQUEST", "format");
    rig.get("/v1/audit/verify?sequence=1").await.refused(400, "INVALID_REQUEST", "hash");
    rig.get("/v1/audit/verify?cursor=x").await.refused(400, "INVALID_CURSOR", "cursor");
}
