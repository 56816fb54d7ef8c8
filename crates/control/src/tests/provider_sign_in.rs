//! Signing in with a provider, from the way there to what one may do, and how that ends.

use super::people::{DEVICE, PASSWORD};
use super::rig_provider::{CLIENT, FakeProvider, SECRET};
use super::{Answer, Rig, START_MS, last_part, text};
use serde_json::{Value, json};
use std::time::Duration;

/// As the operator sets one up; `more` is besides or instead.
pub(super) async fn set_up(rig: &Rig, fake: &FakeProvider, more: Value) -> Value {
    let mut body = json!({
        "name": "Acme", "issuer": fake.issuer, "client_id": CLIENT, "client_secret": SECRET,
        "groups_claim": "groups", "admits_unknown": true,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    rig.call("POST", "/v1/identity-providers", body).await.ok(201)
}

impl Rig {
    /// Sets out on this device: the code and the state with which the browser comes back.
    pub(super) async fn there_and_back(
        &self,
        fake: &FakeProvider,
        provider: &Value,
    ) -> (String, String) {
        let body = json!({"provider": provider["id"], "device": DEVICE});
        let way = self.call_as("", "POST", "/v1/auth/providers/start", body).await.ok(200);
        fake.visit(&text(&way["url"]))
    }

    pub(super) async fn finish(&self, (code, state): (&str, &str), device: &str) -> Answer {
        let body = json!({"code": code, "state": state, "device": device});
        self.call_as("", "POST", "/v1/auth/providers/finish", body).await
    }

    pub(super) async fn come_by(&self, fake: &FakeProvider, provider: &Value) -> Answer {
        let (code, state) = self.there_and_back(fake, provider).await;
        self.finish((&code, &state), DEVICE).await
    }

    /// The access token of somebody who comes by the provider.
    pub(super) async fn access_by(&self, fake: &FakeProvider, provider: &Value) -> String {
        let arrived = self.come_by(fake, provider).await.ok(200);
        text(&arrived["tokens"]["access_token"])
    }

    pub(super) async fn account(&self, access: &str) -> Value {
        self.call_as(access, "GET", "/v1/account", Value::Null).await.ok(200)
    }

    /// An identifier of a new tenant.
    pub(super) async fn tenant(&self, name: &str) -> String {
        let (tenant, _) = self.project(name).await;
        last_part(&tenant).to_owned()
    }
}

fn roles(account: &Value) -> Vec<String> {
    account["roles"].as_array().expect("roles").iter().map(|role| text(&role["role"])).collect()
}

#[tokio::test]
async fn somebody_unknown_comes_by_a_provider_and_his_groups_are_his_roles() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let tenant = rig.tenant("acme").await;
    let rules = json!([
        {"group": "staff", "role": "support"},
        {"group": "builders", "role": "developer"},
        {"group": "*", "role": "billing"},
    ]);
    let provider = set_up(&rig, &fake, json!({"tenant": tenant, "rules": rules})).await;
    assert!(!provider.to_string().contains("s3cret"), "{provider}");
    assert_eq!(provider["has_client_secret"], true);
    assert!(text(&provider["redirect_uri"]).ends_with("/sign-in/return"));
    fake.vouch("s-1", "Bob@acme.example", &["staff", "builders"]);
    let access = rig.access_by(&fake, &provider).await;
    let account = rig.account(&access).await;
    assert_eq!(account["user"]["email"], "bob@acme.example");
    assert_eq!(account["session"]["provider"], provider["id"]);
    let mut held = roles(&account);
    held.sort();
    assert_eq!(held, ["billing", "developer", "support"]);
    assert!(account["roles"].as_array().unwrap().iter().all(|role| role["tenant"] == tenant));
    // One is given by hand as well, and stays when the group goes.
    let by_hand = json!({"user": account["user"]["id"], "role": "developer", "tenant": tenant});
    rig.call("POST", "/v1/role-bindings", by_hand).await.ok(201);
    fake.vouch("s-1", "bob@acme.example", &[]);
    let access = rig.access_by(&fake, &provider).await;
    let mut held = roles(&rig.account(&access).await);
    held.sort();
    assert_eq!(held, ["billing", "developer"]);
    assert_eq!(rig.trail("role.take").await.len(), 1);
    // The rule for everybody goes: its role goes at once.
    let path = format!("/v1/identity-providers/{}", text(&provider["id"]));
    rig.call("PATCH", &path, json!({"rules": []})).await.ok(200);
    assert_eq!(roles(&rig.account(&access).await), ["developer"]);
    // The same person, whatever his address is now; the session can be refreshed and listed.
    fake.vouch("s-1", "robert@acme.example", &[]);
    let again = rig.come_by(&fake, &provider).await.ok(200)["tokens"].clone();
    assert_eq!(again["user"]["email"], "bob@acme.example");
    let body = json!({"refresh_token": again["refresh_token"], "device": DEVICE});
    let next = rig.call_as("", "POST", "/v1/auth/refresh", body).await.ok(200);
    let next = text(&next["access_token"]);
    let sessions = rig.call_as(&next, "GET", "/v1/account/sessions", Value::Null).await.ok(200);
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 3);
    let trail = rig.trail("user.create").await;
    assert_eq!(trail[0]["details"]["subject"], "s-1");
    assert_eq!(trail[0]["tenant"], tenant.as_str());
}

