//! API keys: the secret is shown once and works, rotation has a grace, revocation ends it.

use super::records::collect;
use super::{Rig, last_part, peer, text};
use port::{Change, Code, Credential};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use types::{KeyId, Scope};

async fn works(rig: &Rig, secret: &str) -> Result<port::Identity, Code> {
    let credential = Credential::ApiKey(secret.to_owned());
    let outcome = rig.authenticator.authenticate(&peer(), &credential).await;
    outcome.map_err(|refusal| refusal.code())
}

/// What the hub does with the news.
async fn tell(rig: &Rig) -> Vec<Change> {
    let changes = rig.changes();
    for change in &changes {
        rig.authenticator.changed(change).await;
    }
    changes
}

fn key_id(key: &Value) -> KeyId {
    text(&key["id"]).parse().unwrap()
}

#[tokio::test]
async fn a_new_key_works_and_is_never_shown_again() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let keys = format!("{project}/keys");
    let body = json!({
        "name": "app", "mode": "test", "scopes": ["events:publish"],
        "grants": [{"filter": "orders/#", "access": "publish"}],
        "rate_per_second": 5, "expires_at": super::START_MS + 60_000,
    });
    let made = rig.call("POST", &keys, body).await.ok(201);
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("ms_test_"), "{secret}");
    assert_eq!(made["key"]["is_usable"], true);
    assert_eq!(tell(&rig).await, [Change::Key(key_id(&made["key"]))]);
    let who = works(&rig, &secret).await.unwrap();
    assert_eq!(who.project().to_string(), last_part(&project));
    assert!(who.claims().scopes.has(Scope::EventsPublish));
    assert!(!who.claims().scopes.has(Scope::EventsSubscribe));
    assert_eq!(who.claims().grants.as_ref().map(|grants| grants.len()), Some(1));
    assert_eq!(who.claims().rate_per_second, Some(5));

    let path = format!("{keys}/{}", text(&made["key"]["id"]));
    let shown = rig.get(&path).await.ok(200);
    assert_eq!(shown, made["key"]);
    let listed = rig.get(&keys).await.ok(200);
    // Records of the trail have hashes of their own, which are no key's.
    let mut trail = rig.get("/v1/audit").await.ok(200);
    for record in trail["records"].as_array_mut().expect("a list") {
        let fields = record.as_object_mut().expect("an object");
        assert!(fields.remove("hash").is_some());
    }
    for answer in [shown, listed, trail] {
        let answer = answer.to_string();
        assert!(!answer.contains(&secret) && !answer.contains("hash"), "{answer}");
    }
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(rig.get(&path).await.ok(200)["is_usable"], false);
}

#[tokio::test]
async fn what_a_key_may_not_be_is_told_by_field() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let keys = format!("{project}/keys");
    let scopes = json!(["events:publish"]);
    let table = [
        (json!({"scopes": scopes}), "INVALID_REQUEST", "name"),
        (json!({"name": "k"}), "INVALID_REQUEST", "scopes"),
        (json!({"name": "k", "scopes": []}), "INVALID_REQUEST", "scopes"),
        (json!({"name": "k", "scopes": ["root"]}), "INVALID_REQUEST", "scopes"),
        (json!({"name": "k", "scopes": scopes, "mode": "prod"}), "INVALID_REQUEST", "mode"),
        (json!({"name": "k", "scopes": scopes, "secret": "x"}), "UNKNOWN_FIELD", "secret"),
        (
            json!({"name": "k", "scopes": scopes, "rate_per_second": 0}),
            "INVALID_REQUEST",
            "rate_per_second",
        ),
        (json!({"name": "k", "scopes": scopes, "expires_at": 1}), "INVALID_REQUEST", "expires_at"),
        (
            json!({"name": "k", "scopes": scopes, "grants": [{"filter": "a/#/b"}]}),
            "INVALID_REQUEST",
            "grants",
        ),
        (
            json!({"name": "k", "scopes": scopes, "grants": [{"filter": "a", "may": 1}]}),
            "UNKNOWN_FIELD",
            "grants[0].may",
        ),
        (json!({"name": "", "scopes": scopes}), "INVALID_REQUEST", "name"),
    ];
    for (body, code, field) in table {
        rig.call("POST", &keys, body).await.refused(400, code, field);
    }
    assert!(rig.get(&keys).await.ok(200)["keys"].as_array().unwrap().is_empty());
    assert!(rig.changes().is_empty());
}

