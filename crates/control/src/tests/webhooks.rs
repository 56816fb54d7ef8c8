//! Webhooks through both APIs: shapes, secrets shown once, refusals by field, and who may.

use super::{Answer, Rig, peer, text};
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

async fn key(rig: &Rig, project: &str, scopes: &[&str]) -> String {
    let body = json!({"name": "k", "scopes": scopes});
    text(&rig.call("POST", &format!("{project}/keys"), body).await.ok(201)["secret"])
}

async fn ask(rig: &Rig, secret: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder().method(method).uri(path).extension(peer());
    let request = request.header("authorization", format!("Bearer {secret}"));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Rig::send(&rig.public, request.body(Body::from(body)).unwrap()).await
}

/// A project with the topic `orders`.
async fn project(rig: &Rig) -> String {
    let (_, project) = rig.project("p").await;
    rig.call("PUT", &format!("{project}/topics/orders"), json!({})).await.ok(201);
    project
}

fn body() -> Value {
    json!({
        "url": "https://example.org/hooks?token=s3cret",
        "filter": "orders/eu/#",
        "headers": [{"name": "Authorization", "value": "Bearer v4lue"}],
        "rate_per_second": 50,
    })
}

#[tokio::test]
async fn a_webhook_through_the_admin_api() {
    let rig = Rig::new().await;
    let project = project(&rig).await;
    let all = format!("{project}/webhooks");
    let made = rig.call("POST", &all, body()).await.ok(201);
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("whsec_"));
    assert_eq!((&made["filter"], &made["enabled"]), (&json!("orders/eu/#"), &json!(true)));
    assert_eq!((&made["attempts_max"], &made["rate_per_second"]), (&json!(12), &json!(50)));
    assert_eq!(made["headers"], json!(["Authorization"]), "names only");
    assert_eq!(made["status"]["dead_letter_topic"], format!("orders.{}.dead", text(&made["id"])));
    let one = format!("{all}/{}", text(&made["id"]));

    let found = rig.get(&one).await.ok(200);
    assert!(found.get("secret").is_none());
    let listed = rig.get(&all).await.ok(200);
    assert_eq!(listed["webhooks"].as_array().map(Vec::len), Some(1));
    let trail = rig.get("/v1/audit").await.ok(200).to_string();
    let shown = format!("{found}{listed}{trail}");
    assert!(!shown.contains(&secret) && !shown.contains("v4lue"), "{shown}");
    assert!(!trail.contains("s3cret"), "the trail names the host only");

    let patch = json!({"enabled": false, "rate_per_second": null, "attempts_max": 3});
    let changed = rig.call("PATCH", &one, patch).await.ok(200);
    assert_eq!((&changed["enabled"], &changed["attempts_max"]), (&json!(false), &json!(3)));
    assert_eq!(changed["rate_per_second"], Value::Null);
    assert_eq!(changed["timeout_ms"], 15_000, "what is not given stays");
    let rotated = rig.call("POST", &format!("{one}/rotate-secret"), json!({})).await.ok(200);
    assert_ne!(text(&rotated["secret"]), secret);
    assert_eq!(rotated["secrets"].as_array().map(Vec::len), Some(2));
    rig.call("DELETE", &one, Value::Null).await.ok(204);
    rig.get(&one).await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn a_repeated_request_does_not_repeat_the_secret() {
    let rig = Rig::new().await;
    let all = format!("{}/webhooks", project(&rig).await);
    let request = || {
        let mut request = Rig::request("POST", &all, body().to_string());
        request.headers_mut().insert("idempotency-key", "once".parse().unwrap());
        request
    };
    let first = Rig::send(&rig.router, request()).await.ok(201);
    let second = Rig::send(&rig.router, request()).await.ok(201);
    assert_eq!(first["id"], second["id"]);
    assert!(first["secret"].is_string());
    assert_eq!(second["secret"], Value::Null);
}