#[tokio::test]
async fn a_provider_that_is_switched_off_ends_its_sessions() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let rules = json!([{"group": "*", "role": "support"}]);
    let provider = set_up(&rig, &fake, json!({"rules": rules})).await;
    fake.vouch("s-1", "bob@acme.example", &[]);
    let arrived = rig.come_by(&fake, &provider).await.ok(200)["tokens"].clone();
    let access = text(&arrived["access_token"]);
    rig.call_as(&access, "GET", "/v1/tenants", Value::Null).await.ok(200);
    let pending = rig.there_and_back(&fake, &provider).await;
    let path = format!("/v1/identity-providers/{}", text(&provider["id"]));
    rig.call("PATCH", &path, json!({"is_enabled": false})).await.ok(200);
    let ended = rig.call_as(&access, "GET", "/v1/tenants", Value::Null).await;
    ended.refused(401, "INVALID_TOKEN", "authorization");
    let body = json!({"refresh_token": arrived["refresh_token"], "device": DEVICE});
    let ended = rig.call_as("", "POST", "/v1/auth/refresh", body).await;
    ended.refused(401, "INVALID_TOKEN", "authorization");
    // Whoever was under way does not arrive, and nobody sets out.
    let late = rig.finish((&pending.0, &pending.1), DEVICE).await;
    late.refused(400, "INVALID_REQUEST", "state");
    let body = json!({"provider": provider["id"], "device": DEVICE});
    let out = rig.call_as("", "POST", "/v1/auth/providers/start", body).await;
    out.refused(404, "NOT_FOUND", "provider");
    assert_eq!(rig.trail("provider.update").await[0]["details"]["sessions_ended"], 1);
    rig.call("PATCH", &path, json!({"is_enabled": true})).await.ok(200);
    let access = rig.access_by(&fake, &provider).await;
    // Deleted, it takes the roles it gave with it.
    rig.call("DELETE", &path, Value::Null).await.ok(204);
    rig.call_as(&access, "GET", "/v1/tenants", Value::Null).await.refused(
        401,
        "INVALID_TOKEN",
        "authorization",
    );
    let users = rig.get("/v1/users").await.ok(200);
    assert_eq!(users["users"][0]["roles"], json!([]));
    assert_eq!(rig.trail("provider.delete").await[0]["details"]["roles_taken"], 1);
}

