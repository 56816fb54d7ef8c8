//! What the API promises of every route, walked through from its own description, so that no route
//! can be forgotten: pages, headers, rates, one answer for one idempotency key.

use super::gate::{described, document, is_open};
use super::{Rig, peer};
use crate::RateSettings;
use http::Request;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

/// Lists that are short by their nature, and why.
const SHORT: &[(&str, &str)] = &[
    ("/v1/auth/providers", "bounded: an installation, a tenant and a domain have few"),
    ("/v1/permissions", "as many as the program has"),
    ("/v1/audit/compliance", "one document; its sections say where the rest is"),
    ("/v1/alerts/metrics", "as many as the program has"),
    ("/v1/alerts/rules", "bounded: all are looked at in each round"),
    ("/v1/alerts/channels", "bounded: all are looked at in each round"),
    ("/v1/alerts/silences", "bounded: all are looked at in each round"),
    ("/v1/approval-acts", "as many as the program has"),
    ("/v1/security/activity", "one moment, whole; its lists have twenty lines"),
    ("/v1/security/checks", "as many as the program has"),
    ("/v1/approval-rules", "as many as there are acts"),
    ("/v1/config/diff", "as many as the configuration has keys"),
    ("/v1/metrics", "one moment, whole"),
    ("/v1/diagnostics", "one document"),
    ("/v1/config", "one document"),
    ("/v1/status", "one document"),
    ("/v1/account", "one's own"),
    ("/v1/account/passkeys", "a user has twenty at most"),
    ("/v1/users/{user}/passkeys", "a user has twenty at most"),
    ("/v1/tenants/{tenant}/account", "one document"),
    ("/v1/tenants/{tenant}/budgets", "a tenant has few"),
    ("/v1/tenants/{tenant}/stripe/preview", "one document"),
    ("/v1/tenants/{tenant}/projects/{project}/token-settings", "one document"),
    ("/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}/attempts", "the newest few"),
    ("/v1/tenants/{tenant}/usage/totals", "as many as projects have metrics"),
];

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

fn answer_schema<'a>(document: &'a Value, operation: &'a Value) -> &'a Value {
    resolve(document, &operation["responses"]["200"]["content"]["application/json"]["schema"])
}

fn lists(document: &Value, schema: &Value) -> bool {
    let properties = schema["properties"].as_object();
    let is_list = |it: &Value| resolve(document, it)["type"] == "array";
    properties.is_some_and(|all| all.values().any(is_list))
}

#[tokio::test]
async fn every_list_has_pages() {
    let rig = Rig::new().await;
    let document = document(&rig).await;
    let mut wrong = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["get"];
        let schema = answer_schema(&document, operation);
        if !operation.is_object() || !lists(&document, schema) {
            continue;
        }
        let is_one = SHORT.iter().any(|(short, _)| short == path) || path.ends_with('}');
        let parameters = operation["parameters"].as_array();
        let named = |name: &str| {
            parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == name))
        };
        let has_pages = schema["properties"]["next_cursor"].is_object();
        if !(is_one || has_pages && named("limit") && named("cursor")) {
            wrong.push(path.clone());
        }
    }
    assert!(wrong.is_empty(), "without pages: {wrong:#?}");
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let rig = Rig::new().await;
    let document = document(&rig).await;
    let mut names = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with("/v1/"), "{path} has no version");
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
            assert!(!name.is_empty() && names.insert(name), "{method} {path}");
            let answers = operation["responses"].as_object().expect("responses");
            let is_good = |status: &String| status.starts_with('2');
            assert!(answers.keys().any(is_good), "{method} {path} never succeeds");
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_of_the_house() {
    let rig = Rig::new().await;
    rig.control.rates.set(RateSettings::default());
    let document = document(&rig).await;
    for (method, path) in described(&document) {
        let mut request = Rig::request(&method, &path, "{}");
        let mut peer = peer();
        peer.is_tls = true;
        request.extensions_mut().insert(peer);
        let answer = Rig::send(&rig.router, request).await;
        let header = |name: &str| answer.headers.get(name).and_then(|it| it.to_str().ok());
        assert_eq!(header("cache-control"), Some("no-store"), "{method} {path}");
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        assert_eq!(header("x-frame-options"), Some("DENY"), "{method} {path}");
        assert_eq!(header("referrer-policy"), Some("no-referrer"), "{method} {path}");
        assert!(header("strict-transport-security").is_some(), "{method} {path}");
        let policy = header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{method} {path}: {policy}");
        let is_limited = header("ratelimit-limit").is_some();
        assert!(is_limited, "{method} {path} tells nothing of its rate");
    }
}

