//! The key ring through the API: what it shows, what it changes, what the trail says of it.

use super::{Rig, last_part, text};
use axum::body::Body;
use http::StatusCode;
use keys::{Keyring, RootSource, SealedLog, Sources, Visit, World};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use stdx::Rng;
use storage::{DataKeys, ExtentId, ExtentRef};
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use types::TenantId;

/// A log without a record.
struct NoRecords;

impl SealedLog for NoRecords {
    fn each_key(&self, _: &mut Visit<'_>) -> Result<(), String> {
        Ok(())
    }

    fn extents(&self) -> Vec<ExtentRef> {
        Vec::new()
    }

    fn forget_keys(&self) {}
}

/// A ring on a simulated disk.
pub(super) fn keyring(rng: Arc<dyn Rng>) -> Arc<Keyring> {
    let world = World { disk: SimDisk::shared(5), clock: ManualClock::shared(7), rng };
    let sources = Sources { root: RootSource::File("/keys/root.key".into()), next: None };
    let keyring = Keyring::open(world, Path::new("/keys"), sources).expect("opens");
    keyring.attach(Arc::new(NoRecords)).expect("makes a ring");
    Arc::new(keyring)
}

/// A tenant with a data key, and that tenant's path among the keys.
async fn sealed(rig: &Rig, name: &str) -> (TenantId, String) {
    let (path, _) = rig.project(name).await;
    let id = last_part(&path).to_owned();
    let tenant: TenantId = id.parse().expect("an id");
    let extent = ExtentRef { id: ExtentId(1), generation: 1 };
    let ring = rig.control.keyring.as_ref().expect("a ring");
    ring.make(tenant, extent).expect("a data key");
    (tenant, format!("/v1/keys-at-rest/tenants/{id}"))
}

#[tokio::test]
async fn the_status_names_the_root_and_the_tenants() {
    let rig = Rig::new().await;
    let (first, path) = sealed(&rig, "first").await;
    sealed(&rig, "second").await;
    let status = rig.get("/v1/keys-at-rest").await.ok(200);
    assert_eq!(status["root"]["source"], "file");
    assert_eq!(text(&status["root"]["id"]).len(), 32);
    assert_eq!((&status["live_count"], &status["shredded_count"]), (&json!(2), &json!(0)));
    let page = rig.get("/v1/keys-at-rest?limit=1").await.ok(200);
    let cursor = text(&page["next_cursor"]);
    let next = rig.get(&format!("/v1/keys-at-rest?limit=1&cursor={cursor}")).await.ok(200);
    assert_ne!(page["tenants"][0]["id"], next["tenants"][0]["id"]);
    assert_eq!(next["next_cursor"], Value::Null);
    let one = rig.get(&path).await.ok(200);
    assert_eq!((&one["name"], &one["state"]), (&json!("first"), &json!("live")));
    assert_eq!((&one["current_version"], &one["versions"][0]["version"]), (&json!(1), &json!(1)));
    assert_eq!(text(&one["id"]), first.to_string());
    let stranger = format!("/v1/keys-at-rest/tenants/{}", TenantId(uuid::Uuid::from_u128(9)));
    rig.get(&stranger).await.refused(404, "NOT_FOUND", "tenant");
}

#[tokio::test]
async fn rotations_are_made_once_per_key_and_audited() {
    let rig = Rig::new().await;
    let (_, path) = sealed(&rig, "t").await;
    let before = rig.get("/v1/keys-at-rest").await.ok(200);
    let body = json!({"reason": "yearly"});
    let done = rig.call("POST", "/v1/keys-at-rest/rotate-root", body.clone()).await.ok(200);
    assert_eq!(done["from_id"], before["root"]["id"]);
    assert_ne!(done["from_id"], done["to_id"]);
    let rotate = format!("{path}/rotate");
    for _ in 0..2 {
        let mut request = Rig::request("POST", &rotate, body.to_string());
        request.headers_mut().insert("idempotency-key", "once".parse().expect("a value"));
        let done = Rig::send(&rig.router, request).await.ok(200);
        assert_eq!((&done["from_version"], &done["to_version"]), (&json!(1), &json!(2)));
        assert_eq!(done["rewrapped_count"], 1);
    }
    assert_eq!(rig.get(&path).await.ok(200)["current_version"], 2);
    let trail = rig.get("/v1/audit?action=tenant_key.rotate").await.ok(200);
    assert_eq!(trail["records"].as_array().map(Vec::len), Some(1));
    assert_eq!(trail["records"][0]["details"]["reason"], "yearly");
    let trail = rig.get("/v1/audit?action=root_key.rotate").await.ok(200);
    assert_eq!(trail["records"][0]["target"], "ring");
}

