//! Passkeys through the admin API, made and used by an authenticator in software: the good path,
//! and every answer that is not to be believed.

use super::people::{DEVICE, PASSWORD};
use super::{Answer, Rig, TOKEN, text};
use crate::tests::people::telephone;
use serde_json::{Value, json};
use std::time::Duration;
use stdx::Clock;
use testkit::authenticator::{Page, SoftPasskey, Used, decoded, encoded};

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

fn page() -> Page {
    Page::new("http://localhost:8081", "localhost")
}

impl Rig {
    /// A session of this user that has just proved who he is.
    async fn elevated(&self, email: &str) -> String {
        let access = self.access(email).await;
        let proof = json!({"password": PASSWORD});
        self.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
        access
    }

    /// Makes this passkey the user's.
    async fn register(&self, access: &str, passkey: &mut SoftPasskey, name: &str) -> Answer {
        let path = "/v1/account/passkeys/options";
        let options = self.call_as(access, "POST", path, Value::Null).await.ok(200);
        assert_eq!(options["rp"], json!({"id": "localhost", "name": "Mainstem"}));
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        let (challenge, user) = (decoded(&options["challenge"]), decoded(&options["user"]["id"]));
        let made = passkey.create(&page(), &challenge, &user).json();
        let body = json!({"name": name, "credential": made});
        self.call_as(access, "POST", "/v1/account/passkeys", body).await
    }

    async fn challenge(&self, access: &str, path: &str, body: Value) -> Vec<u8> {
        decoded(&self.call_as(access, "POST", path, body).await.ok(200)["challenge"])
    }

    async fn sign_in_challenge(&self) -> Vec<u8> {
        self.challenge("", "/v1/auth/passkey/options", Value::Null).await
    }

    async fn enter(&self, used: &Used) -> Answer {
        let body = json!({"credential": used.json(), "device": DEVICE, "device_name": "test"});
        self.call_as("", "POST", "/v1/auth/passkey/login", body).await
    }

    /// Signs in with this passkey alone.
    async fn enter_with(&self, passkey: &mut SoftPasskey) -> Answer {
        let challenge = self.sign_in_challenge().await;
        self.enter(&passkey.get(&page(), &challenge)).await
    }

    /// The newest refusal of a passkey in the trail, when there are so many.
    async fn reason(&self, count: usize) -> String {
        self.trail_of("passkey.refuse", count).await;
        let trail = self.trail("passkey.refuse").await;
        let newest = trail.iter().max_by_key(|record| text(&record["id"])).expect("one");
        text(&newest["details"]["reason"])
    }
}

async fn ann_with(passkey: &mut SoftPasskey) -> (Rig, String, Value) {
    let rig = Rig::new().await;
    rig.owner().await;
    let access = rig.elevated(ANN).await;
    let kept = rig.register(&access, passkey, "laptop").await.ok(201);
    (rig, access, kept)
}

#[tokio::test]
async fn a_passkey_is_made_and_signs_in() {
    let makers = [SoftPasskey::es256, SoftPasskey::ed25519, SoftPasskey::rs256];
    for make in makers {
        let mut passkey = make();
        let (rig, access, kept) = ann_with(&mut passkey).await;
        assert_eq!((&kept["name"], &kept["used_at"]), (&json!("laptop"), &Value::Null));
        rig.letters.take(ANN, "Your passkeys were changed").await;
        // Without a recent proof nobody makes one.
        let plain = rig.access(ANN).await;
        let refused = rig.register_refused(&plain).await;
        refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
        let tokens = rig.enter_with(&mut passkey).await.ok(200);
        assert_eq!(tokens["user"]["email"], ANN);
        let opened = rig.trail("session.open").await;
        let how: Vec<&Value> = opened.iter().map(|record| &record["details"]["how"]).collect();
        assert!(how.contains(&&json!("passkey")) && how.contains(&&json!("password")), "{how:?}");
        let mine = text(&tokens["access_token"]);
        let list = rig.call_as(&mine, "GET", "/v1/account/passkeys", Value::Null).await.ok(200);
        assert_eq!(list["origin"], "http://localhost:8081");
        assert!(list["passkeys"][0]["used_at"].is_i64());
        // A second one is not made by an authenticator that has the first.
        let path = "/v1/account/passkeys/options";
        let options = rig.call_as(&access, "POST", path, Value::Null).await.ok(200);
        let known = &options["excludeCredentials"][0];
        assert_eq!(decoded(&known["id"]), passkey.credential_id);
        assert_eq!(known["transports"], json!(["internal"]));
    }
}

