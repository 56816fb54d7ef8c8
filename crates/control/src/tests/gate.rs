//! Nobody gets in without an operator token, on any route.

use super::{Rig, peer};
use axum::body::Body;
use http::Request;
use serde_json::Value;

/// Every method and path that the description lists, with identifiers put in.
pub(super) fn described(openapi: &Value) -> Vec<(String, String)> {
    let id = "0190a5c3b1f27d8e9a6b4c2d1e0f3a5b";
    let fills = [
        ("{tenant}", format!("ten_{id}")),
        ("{project}", format!("prj_{id}")),
        ("{key}", format!("key_{id}")),
        ("{signing_key}", format!("sgk_{id}")),
        ("{revocation}", format!("rev_{id}")),
        ("{webhook}", format!("whk_{id}")),
        ("{topic}", "orders".to_owned()),
        ("{group}", "workers".to_owned()),
        ("{connection}", "7".to_owned()),
        ("{session}", format!("ses_{id}")),
        ("{user}", format!("usr_{id}")),
        ("{passkey}", format!("pky_{id}")),
        ("{role}", format!("rol_{id}")),
        ("{binding}", format!("bnd_{id}")),
        ("{provider}", format!("idp_{id}")),
        ("{identity}", format!("idn_{id}")),
        ("{plan}", "gold".to_owned()),
        ("{budget}", format!("bud_{id}")),
        ("{alert_rule}", format!("alr_{id}")),
        ("{alert_channel}", format!("alc_{id}")),
        ("{alert_silence}", format!("als_{id}")),
        ("{approval}", format!("apr_{id}")),
        ("{acceptance}", format!("acp_{id}")),
        ("{act}", "delete_tenant".to_owned()),
    ];
    let mut found = Vec::new();
    for (path, item) in openapi["paths"].as_object().expect("an object of paths") {
        let filled =
            fills.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
        assert!(!filled.contains('{'), "fill {path}");
        for method in item.as_object().expect("an object of methods").keys() {
            found.push((method.to_uppercase(), filled.clone()));
        }
    }
    found
}

/// Whether anybody may ask, by what the description says; the paths are filled in.
pub(super) fn is_open(openapi: &Value, method: &str, path: &str) -> bool {
    openapi["paths"][path][method.to_lowercase()]["x-permission"] == "none"
}

pub(super) async fn document(rig: &Rig) -> Value {
    let request = Request::get(crate::OPENAPI_PATH).body(Body::empty()).unwrap();
    Rig::send(&rig.router, request).await.ok(200)
}

#[tokio::test]
async fn every_route_asks_for_the_token() {
    let rig = Rig::new().await;
    let document = document(&rig).await;
    let mut paths = described(&document);
    paths.retain(|(method, path)| !is_open(&document, method, path));
    assert!(paths.len() >= 30, "{paths:?}");
    paths.push(("GET".into(), "/no/such/path".into()));
    paths.push(("DELETE".into(), "/v1/tenants".into()));
    let wrong =
        ["", "Bearer", "Bearer x", "Basic b3A6b3A=", "Bearer operator-token-of-this-very-tes"];
    for (method, path) in paths {
        for token in wrong {
            let mut request = Rig::request(&method, &path, "{\"name\":\"x\"}");
            request.headers_mut().remove("authorization");
            if !token.is_empty() {
                request.headers_mut().insert("authorization", token.parse().unwrap());
            }
            let answer = Rig::send(&rig.router, request).await;
            let status = answer.status.as_u16();
            assert!(matches!(status, 400 | 401), "{method} {path} {token}: {status}");
            assert!(answer.body["error"]["code"].is_string(), "{method} {path}");
            assert!(!answer.body.to_string().contains("operator-token"), "{}", answer.body);
        }
    }
    assert!(rig.tenancy.tenants(None, 1).await.unwrap().items.is_empty());
    assert!(rig.changes().is_empty());
}

#[tokio::test]
async fn answers_carry_the_request_id_and_are_not_cached() {
    let rig = Rig::new().await;
    let mut request = Rig::request("GET", "/v1/tenants", "");
    request.extensions_mut().insert(peer());
    let answer = Rig::send(&rig.router, request).await;
    assert_eq!(answer.headers["x-request-id"], "req-of-test");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    // Without the edge in front, an id of its own.
    let answer = rig.get("/v1/nothing").await;
    answer.refused(404, "NOT_FOUND", "");
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert_eq!(answer.body["error"]["request_id"], id);
    assert_eq!(id.len(), 32);
}

#[tokio::test]
async fn the_description_is_complete() {
    let rig = Rig::new().await;
    let document = document(&rig).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(document["components"]["securitySchemes"]["operator_token"]["scheme"], "bearer");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            assert!(operation["tags"][0].is_string(), "{method} {path}");
        }
    }
    // Whatever a schema refers to is there.
    let text = document.to_string();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name: String = text[at..].chars().skip(21).take_while(|c| *c != '"').collect();
        assert!(document["components"]["schemas"][&name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_in_the_one_shape() {
    let rig = Rig::new().await;
    rig.call("PUT", "/v1/tenants", Value::Null).await.refused(405, "UNSUPPORTED", "");
    rig.call("POST", "/v1/tenant", Value::Null).await.refused(404, "NOT_FOUND", "");
    rig.get("/").await.refused(404, "NOT_FOUND", "");
}
