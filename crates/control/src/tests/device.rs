//! Devices without a browser through the admin API: from the code on the device to its session.

use super::people::{DEVICE, PASSWORD};
use super::{Answer, Rig, text};
use serde_json::{Value, json};
use std::time::Duration;

const TERMINAL: &str = "a terminal's own random text";

impl Rig {
    async fn start_device(&self) -> Value {
        let body = json!({"device": TERMINAL, "device_name": "mainstem on box"});
        self.call_as("", "POST", "/v1/auth/device", body).await.ok(200)
    }

    async fn poll(&self, started: &Value, device: &str) -> Answer {
        let body = json!({"device_code": started["device_code"], "device": device});
        self.call_as("", "POST", "/v1/auth/device/token", body).await
    }

    async fn say(&self, access: &str, verb: &str, code: &Value) -> Answer {
        let path = format!("/v1/account/device{verb}");
        self.call_as(access, "POST", &path, json!({"user_code": code})).await
    }
}

async fn ann() -> (Rig, String) {
    let rig = Rig::new().await;
    rig.owner().await;
    let access = rig.access("ann@example.org").await;
    (rig, access)
}

#[tokio::test]
async fn a_terminal_is_confirmed_elsewhere_and_gets_one_session() {
    let (rig, access) = ann().await;
    let started = rig.start_device().await;
    assert_eq!(started["verification_url"], "http://localhost:8081/device");
    let code = &started["user_code"];
    assert_eq!(text(code).len(), 9);
    assert_eq!(rig.poll(&started, TERMINAL).await.ok(202), json!({"interval_ms": 5_000}));
    rig.poll(&started, TERMINAL).await.refused(429, "RATE_LIMIT_EXCEEDED", "device_code");
    // Who is to confirm it sees what asks, however he types the code.
    let typed = json!(text(code).to_lowercase().replace('-', " "));
    let shown = rig.say(&access, "", &typed).await.ok(200);
    assert_eq!(
        (&shown["device"], &shown["address"]),
        (&json!("mainstem on box"), &json!("127.0.0.1"))
    );
    rig.say(&access, "/confirm", code).await.refused(403, "INSUFFICIENT_SCOPE", "elevated");
    let proof = json!({"password": PASSWORD});
    rig.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    rig.say(&access, "/confirm", code).await.ok(204);
    rig.say(&access, "/confirm", code).await.refused(404, "NOT_FOUND", "user_code");
    // Another device with the code that was shown, and the terminal itself.
    rig.poll(&started, DEVICE).await.refused(401, "EXPIRED_TOKEN", "device_code");
    let tokens = rig.poll(&started, TERMINAL).await.ok(200);
    assert_eq!(tokens["user"]["email"], "ann@example.org");
    let mine = text(&tokens["access_token"]);
    rig.call_as(&mine, "GET", "/v1/account", Value::Null).await.ok(200);
    rig.poll(&started, TERMINAL).await.refused(401, "EXPIRED_TOKEN", "device_code");
    let opened = rig.trail("session.open").await;
    assert!(opened.iter().any(|record| record["details"]["how"] == "confirmed"));
    assert_eq!(rig.trail("device.confirm").await[0]["details"]["device"], "mainstem on box");
    rig.letters.take("ann@example.org", "A new device signed in").await;
}

#[tokio::test]
async fn a_terminal_is_refused_or_its_time_is_over() {
    let (rig, access) = ann().await;
    let refused = rig.start_device().await;
    rig.say(&access, "/refuse", &refused["user_code"]).await.ok(204);
    rig.poll(&refused, TERMINAL).await.refused(401, "INVALID_TOKEN", "device_code");
    assert_eq!(rig.trail("device.refuse").await.len(), 1);
    let late = rig.start_device().await;
    rig.clock.advance(Duration::from_secs(601));
    rig.poll(&late, TERMINAL).await.refused(401, "EXPIRED_TOKEN", "device_code");
    let access = rig.access("ann@example.org").await;
    rig.say(&access, "", &late["user_code"]).await.refused(404, "NOT_FOUND", "user_code");
    let made_up = json!({"device_code": "msc_AAAA"});
    rig.poll(&made_up, TERMINAL).await.refused(401, "EXPIRED_TOKEN", "device_code");
    // Codes cannot be tried one after the other.
    for code in ["BCDF-GHJK", "", "BCDFGHJKL", "ÄÖÜ"] {
        rig.say(&access, "", &json!(code)).await.refused(404, "NOT_FOUND", "user_code");
    }
    rig.say(&access, "", &json!("BCDF-GHJL")).await.refused(429, "RATE_LIMIT_EXCEEDED", "email");
}
