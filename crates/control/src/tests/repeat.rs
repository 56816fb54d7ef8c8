//! Requests that change something: carried out once, and to the end.

use super::{Answer, Rig, text};
use serde_json::{Value, json};
use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;
use tower::ServiceExt;

async fn with_key(rig: &Rig, key: &str, path: &str, body: Value) -> Answer {
    let mut request = Rig::request("POST", path, body.to_string());
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    Rig::send(&rig.router, request).await
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let rig = Rig::new().await;
    let body = json!({"name": "Acme"});
    let first = with_key(&rig, "k1", "/v1/tenants", body.clone()).await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let first = first.ok(201);
    let second = with_key(&rig, "k1", "/v1/tenants", body.clone()).await;
    assert_eq!(second.headers["idempotent-replayed"], "true");
    assert_eq!(second.headers["content-type"], "application/json");
    assert_eq!(second.ok(201), first);
    assert_eq!(rig.get("/v1/tenants").await.ok(200)["tenants"].as_array().unwrap().len(), 1);

    let other = with_key(&rig, "k1", "/v1/tenants", json!({"name": "Other"})).await;
    other.refused(409, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key");
    let suspend = format!("/v1/tenants/{}/suspend", text(&first["id"]));
    let other = with_key(&rig, "k1", &suspend, body.clone()).await;
    other.refused(409, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key");
    with_key(&rig, "k2", "/v1/tenants", body.clone()).await.ok(201);
    with_key(&rig, &"k".repeat(256), "/v1/tenants", body).await.refused(
        400,
        "INVALID_REQUEST",
        "Idempotency-Key",
    );
}

#[tokio::test]
async fn a_repeated_key_creation_does_not_show_the_secret_again() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let keys = format!("{project}/keys");
    let body = json!({"name": "app", "scopes": ["events:publish"]});
    let first = with_key(&rig, "k", &keys, body.clone()).await.ok(201);
    let second = with_key(&rig, "k", &keys, body).await.ok(201);
    assert!(first["secret"].is_string());
    assert_eq!((&second["secret"], &second["key"]), (&Value::Null, &first["key"]));
    let signing = format!("{project}/signing-keys");
    let body = json!({"name": "a", "algorithm": "HS256"});
    let first = with_key(&rig, "s", &signing, body.clone()).await.ok(201);
    let second = with_key(&rig, "s", &signing, body).await.ok(201);
    assert!(first["secret_base64"].is_string());
    assert_eq!((&second["secret_base64"], &second["id"]), (&Value::Null, &first["id"]));
}

#[tokio::test]
async fn a_refused_request_may_be_mended_and_sent_again() {
    let rig = Rig::new().await;
    let (tenant, _) = rig.project("p").await;
    let projects = format!("{tenant}/projects");
    let body = json!({"name": "p"});
    with_key(&rig, "k", &projects, body.clone()).await.refused(409, "CONFLICT", "name");
    let listed = rig.get(&projects).await.ok(200);
    let path = format!("{projects}/{}", text(&listed["projects"][0]["id"]));
    rig.call("DELETE", &path, Value::Null).await.ok(204);
    with_key(&rig, "k", &projects, body).await.ok(201);
}

#[tokio::test]
async fn answers_without_a_body_are_repeated_too() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    for is_replayed in [false, true] {
        let mut request = Rig::request("DELETE", &project, "");
        request.headers_mut().insert("idempotency-key", "d".parse().unwrap());
        let answer = Rig::send(&rig.router, request).await;
        assert_eq!(answer.headers.contains_key("idempotent-replayed"), is_replayed);
        assert_eq!(answer.ok(204), Value::Null);
    }
}

#[tokio::test]
async fn a_change_goes_on_when_its_client_leaves() {
    let rig = Rig::new().await;
    let (tenant, _) = rig.project("p").await;
    let body = json!({"reason": "abuse"}).to_string();
    let request = Rig::request("POST", &format!("{tenant}/suspend"), body);
    let mut answer = Box::pin(rig.router.clone().oneshot(request));
    // Begun, then dropped, as when the connection closes.
    let begun = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(begun.is_pending());
    drop(answer);
    let told = async {
        while rig.live.changes.lock().is_empty() {
            rig.live.told.notified().await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), told).await;
    told.expect("the node must hear of a change that was committed");
    assert_eq!(rig.get(&tenant).await.ok(200)["status"], "suspended");
}
