//! Every route says what it needs, and nobody gets further than his roles allow: walked through
//! from the API's own description, so that no route can be forgotten.

use super::gate::document;
use super::{Rig, TOKEN, text};
use rules::Permission;
use serde_json::{Value, json};

#[tokio::test]
async fn every_route_declares_what_it_needs() {
    let rig = Rig::new().await;
    let document = document(&rig).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let needs = operation["x-permission"].as_str();
            let needs = needs.unwrap_or_else(|| panic!("{method} {path} declares no permission"));
            let is_known = Permission::named(needs).is_some();
            let is_word = matches!(needs, "none" | "session" | "operator");
            assert!(is_known || is_word, "{method} {path} needs `{needs}`, which is nothing");
            if needs == "none" {
                let is_sign_in = path.starts_with("/v1/auth/") || path == "/v1/setup";
                assert!(is_sign_in, "{method} {path} is open to anybody");
            }
            if let Some(checked) = operation["x-checked"].as_str() {
                assert!(matches!(checked, "handler" | "installation"), "{method} {path}");
            }
        }
    }
    // Operators are let in everywhere.
    rig.call_as(TOKEN, "GET", "/v1/tenants", Value::Null).await.ok(200);
}

#[tokio::test]
async fn the_owner_does_what_operators_do() {
    let rig = Rig::new().await;
    let ann = rig.owner().await;
    let access = rig.access("ann@example.org").await;
    let tenant = rig.call_as(&access, "POST", "/v1/tenants", json!({"name": "acme"})).await.ok(201);
    let by = format!("{}:ann@example.org", text(&ann["id"]));
    assert_eq!(rig.trail("tenant.create").await[0]["actor"], by);
    // A deletion needs a fresh proof.
    let path = format!("/v1/tenants/{}", text(&tenant["id"]));
    let refused = rig.call_as(&access, "DELETE", &path, Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
    let wrong = json!({"password": "wrong password"});
    let refused = rig.call_as(&access, "POST", "/v1/auth/elevate", wrong).await;
    refused.refused(401, "INVALID_TOKEN", "password");
    let proof = json!({"password": super::people::PASSWORD});
    rig.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    rig.call_as(&access, "DELETE", &path, Value::Null).await.ok(204);
    // And the proof has its time.
    rig.clock.advance(std::time::Duration::from_secs(301));
    let refused = rig.call_as(&access, "DELETE", &path, Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
}