#[tokio::test]
async fn who_must_be_invited_is_not_let_in_and_invited_he_is() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let tenant = rig.tenant("acme").await;
    let more = json!({"tenant": tenant, "admits_unknown": false, "domains": ["Acme.example"]});
    let provider = set_up(&rig, &fake, more).await;
    fake.vouch("s-1", "bob@acme.example", &[]);
    rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "account");
    let body = json!({"email": "bob@acme.example", "role": "support", "tenant": tenant});
    rig.call("POST", "/v1/users/invite", body).await.ok(201);
    let access = rig.access_by(&fake, &provider).await;
    let account = rig.account(&access).await;
    assert_eq!(
        (&account["user"]["status"], roles(&account)),
        (&json!("active"), vec!["support".to_owned()])
    );
    // A domain that is not listed, however he is called.
    fake.vouch("s-1", "bob@elsewhere.example", &[]);
    rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "email");
    // Whose address was given to somebody else at the provider.
    fake.vouch("s-2", "bob@acme.example", &[]);
    rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "account");
}

#[tokio::test]
async fn elevation_is_another_round_trip() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let rules = json!([{"group": "*", "role": "admin"}]);
    let provider = set_up(&rig, &fake, json!({"rules": rules})).await;
    fake.vouch("s-1", "bob@acme.example", &[]);
    let access = rig.access_by(&fake, &provider).await;
    let role = json!({"name": "r", "permissions": ["topics:read"]});
    let refused = rig.call_as(&access, "POST", "/v1/roles", role.clone()).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
    rig.clock.advance(Duration::from_secs(200));
    fake.at(START_MS + 200_000);
    let round = async || {
        let body = json!({"device": DEVICE});
        let way = rig.call_as(&access, "POST", "/v1/auth/providers/elevate", body).await.ok(200);
        let url = text(&way["url"]);
        assert!(url.contains("prompt=login") && url.contains("max_age=0"), "{url}");
        let (code, state) = fake.visit(&url);
        let body = json!({"code": code, "state": state, "device": DEVICE});
        // What was set out for is no way to sign in.
        rig.call_as(&access, "POST", "/v1/auth/providers/return", body).await
    };
    // The provider did not ask him again, or does not say so, or vouches for somebody else.
    fake.claim("auth_time", json!(START_MS / 1_000));
    round().await.refused(401, "INVALID_TOKEN", "code");
    fake.claim("auth_time", Value::Null);
    round().await.refused(401, "INVALID_TOKEN", "code");
    fake.vouch("s-2", "eve@acme.example", &[]);
    round().await.refused(401, "INVALID_TOKEN", "code");
    fake.vouch("s-1", "bob@acme.example", &[]);
    assert!(round().await.ok(200)["elevated_until"].is_i64());
    rig.call_as(&access, "POST", "/v1/roles", role).await.ok(201);
    // Another session's way is nobody else's.
    let body = json!({"device": DEVICE});
    let way = rig.call_as(&access, "POST", "/v1/auth/providers/elevate", body).await.ok(200);
    let (code, state) = fake.visit(&text(&way["url"]));
    rig.finish((&code, &state), DEVICE).await.refused(400, "INVALID_REQUEST", "state");
}

#[tokio::test]
async fn a_password_may_be_refused_to_whom_a_provider_vouches_for() {
    let rig = Rig::new().await;
    rig.owner().await;
    let fake = FakeProvider::start(START_MS).await;
    let tenant = rig.tenant("acme").await;
    let more = json!({"tenant": tenant, "password_allowed": false});
    let provider = set_up(&rig, &fake, more).await;
    let bob = rig.user("bob@acme.example").await;
    let give = json!({"user": bob, "role": "support", "tenant": tenant});
    rig.call("POST", "/v1/role-bindings", give).await.ok(201);
    rig.log_in("bob@acme.example", DEVICE).await.ok(200);
    fake.vouch("s-1", "bob@acme.example", &[]);
    rig.access_by(&fake, &provider).await;
    let refused = rig.log_in("bob@acme.example", DEVICE).await;
    refused.refused(401, "INVALID_TOKEN", "password");
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("Acme"));
    // Who has roles elsewhere too is not for this tenant to lock out.
    let give = json!({"user": bob, "role": "support"});
    rig.call("POST", "/v1/role-bindings", give).await.ok(201);
    let access = rig.access("bob@acme.example").await;
    // And with his password he may do all, by the provider only what is the tenant's.
    rig.call_as(&access, "GET", "/v1/status", Value::Null).await.ok(200);
    let access = rig.access_by(&fake, &provider).await;
    rig.call_as(&access, "GET", "/v1/status", Value::Null).await.refused(
        403,
        "INSUFFICIENT_SCOPE",
        "permission",
    );
    let path = format!("/v1/tenants/{tenant}");
    rig.call_as(&access, "GET", &path, Value::Null).await.ok(200);
}

