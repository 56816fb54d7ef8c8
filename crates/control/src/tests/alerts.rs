//! Alerts through the admin API: rules are checked when they are made, secrets are shown once, what
//! is always there stays.

use super::Rig;
use ::alerts::{Config, Figures, Parts};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use stdx::{Clock, Rng};
use tenancy::Tenancy;

struct NoFigures;

impl Figures for NoFigures {
    fn text(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(std::future::ready(String::new()))
    }
}

/// What the rig's alerts stand on: loopback may be told.
pub(super) fn parts(
    tenancy: &Arc<Tenancy>,
    sealer: &Arc<identity::Sealer>,
    clock: &Arc<dyn Clock>,
    rng: &Arc<dyn Rng>,
) -> Parts {
    let rules = ::webhooks::Config {
        allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        plain_http_allowed: true,
        ..::webhooks::Config::default()
    };
    let courier = ::webhooks::Courier::new(rules, Arc::clone(clock)).expect("a client");
    Parts {
        tenancy: Arc::clone(tenancy),
        figures: Arc::new(NoFigures),
        sealer: Arc::clone(sealer),
        courier: Arc::new(courier),
        mailer: mail::Mailer::none(),
        clock: Arc::clone(clock),
        rng: Arc::clone(rng),
        config: Config::default(),
    }
}

fn rule() -> Value {
    json!({
        "name": "Many connections",
        "severity": "warning",
        "terms": {
            "source": {"metric": {
                "name": "mainstem_connections", "comparison": "above", "threshold": 100.0,
            }},
            "for_seconds": 60,
        },
    })
}

#[tokio::test]
async fn rules_are_made_changed_and_deleted() {
    let rig = Rig::new().await;
    let made = rig.call("POST", "/v1/alerts/rules", rule()).await.ok(201);
    assert_eq!(made["terms"]["repeat_seconds"], 14_400, "defaults are filled in");
    rig.call("POST", "/v1/alerts/rules", rule()).await.refused(409, "CONFLICT", "name");
    let path = format!("/v1/alerts/rules/{}", made["id"].as_str().expect("an id"));
    let changed = rig.call("PATCH", &path, json!({"is_enabled": false})).await.ok(200);
    assert_eq!((&changed["is_enabled"], &changed["name"]), (&json!(false), &made["name"]));
    let mut bad = rule();
    bad["terms"]["source"]["metric"]["name"] = json!("nothing");
    let answer = rig.call("PATCH", &path, json!({"terms": bad["terms"]})).await;
    answer.refused(400, "INVALID_REQUEST", "terms.source.metric.name");
    bad["terms"] = json!({"source": {"event": {"action": "key.*"}}, "channels": [
        "alc_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b"]});
    let answer = rig.call("POST", "/v1/alerts/rules", bad).await;
    answer.refused(400, "INVALID_REQUEST", "terms.channels");
    let metrics = rig.get("/v1/alerts/metrics").await.ok(200);
    assert!(metrics["metrics"].as_array().expect("a list").len() > 50);
    rig.call("DELETE", &path, Value::Null).await.ok(204);
    rig.call("DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
    let trail = rig.get("/v1/audit?action=alert_rule.*").await.ok(200);
    assert_eq!(trail["records"].as_array().expect("a list").len(), 3);
}

#[tokio::test]
async fn what_is_always_there_is_switched_off_not_deleted() {
    let rig = Rig::new().await;
    let parts = rig.control.alerts.clone().expect("parts");
    ::alerts::AlertWorker::new(parts).round().await.expect("a round");
    let rules = rig.get("/v1/alerts/rules").await.ok(200);
    let first = &rules["rules"][0];
    assert!(first["built_in"].is_string(), "{first}");
    let path = format!("/v1/alerts/rules/{}", first["id"].as_str().expect("an id"));
    rig.call("DELETE", &path, Value::Null).await.refused(409, "CONFLICT", "");
    rig.call("PATCH", &path, json!({"is_enabled": false})).await.ok(200);
}

#[tokio::test]
async fn channels_show_their_secret_once() {
    let rig = Rig::new().await;
    let body = json!({"name": "ops", "kind": "webhook", "address": "http://127.0.0.1:9/x?key=1"});
    let made = rig.call("POST", "/v1/alerts/channels", body).await.ok(201);
    assert!(made["secret"].as_str().expect("a secret").starts_with("whsec_"));
    let list = rig.get("/v1/alerts/channels").await.ok(200).to_string();
    assert!(!list.contains("whsec_"), "{list}");
    let slack =
        json!({"name": "room", "kind": "slack", "address": "http://127.0.0.1:9/T0/B1/secret"});
    rig.call("POST", "/v1/alerts/channels", slack).await.ok(201);
    let everything = rig.get("/v1/alerts/channels").await.ok(200).to_string()
        + &rig.get("/v1/audit").await.ok(200).to_string();
    assert!(!everything.contains("B1/secret") && !everything.contains("whsec_"), "{everything}");
    let private = json!({"name": "x", "kind": "webhook", "address": "https://10.0.0.1/"});
    rig.call("POST", "/v1/alerts/channels", private).await.refused(
        400,
        "INVALID_REQUEST",
        "address",
    );
    let path = format!("/v1/alerts/channels/{}", made["channel"]["id"].as_str().expect("an id"));
    rig.call("POST", &format!("{path}/test"), Value::Null).await.ok(202);
    let notices = rig.get("/v1/alerts/notices").await.ok(200);
    assert_eq!(notices["notices"][0]["kind"], "test");
    let off = json!({"is_enabled": false, "severity_min": "critical"});
    assert_eq!(rig.call("PATCH", &path, off).await.ok(200)["severity_min"], "critical");
    rig.call("DELETE", &path, Value::Null).await.ok(204);
}

#[tokio::test]
async fn silences_have_an_end_and_a_reason() {
    let rig = Rig::new().await;
    let ends_at = super::START_MS + 3_600_000;
    let silence = json!({"labels": {"tenant": "x"}, "reason": "moving", "ends_at": ends_at});
    let made = rig.call("POST", "/v1/alerts/silences", silence).await.ok(201);
    assert_eq!(made["actor"], "operator");
    let past = json!({"reason": "moving", "ends_at": super::START_MS - 1});
    rig.call("POST", "/v1/alerts/silences", past).await.refused(400, "INVALID_REQUEST", "ends_at");
    let silent = json!({"reason": " ", "ends_at": ends_at});
    rig.call("POST", "/v1/alerts/silences", silent).await.refused(400, "INVALID_REQUEST", "reason");
    let list = rig.get("/v1/alerts/silences").await.ok(200);
    assert_eq!(list["silences"].as_array().expect("a list").len(), 1);
    let path = format!("/v1/alerts/silences/{}", made["id"].as_str().expect("an id"));
    rig.call("DELETE", &path, Value::Null).await.ok(204);
    rig.call("DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
}