impl Rig {
    async fn register_refused(&self, access: &str) -> Answer {
        self.call_as(access, "POST", "/v1/account/passkeys/options", Value::Null).await
    }
}

#[tokio::test]
async fn another_node_takes_the_answer_and_neither_takes_it_twice() {
    let mut passkey = SoftPasskey::es256();
    let (rig, ..) = ann_with(&mut passkey).await;
    let challenge = rig.sign_in_challenge().await;
    let used = passkey.get(&page(), &challenge);
    let other = rig.restarted();
    let body = json!({"credential": used.json(), "device": DEVICE}).to_string();
    Rig::send(&other, Rig::request("POST", "/v1/auth/passkey/login", body)).await.ok(200);
    // The same answer, and a new one to the same challenge.
    rig.enter(&used).await.refused(401, "INVALID_TOKEN", "passkey");
    assert_eq!(rig.reason(1).await, "replayed");
    let again = passkey.get(&page(), &challenge);
    rig.enter(&again).await.refused(401, "INVALID_TOKEN", "passkey");
    assert_eq!(rig.reason(2).await, "replayed");
    rig.enter_with(&mut passkey).await.ok(200);
}

#[tokio::test]
async fn answers_that_are_not_to_be_believed() {
    let mut passkey = SoftPasskey::es256();
    let (rig, ..) = ann_with(&mut passkey).await;
    let mut count = 0;
    let elsewhere = [
        (Page::new("https://evil.example.org", "localhost"), "wrong_origin"),
        (Page::new("http://localhost:8082", "localhost"), "wrong_origin"),
        (Page::new("http://localhost:8081", "example.org"), "wrong_party"),
        (Page { cross_origin: true, ..page() }, "cross_origin"),
    ];
    for (page, reason) in elsewhere {
        let challenge = rig.sign_in_challenge().await;
        rig.enter(&passkey.get(&page, &challenge)).await.refused(401, "INVALID_TOKEN", "passkey");
        count += 1;
        assert_eq!(rig.reason(count).await, reason);
        rig.clock.advance(Duration::from_secs(3_601));
    }
    type Bend = fn(&mut Used);
    let bent: [(Bend, &str); 4] = [
        (|used| used.signature[12] ^= 1, "signature"),
        (|used| used.authenticator_data[36] ^= 0x40, "signature"),
        (|used| used.authenticator_data.truncate(30), "malformed"),
        (|used| used.user_handle = vec![7; 16], "another_user"),
    ];
    for (bend, reason) in bent {
        let mut used = passkey.get(&page(), &rig.sign_in_challenge().await);
        bend(&mut used);
        rig.enter(&used).await.refused(401, "INVALID_TOKEN", "passkey");
        count += 1;
        assert_eq!(rig.reason(count).await, reason);
        rig.clock.advance(Duration::from_secs(3_601));
    }
    // A challenge that was made up, of another kind, or too old.
    let access = rig.access(ANN).await;
    let other = rig.challenge(&access, "/v1/auth/passkey/elevate-options", Value::Null).await;
    let old = rig.sign_in_challenge().await;
    rig.clock.advance(Duration::from_secs(301));
    for challenge in [vec![0; 56], other, old, b"short".to_vec()] {
        rig.enter(&passkey.get(&page(), &challenge)).await.refused(401, "INVALID_TOKEN", "passkey");
        count += 1;
        assert_eq!(rig.reason(count).await, "stale_challenge");
        rig.clock.advance(Duration::from_secs(3_601));
    }
    // A passkey that nobody has.
    rig.enter_with(&mut SoftPasskey::es256()).await.refused(401, "INVALID_TOKEN", "passkey");
    rig.enter_with(&mut passkey).await.ok(200);
}

#[tokio::test]
async fn a_count_that_goes_back_is_refused_noted_and_mailed() {
    let mut passkey = SoftPasskey::es256();
    let (rig, ..) = ann_with(&mut passkey).await;
    passkey.count = 9;
    rig.enter_with(&mut passkey).await.ok(200);
    passkey.count = 4;
    rig.enter_with(&mut passkey).await.refused(401, "INVALID_TOKEN", "passkey");
    assert_eq!(rig.reason(1).await, "count_went_back");
    let letter = rig.letters.take(ANN, "A passkey was refused").await;
    assert!(letter.contains("laptop") && letter.contains("127.0.0.1"), "{letter}");
}

