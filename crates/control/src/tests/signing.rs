//! Signing keys and token settings through the API.

use super::records::collect;
use super::{Rig, last_part, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use port::Change;
use serde_json::{Value, json};

/// An Ed25519 public key (RFC 8410 section 10.1).
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";

#[tokio::test]
async fn keys_are_made_here_or_brought() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let id = last_part(&project).to_owned();
    let keys = format!("{project}/signing-keys");
    let made = rig.call("POST", &keys, json!({"name": "a", "algorithm": "HS256"})).await.ok(201);
    let secret = text(&made["secret_base64"]);
    assert_eq!(STANDARD.decode(&secret).unwrap().len(), 32);
    assert_eq!(made["kid"], format!("{id}.a"));
    assert_eq!(rig.changes(), [Change::Project(id.parse().unwrap())]);

    let pair = rig.call("POST", &keys, json!({"name": "b", "algorithm": "EdDSA"})).await.ok(201);
    assert_eq!(pair["secret_base64"], Value::Null);
    let body = json!({"name": "c", "algorithm": "EdDSA", "public_key": PUBLIC_KEY});
    let public = rig.call("POST", &keys, body).await.ok(201);
    assert_eq!(public["public_key"], PUBLIC_KEY);
    let body =
        json!({"name": "d", "algorithm": "HS256", "secret_base64": STANDARD.encode([5; 32])});
    let brought = rig.call("POST", &keys, body).await.ok(201);
    assert_eq!(brought["secret_base64"], Value::Null, "who brought it has it");

    let listed = collect(&rig, &keys, "signing_keys", 3).await;
    let names: Vec<String> = listed.iter().map(|key| text(&key["name"])).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert!(!Value::from(listed).to_string().contains(&secret));
    let one = format!("{keys}/{}", text(&made["id"]));
    rig.call("DELETE", &one, Value::Null).await.ok(204);
    rig.call("DELETE", &one, Value::Null).await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn unfit_keys_are_told_by_field() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let keys = format!("{project}/signing-keys");
    let secret = STANDARD.encode([5; 32]);
    let table = [
        (json!({"algorithm": "HS256"}), "name"),
        (json!({"name": "a"}), "algorithm"),
        (json!({"name": "a", "algorithm": "none"}), "algorithm"),
        (json!({"name": "a.b", "algorithm": "HS256"}), "name"),
        (json!({"name": "a", "algorithm": "RS256"}), "algorithm"),
        (json!({"name": "a", "algorithm": "HS256", "secret_base64": "AAAA"}), "secret_base64"),
        (json!({"name": "a", "algorithm": "HS256", "secret_base64": "%"}), "secret_base64"),
        (json!({"name": "a", "algorithm": "EdDSA", "secret_base64": secret}), "secret_base64"),
        (json!({"name": "a", "algorithm": "EdDSA", "public_key": "x"}), "public_key"),
        (json!({"name": "a", "algorithm": "RS256", "public_key": PUBLIC_KEY}), "public_key"),
        (json!({"name": "a", "algorithm": "HS256", "public_key": PUBLIC_KEY}), "public_key"),
        (
            json!({"name": "a", "algorithm": "HS256", "public_key": "x", "secret_base64": secret}),
            "public_key",
        ),
    ];
    for (body, field) in table {
        rig.call("POST", &keys, body).await.refused(400, "INVALID_REQUEST", field);
    }
    assert!(rig.changes().is_empty());
    let body = json!({"name": "a", "algorithm": "HS256"});
    rig.call("POST", &keys, body.clone()).await.ok(201);
    rig.call("POST", &keys, body).await.refused(409, "CONFLICT", "kid");
}

#[tokio::test]
async fn settings_are_replaced_whole() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let path = format!("{project}/token-settings");
    let none = json!({"jwks_url": null, "audiences": [], "issuers": []});
    assert_eq!(rig.get(&path).await.ok(200), none);
    let url = "https://login.example.org/jwks.json";
    let some = json!({"jwks_url": url, "audiences": ["app"], "issuers": []});
    assert_eq!(rig.call("PUT", &path, some.clone()).await.ok(200), some);
    assert_eq!(rig.get(&path).await.ok(200), some);
    assert_eq!(rig.call("PUT", &path, json!({})).await.ok(200), none);
    for url in ["", "login.example.org", "ftp://x/y", "https://", "/jwks", "javascript:alert(1)"] {
        let answer = rig.call("PUT", &path, json!({"jwks_url": url})).await;
        answer.refused(400, "INVALID_REQUEST", "jwks_url");
    }
    let many = json!({"audiences": vec!["a"; 17]});
    rig.call("PUT", &path, many).await.refused(400, "INVALID_REQUEST", "audiences");
}