#[tokio::test]
async fn a_second_factor_of_ones_own_is_asked_for_when_the_provider_wants_it() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let provider = set_up(&rig, &fake, json!({"require_own_second_factor": true})).await;
    fake.vouch("s-1", "bob@acme.example", &[]);
    let access = rig.access_by(&fake, &provider).await;
    let path = "/v1/account/second-factor";
    let started = rig.call_as(&access, "POST", path, Value::Null).await.ok(200);
    let code = super::people::telephone(&text(&started["secret"]), START_MS);
    let confirm = format!("{path}/confirm");
    let done = rig.call_as(&access, "POST", &confirm, json!({"code": code})).await.ok(200);
    let recovery = text(&done["recovery_codes"][0]);
    let arrived = rig.come_by(&fake, &provider).await.ok(200);
    assert_eq!(arrived["tokens"], Value::Null);
    let send = async |code: &str, device: &str| {
        let body = json!({"ticket": arrived["ticket"], "code": code, "device": device});
        rig.call_as("", "POST", "/v1/auth/providers/second-factor", body).await
    };
    send(&recovery, "another device's own text").await.refused(400, "INVALID_REQUEST", "state");
    send("000000", DEVICE).await.refused(401, "INVALID_TOKEN", "code");
    let signed_in = send(&recovery, DEVICE).await.ok(200);
    assert_eq!(signed_in["session"]["provider"], provider["id"]);
    send(&recovery, DEVICE).await.refused(400, "INVALID_REQUEST", "state");
}

#[tokio::test]
async fn an_account_is_linked_by_who_is_signed_in_to_it() {
    let rig = Rig::new().await;
    rig.owner().await;
    let fake = FakeProvider::start(START_MS).await;
    let provider = set_up(&rig, &fake, json!({"admits_unknown": false})).await;
    fake.vouch("s-1", "ann@example.org", &[]);
    rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "account");
    let access = rig.access("ann@example.org").await;
    let body = json!({"provider": provider["id"], "device": DEVICE});
    let path = "/v1/account/identities";
    let refused = rig.call_as(&access, "POST", path, body.clone()).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
    let proof = json!({"password": PASSWORD});
    rig.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    let way = rig.call_as(&access, "POST", path, body.clone()).await.ok(200);
    let (code, state) = fake.visit(&text(&way["url"]));
    let back = json!({"code": code, "state": state, "device": DEVICE});
    rig.call_as(&access, "POST", "/v1/auth/providers/return", back).await.ok(200);
    let linked = rig.call_as(&access, "GET", path, Value::Null).await.ok(200);
    assert_eq!(linked["identities"][0]["subject"], "s-1");
    let by_provider = rig.access_by(&fake, &provider).await;
    assert_eq!(roles(&rig.account(&by_provider).await), ["owner"]);
    // Such a session adds no other way in.
    let refused = rig.call_as(&by_provider, "POST", path, body).await;
    assert_eq!(refused.status, 403);
    let gone = format!("{path}/{}", text(&linked["identities"][0]["id"]));
    rig.call_as(&access, "DELETE", &gone, Value::Null).await.ok(204);
    rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "account");
}