#[tokio::test]
async fn guessing_with_a_passkey_is_slowed_down_and_a_disabled_user_stays_out() {
    let mut passkey = SoftPasskey::es256();
    let (rig, ..) = ann_with(&mut passkey).await;
    let mut wrong = passkey.get(&page(), &rig.sign_in_challenge().await);
    wrong.signature[12] ^= 1;
    for _ in 0..5 {
        rig.enter(&wrong).await.refused(401, "INVALID_TOKEN", "passkey");
    }
    rig.enter_with(&mut passkey).await.refused(429, "RATE_LIMIT_EXCEEDED", "email");
    rig.clock.advance(Duration::from_secs(3));
    rig.enter_with(&mut passkey).await.ok(200);
    // Bob, whom the operator disables.
    let bob = rig.user(BOB).await;
    let access = rig.elevated(BOB).await;
    let mut his = SoftPasskey::ed25519();
    rig.register(&access, &mut his, "key").await.ok(201);
    rig.call("POST", &format!("/v1/users/{bob}/disable"), Value::Null).await.ok(200);
    rig.enter_with(&mut his).await.refused(401, "INVALID_TOKEN", "passkey");
    assert_eq!(rig.reason(6).await, "user_not_active");
}

#[tokio::test]
async fn a_passkey_stands_in_for_the_code_after_the_password() {
    let mut passkey = SoftPasskey::es256();
    let (rig, access, _) = ann_with(&mut passkey).await;
    let path = "/v1/account/second-factor";
    let made = rig.call_as(&access, "POST", path, Value::Null).await.ok(200);
    let code = json!({"code": telephone(&text(&made["secret"]), rig.clock.now_ms())});
    rig.call_as(&access, "POST", &format!("{path}/confirm"), code).await.ok(200);
    rig.log_in(ANN, DEVICE).await.refused(401, "CREDENTIAL_MISSING", "code");
    let ask = |password: &str| json!({"email": ANN, "password": password, "device": DEVICE});
    let options = "/v1/auth/passkey/second-factor-options";
    let wrong = rig.call_as("", "POST", options, ask("a wrong password")).await;
    wrong.refused(401, "INVALID_TOKEN", "password");
    let log_in = async |used: &Used| {
        let mut body = ask(PASSWORD);
        body["passkey"] = used.json();
        rig.call_as("", "POST", "/v1/auth/login", body).await
    };
    // What answers another question does not do.
    let used = passkey.get(&page(), &rig.sign_in_challenge().await);
    log_in(&used).await.refused(401, "INVALID_TOKEN", "passkey");
    let challenge = rig.challenge("", options, ask(PASSWORD)).await;
    // Nor does the passkey of somebody else.
    rig.user(BOB).await;
    let bobs = rig.elevated(BOB).await;
    let mut his = SoftPasskey::es256();
    rig.register(&bobs, &mut his, "his").await.ok(201);
    log_in(&his.get(&page(), &challenge)).await.refused(401, "INVALID_TOKEN", "passkey");
    assert_eq!(rig.reason(2).await, "another_user");
    rig.clock.advance(Duration::from_secs(3));
    log_in(&passkey.get(&page(), &challenge)).await.ok(200);
    let opened = rig.trail("session.open").await;
    assert!(opened.iter().any(|record| record["details"]["how"] == "password+passkey"));
    // Bob's password does not make a challenge of Ann's.
    let body = json!({"email": "nobody@example.org", "password": PASSWORD, "device": DEVICE});
    rig.call_as("", "POST", options, body).await.refused(401, "INVALID_TOKEN", "password");
}