#[tokio::test]
async fn every_route_counts_against_the_rate() {
    let rig = Rig::new().await;
    let document = document(&rig).await;
    rig.control.rates.set(RateSettings { principal_per_second_max: 1, address_per_second_max: 2 });
    for (method, path) in described(&document) {
        // Two at once for a principal, four for an address; all of it is there again.
        let is_open = is_open(&document, &method, &path);
        rig.clock.advance(Duration::from_secs(10));
        let take = if is_open { 4 } else { 2 };
        let mut last = None;
        for _ in 0..=take {
            let mut request: Request<_> = Rig::request(&method, &path, "");
            request.extensions_mut().insert(peer());
            last = Some(Rig::send(&rig.router, request).await);
        }
        let answer = last.expect("one was sent");
        let field = match is_open {
            true => "admin.rate.address_per_second_max",
            false => "admin.rate.principal_per_second_max",
        };
        assert_eq!((answer.status.as_u16(), answer.field()), (429, field), "{method} {path}");
        assert_eq!(answer.code(), "RATE_LIMIT_EXCEEDED");
        assert_eq!(answer.headers["retry-after"], "1", "{method} {path}");
        assert_eq!(answer.headers["ratelimit-remaining"], "0", "{method} {path}");
    }
}

#[tokio::test]
async fn guessing_tokens_costs_the_address() {
    let rig = Rig::new().await;
    let settings = RateSettings { principal_per_second_max: 0, address_per_second_max: 3 };
    rig.control.rates.set(settings);
    let mut codes = Vec::new();
    for number in 0..8 {
        let mut request = Rig::request("GET", "/v1/tenants", "");
        let token = format!("Bearer guess-number-{number}-of-the-operator-token");
        request.headers_mut().insert("authorization", token.parse().unwrap());
        request.extensions_mut().insert(peer());
        codes.push(Rig::send(&rig.router, request).await.status.as_u16());
    }
    assert_eq!(codes, [401, 401, 401, 401, 401, 401, 429, 429]);
    // Another address is not held up, and the first one not for long.
    let mut request = Rig::request("GET", "/v1/tenants", "");
    let mut other = peer();
    other.address = ([127, 0, 0, 2], 4_000).into();
    request.extensions_mut().insert(other);
    Rig::send(&rig.router, request).await.ok(200);
    rig.clock.advance(Duration::from_secs(1));
    let mut request = Rig::request("GET", "/v1/tenants", "");
    request.extensions_mut().insert(peer());
    Rig::send(&rig.router, request).await.ok(200);
}

#[tokio::test]
async fn every_creation_is_carried_out_once_per_key() {
    let rig = Rig::new().await;
    let (tenant, project) = rig.project("p").await;
    let creations = [
        ("/v1/tenants".to_owned(), json!({"name": "t"})),
        (format!("{tenant}/projects"), json!({"name": "q"})),
        (format!("{project}/keys"), json!({"name": "k", "scopes": ["events:publish"]})),
        (format!("{project}/signing-keys"), json!({"name": "s", "algorithm": "HS256"})),
        (format!("{tenant}/budgets"), json!({"name": "b", "amount": 5})),
        ("/v1/roles".to_owned(), json!({"name": "r", "permissions": ["audit:read"]})),
    ];
    for (number, (path, body)) in creations.into_iter().enumerate() {
        let (key, mut answers) = (format!("once-{number}"), Vec::new());
        for _ in 0..2 {
            let mut request = Rig::request("POST", &path, body.to_string());
            request.headers_mut().insert("idempotency-key", key.parse().unwrap());
            answers.push(Rig::send(&rig.router, request).await);
        }
        let second = answers.pop().expect("two");
        assert!(second.status.is_success(), "{path}: {}", second.body);
        assert_eq!(second.headers["idempotent-replayed"], "true", "{path}");
    }
}