#[tokio::test]
async fn what_fails_is_in_the_trail_too() {
    let rig = Rig::new().await;
    let nobody = TenantId(uuid::Uuid::from_u128(9));
    let rotate = format!("/v1/keys-at-rest/tenants/{nobody}/rotate");
    rig.call("POST", &rotate, json!({})).await.refused(404, "NOT_FOUND", "tenant");
    let trail = rig.get("/v1/audit?action=tenant_key.rotate").await.ok(200);
    let failed = text(&trail["records"][0]["details"]["failed"]);
    assert!(failed.contains("never stored a record"), "{failed}");
    assert_eq!(trail["records"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn shredding_wants_the_tenant_typed_again() {
    let rig = Rig::new().await;
    let (tenant, path) = sealed(&rig, "doomed").await;
    let (other, _) = sealed(&rig, "other").await;
    let shred = format!("{path}/shred");
    for wrong in [json!("other"), json!(other.to_string()), json!(""), json!("Doomed")] {
        let body = json!({"confirm": wrong});
        rig.call("POST", &shred, body).await.refused(400, "INVALID_REQUEST", "confirm");
    }
    assert_eq!(rig.get(&path).await.ok(200)["state"], "live");
    let body = json!({"confirm": "doomed", "reason": "the contract ended"});
    let done = rig.call("POST", &shred, body.clone()).await.ok(200);
    assert_eq!((text(&done["tenant"]), &done["shredded_at"]), (tenant.to_string(), &json!(7)));
    assert_eq!(rig.call("POST", &shred, body).await.ok(200), done);
    let one = rig.get(&path).await.ok(200);
    assert_eq!((&one["state"], &one["shredded_at"]), (&json!("shredded"), &json!(7)));
    let rotate = format!("{path}/rotate");
    rig.call("POST", &rotate, json!({})).await.refused(409, "CONFLICT", "tenant");
    let trail = rig.get("/v1/audit?action=tenant_key.shred").await.ok(200);
    assert_eq!(trail["records"][0]["details"]["reason"], "the contract ended");
    let nobody = format!("/v1/keys-at-rest/tenants/{}/shred", TenantId(uuid::Uuid::from_u128(9)));
    let body = json!({"confirm": TenantId(uuid::Uuid::from_u128(9)).to_string()});
    rig.call("POST", &nobody, body).await.refused(404, "NOT_FOUND", "");
    let (_, system) = sealed(&rig, tenancy::SYSTEM).await;
    let body = json!({"confirm": tenancy::SYSTEM});
    rig.call("POST", &format!("{system}/shred"), body).await.refused(409, "CONFLICT", "tenant");
    let ring = rig.control.keyring.as_ref().expect("a ring");
    ring.prepare(&[keys::NODE]).expect("makes it");
    let own = format!("/v1/keys-at-rest/tenants/{}", keys::NODE);
    let body = json!({"confirm": keys::NODE.to_string()});
    rig.call("POST", &format!("{own}/shred"), body).await.refused(409, "CONFLICT", "tenant");
    assert!(text(&rig.get(&own).await.ok(200)["hint"]).contains("cannot be shredded"));
}

#[tokio::test]
async fn an_export_comes_back_and_shredded_stays_shredded() {
    let rig = Rig::new().await;
    let (tenant, path) = sealed(&rig, "t").await;
    let answer = Rig::request("GET", "/v1/keys-at-rest/export", "");
    let response = tower::ServiceExt::oneshot(rig.router.clone(), answer).await.expect("answers");
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = wire_http::read_body(response.into_body(), 1 << 20).await.expect("short");
    assert!(bytes.starts_with(b"MSKEYEXP"));
    let body = json!({"confirm": tenant.to_string()});
    rig.call("POST", &format!("{path}/shred"), body).await.ok(200);
    let import =
        |bytes: Vec<u8>| Rig::request("POST", "/v1/keys-at-rest/import", Body::from(bytes));
    let done = Rig::send(&rig.router, import(bytes.to_vec())).await.ok(200);
    assert_eq!((&done["tenants_added"], &done["shredded_kept"]), (&json!(0), &json!(1)));
    assert_eq!(rig.get(&path).await.ok(200)["state"], "shredded");
    let mut cut = bytes.to_vec();
    cut.truncate(60);
    let refused = Rig::send(&rig.router, import(cut)).await;
    refused.refused(400, "INVALID_REQUEST", "export");
}

#[tokio::test]
async fn without_encryption_there_is_nothing_to_ask() {
    let rig = Rig::new().await;
    let mut control = rig.control.clone();
    control.keyring = None;
    let request = Rig::request("GET", "/v1/keys-at-rest", "");
    Rig::send(&control.routes(), request).await.refused(501, "UNSUPPORTED", "");
}