#[tokio::test]
async fn a_passkey_proves_again_who_one_is() {
    let mut passkey = SoftPasskey::es256();
    let (rig, _, kept) = ann_with(&mut passkey).await;
    let access = text(&rig.enter_with(&mut passkey).await.ok(200)["access_token"]);
    let remove = format!("/v1/account/passkeys/{}", text(&kept["id"]));
    let refused = rig.call_as(&access, "DELETE", &remove, Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
    let elevate = async |body: Value| rig.call_as(&access, "POST", "/v1/auth/elevate", body).await;
    elevate(json!({})).await.refused(401, "CREDENTIAL_MISSING", "password");
    // A challenge of another session.
    let options = "/v1/auth/passkey/elevate-options";
    let other = rig.access(ANN).await;
    let theirs = rig.challenge(&other, options, Value::Null).await;
    let body = json!({"passkey": passkey.get(&page(), &theirs).json()});
    elevate(body).await.refused(401, "INVALID_TOKEN", "passkey");
    let challenge = rig.challenge(&access, options, Value::Null).await;
    let body = json!({"passkey": passkey.get(&page(), &challenge).json()});
    elevate(body.clone()).await.ok(200);
    assert_eq!(rig.trail("session.elevate").await.len(), 2);
    elevate(body).await.refused(401, "INVALID_TOKEN", "passkey");
    rig.call_as(&access, "DELETE", &remove, Value::Null).await.ok(204);
    rig.enter_with(&mut passkey).await.refused(401, "INVALID_TOKEN", "passkey");
    let none = rig.call_as(&access, "POST", options, Value::Null).await;
    none.refused(404, "NOT_FOUND", "passkey");
}

#[tokio::test]
async fn a_passkey_is_made_for_one_session_and_named_by_its_owner() {
    let mut passkey = SoftPasskey::es256();
    let (rig, access, kept) = ann_with(&mut passkey).await;
    let keep = async |token: &str, made: Value| {
        let body = json!({"name": "another", "credential": made});
        rig.call_as(token, "POST", "/v1/account/passkeys", body).await
    };
    let options = "/v1/account/passkeys/options";
    let challenge = rig.challenge(&access, options, Value::Null).await;
    let other = rig.elevated(ANN).await;
    let mut second = SoftPasskey::es256();
    let made = second.create(&page(), &challenge, b"ann");
    keep(&other, made.json()).await.refused(400, "INVALID_REQUEST", "credential");
    let mut truncated = made.clone();
    truncated.attestation.truncate(90);
    let elsewhere = second.create(&Page::new("https://e.org", "localhost"), &challenge, b"ann");
    for wrong in [truncated, elsewhere] {
        keep(&access, wrong.json()).await.refused(400, "INVALID_REQUEST", "credential");
    }
    let mut long = made.json();
    long["response"]["attestationObject"] = json!(encoded(&[0; 20_000]));
    keep(&access, long).await.refused(400, "INVALID_REQUEST", "attestationObject");
    keep(&access, json!({"type": "password", "response": {}})).await.refused(
        400,
        "INVALID_REQUEST",
        "credential.response.clientDataJSON",
    );
    keep(&access, made.json()).await.ok(201);
    keep(&access, made.json()).await.refused(409, "CONFLICT", "challenge");
    let path = format!("/v1/account/passkeys/{}", text(&kept["id"]));
    let name = json!({"name": "old laptop"});
    let renamed = rig.call_as(&access, "PATCH", &path, name.clone()).await.ok(200);
    assert_eq!(renamed["name"], "old laptop");
    // Of somebody else it is not there.
    let bob = rig.user(BOB).await;
    let bobs = rig.elevated(BOB).await;
    rig.call_as(&bobs, "PATCH", &path, name).await.refused(404, "NOT_FOUND", "");
    rig.call_as(&bobs, "DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
    let ann =
        text(&rig.call_as(&access, "GET", "/v1/account", Value::Null).await.ok(200)["user"]["id"]);
    let users = format!("/v1/users/{ann}/passkeys");
    rig.call_as(&bobs, "GET", &users, Value::Null).await.refused(
        403,
        "INSUFFICIENT_SCOPE",
        "permission",
    );
    // The operator sees them, and removes what was lost.
    let list = rig.call_as(TOKEN, "GET", &users, Value::Null).await.ok(200);
    assert_eq!(list["passkeys"].as_array().map(Vec::len), Some(2));
    let lost = format!("{users}/{}", text(&kept["id"]));
    let mistaken = lost.replace(&ann, &bob);
    rig.call_as(TOKEN, "DELETE", &mistaken, Value::Null).await.refused(404, "NOT_FOUND", "");
    rig.call_as(TOKEN, "DELETE", &lost, Value::Null).await.ok(204);
    rig.enter_with(&mut passkey).await.refused(401, "INVALID_TOKEN", "passkey");
}

#[tokio::test]
async fn without_a_name_there_are_no_passkeys() {
    let rig = Rig::at("http://127.0.0.1:8081").await;
    rig.owner().await;
    let setup = rig.call_as("", "GET", "/v1/setup", Value::Null).await.ok(200);
    assert_eq!(setup["passkey_origin"], Value::Null);
    let refused = rig.call_as("", "POST", "/v1/auth/passkey/options", Value::Null).await;
    refused.refused(501, "UNSUPPORTED", "people.console_url");
    let access = rig.elevated(ANN).await;
    let refused = rig.register_refused(&access).await;
    refused.refused(501, "UNSUPPORTED", "people.console_url");
}