#[tokio::test]
async fn ones_own_webhooks_need_their_scopes() {
    let rig = Rig::new().await;
    let project = project(&rig).await;
    let admin = key(&rig, &project, &["admin:read", "admin:write", "events:subscribe"]).await;
    let made = ask(&rig, &admin, "POST", "/v1/webhooks", body()).await.ok(201);
    let one = format!("/v1/webhooks/{}", text(&made["id"]));
    let blind = key(&rig, &project, &["admin:read", "admin:write"]).await;
    let refused = ask(&rig, &blind, "POST", "/v1/webhooks", body()).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "scopes");
    let reader = key(&rig, &project, &["admin:read", "events:subscribe"]).await;
    ask(&rig, &reader, "GET", "/v1/webhooks", Value::Null).await.ok(200);
    ask(&rig, &reader, "GET", &one, Value::Null).await.ok(200);
    ask(&rig, &reader, "GET", &format!("{one}/attempts"), Value::Null).await.ok(200);
    let changes = [
        ("POST", "/v1/webhooks".to_owned(), body()),
        ("PATCH", one.clone(), json!({"enabled": false})),
        ("POST", format!("{one}/rotate-secret"), json!({})),
        ("POST", format!("{one}/test"), Value::Null),
        ("POST", format!("{one}/dead-letters/replay"), json!({"all": true})),
        ("POST", format!("{one}/dead-letters/purge"), json!({"all": true})),
        ("DELETE", one.clone(), Value::Null),
    ];
    for (method, path, body) in changes {
        let refused = ask(&rig, &reader, method, &path, body).await;
        refused.refused(403, "INSUFFICIENT_SCOPE", "scopes");
    }
    let publisher = key(&rig, &project, &["events:publish", "events:subscribe"]).await;
    let refused = ask(&rig, &publisher, "GET", "/v1/webhooks", Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "scopes");
}

#[tokio::test]
async fn unfit_webhooks_are_told_by_field() {
    let rig = Rig::new().await;
    let project = project(&rig).await;
    let all = format!("{project}/webhooks");
    let url = "https://example.org/";
    let table = [
        (json!({"filter": "orders"}), "INVALID_REQUEST", "url"),
        (json!({"url": url}), "INVALID_REQUEST", "filter"),
        (json!({"url": "nonsense", "filter": "orders"}), "INVALID_REQUEST", "url"),
        (json!({"url": "https://10.0.0.1/", "filter": "orders"}), "INVALID_REQUEST", "url"),
        (json!({"url": url, "filter": "a/#/b"}), "INVALID_FILTER", "filter"),
        (json!({"url": url, "filter": "+"}), "INVALID_FILTER", "filter"),
        (json!({"url": url, "filter": "orders", "signing": "rsa"}), "INVALID_REQUEST", "signing"),
        (json!({"url": url, "filter": "orders", "secret": "x"}), "INVALID_REQUEST", "secret"),
        (json!({"url": url, "filter": "orders", "timeout_ms": 1}), "INVALID_REQUEST", "timeout_ms"),
        (json!({"url": url, "filter": "orders", "start": "now"}), "INVALID_REQUEST", "start"),
        (json!({"url": url, "filter": "orders", "retries": 1}), "UNKNOWN_FIELD", "retries"),
    ];
    for (body, code, field) in table {
        rig.call("POST", &all, body).await.refused(400, code, field);
    }
    let missing = json!({"url": url, "filter": "missing"});
    assert_eq!(rig.call("POST", &all, missing).await.code(), "TOPIC_NOT_FOUND");
    let made = rig.call("POST", &all, body()).await.ok(201);
    let replay = format!("{all}/{}/dead-letters/replay", text(&made["id"]));
    for body in [
        json!({}),
        json!({"all": false}),
        json!({"all": true, "at": [{"offset": 1}]}),
        json!({"at": []}),
        json!({"from": 1}),
        json!({"from": 2, "to": 1}),
        json!({"from": 0, "to": 1_000}),
    ] {
        let answer = rig.call("POST", &replay, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "INVALID_REQUEST"), "{body}");
    }
    for body in [json!({"all": true}), json!({"at": [{"offset": 1}]}), json!({"from": 1, "to": 9})]
    {
        assert_eq!(rig.call("POST", &replay, body).await.ok(200), json!({"count": 0}));
    }
    let letters = rig.get(&format!("{all}/{}/dead-letters", text(&made["id"]))).await.ok(200);
    assert_eq!(letters, json!({"dead_letters": [], "next_cursor": null}));
}