#[tokio::test]
async fn a_rotated_key_works_through_its_grace() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let keys = format!("{project}/keys");
    let body = json!({"name": "app", "scopes": ["events:subscribe"]});
    let old = rig.call("POST", &keys, body).await.ok(201);
    let rotate = format!("{keys}/{}/rotate", text(&old["key"]["id"]));
    let too_long = json!({"grace_ms": 31u64 * 24 * 3_600_000});
    rig.call("POST", &rotate, too_long).await.refused(400, "INVALID_REQUEST", "grace_ms");
    let new = rig.call("POST", &rotate, json!({"grace_ms": 30_000})).await.ok(201);
    assert_eq!(new["key"]["rotated_from"], old["key"]["id"]);
    assert_eq!(new["key"]["scopes"], json!(["events:subscribe"]));
    assert_eq!(new["replaced"]["grace_until"], super::START_MS + 30_000);
    tell(&rig).await;
    let (old_text, new_text) = (text(&old["secret"]), text(&new["secret"]));
    assert!(works(&rig, &old_text).await.is_ok());
    assert!(works(&rig, &new_text).await.is_ok());
    rig.clock.advance(Duration::from_millis(30_000));
    assert_eq!(works(&rig, &old_text).await.err(), Some(Code::ExpiredApiKey));
    assert!(works(&rig, &new_text).await.is_ok());
    rig.call("POST", &rotate, json!({})).await.refused(409, "CONFLICT", "");
    assert_eq!(collect(&rig, &keys, "keys", 1).await.len(), 2);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_any_more() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    let (_, stranger) = rig.project("stranger").await;
    let keys = format!("{project}/keys");
    let body = json!({"name": "app", "scopes": ["events:subscribe"]});
    let made = rig.call("POST", &keys, body).await.ok(201);
    tell(&rig).await;
    let secret = text(&made["secret"]);
    let session = works(&rig, &secret).await.unwrap();
    let id = text(&made["key"]["id"]);
    let elsewhere = format!("{stranger}/keys/{id}/revoke");
    rig.call("POST", &elsewhere, Value::Null).await.refused(404, "NOT_FOUND", "");
    assert!(rig.changes().is_empty() && !session.is_revoked());

    let revoke = format!("{keys}/{id}/revoke");
    let revoked = rig.call("POST", &revoke, Value::Null).await.ok(200);
    assert_eq!(revoked["is_usable"], false);
    assert_eq!(tell(&rig).await, [Change::Key(key_id(&made["key"]))]);
    assert_eq!(works(&rig, &secret).await.err(), Some(Code::InvalidApiKey));
    assert!(session.is_revoked(), "open sessions must end too");
    rig.call("POST", &revoke, Value::Null).await.ok(200);
}

fn some_scopes() -> impl Strategy<Value = Vec<&'static str>> {
    let names: Vec<&'static str> = Scope::ALL.into_iter().map(Scope::name).collect();
    prop::sample::subsequence(names, 1..=5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property 15: created API keys are cryptographically
    /// secure and carry the chosen scopes** (here: as the admin API hands them out and stores them)
    #[test]
    fn keys_are_secret_distinct_and_carry_their_scopes(
        wanted in prop::collection::vec((some_scopes(), any::<bool>()), 1..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            let (_, project) = rig.project("p").await;
            let mut seen = HashSet::new();
            for (scopes, is_live) in wanted {
                let mode = if is_live { "live" } else { "test" };
                let body = json!({"name": "k", "scopes": scopes, "mode": mode});
                let made = rig.call("POST", &format!("{project}/keys"), body).await.ok(201);
                let secret = text(&made["secret"]);
                // 43 digits of base 62 are 256 bits.
                assert_eq!(secret.rsplit('_').next().map(str::len), Some(43));
                assert!(secret.starts_with(&format!("ms_{mode}_")));
                assert!(seen.insert(secret.clone()), "a key came twice");
                let who = works(&rig, &secret).await.unwrap();
                let found: Vec<&str> = who.claims().scopes.iter().map(Scope::name).collect();
                assert_eq!(found, scopes);
                let prefix = text(&made["key"]["prefix"]);
                let stored = rig.tenancy.find_key_by_prefix(&prefix).await.unwrap().unwrap();
                assert_eq!(stored.key.hash.len(), 32);
                let tail = secret.rsplit('_').next().unwrap().as_bytes();
                assert!(!stored.key.hash.windows(8).any(|part| tail.starts_with(part)));
            }
        });
    }
}
