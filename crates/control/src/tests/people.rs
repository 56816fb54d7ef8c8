//! Users through the admin API: set-up, signing in and staying so, sessions, passwords.

use super::{Answer, Rig, TOKEN, peer, text};
use axum::body::Body;
use http::Request;
use identity::people::{PasswordCost, PeopleSettings};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const DEVICE: &str = "a device's own random text";

/// As in production, but for what a password costs.
pub(super) fn settings() -> PeopleSettings {
    PeopleSettings {
        password_cost: PasswordCost { memory_kib: 64, passes: 1, ..PasswordCost::default() },
        ..PeopleSettings::default()
    }
}

impl Rig {
    /// With this token, or with none.
    pub(super) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(Body::from(body)).expect("a request");
        request.extensions_mut().insert(peer());
        Rig::send(&self.router, request).await
    }

    pub(super) async fn owner(&self) -> Value {
        let body = json!({"email": "Ann@example.org", "name": "Ann", "password": PASSWORD});
        self.call("POST", "/v1/setup", body).await.ok(201)
    }

    /// A user with the usual password and no role, written as an accepted invitation leaves him.
    pub(super) async fn user(&self, email: &str) -> String {
        let hash = self.control.people.stored_password(&PASSWORD.into()).await.expect("a hash");
        let by = tenancy::Actor::system();
        let new = tenancy::NewUser { email: email.to_owned(), name: email.to_owned() };
        self.tenancy.create_user(new, &hash, &by).await.expect("a user").id.to_string()
    }

    pub(super) async fn log_in(&self, email: &str, device: &str) -> Answer {
        let body = json!({"email": email, "password": PASSWORD, "device": device});
        self.call_as("", "POST", "/v1/auth/login", body).await
    }

    /// The access token of somebody who signs in.
    pub(super) async fn access(&self, email: &str) -> String {
        text(&self.log_in(email, DEVICE).await.ok(200)["access_token"])
    }

    async fn refresh(&self, token: &Value, device: &str) -> Answer {
        let body = json!({"refresh_token": token, "device": device});
        self.call_as("", "POST", "/v1/auth/refresh", body).await
    }

    pub(super) async fn trail(&self, action: &str) -> Vec<Value> {
        let trail = self.get(&format!("/v1/audit?action={action}")).await.ok(200);
        trail["records"].as_array().expect("records").clone()
    }
}

#[tokio::test]
async fn the_first_owner_is_set_up_once_and_by_an_operator() {
    let rig = Rig::new().await;
    let open = rig.call_as("", "GET", "/v1/setup", Value::Null).await.ok(200);
    assert_eq!(open["needs_owner"], true);
    let body = json!({"email": "ann@example.org", "name": "Ann", "password": PASSWORD});
    rig.call_as("", "POST", "/v1/setup", body.clone()).await.refused(401, "CREDENTIAL_MISSING", "");
    for weak in ["short", "aaaaaaaaaaaaaaaa", "password1234", "ann@example.org1"] {
        let body = json!({"email": "ann@example.org", "name": "Ann", "password": weak});
        rig.call("POST", "/v1/setup", body).await.refused(400, "INVALID_REQUEST", "password");
    }
    let ann = rig.call("POST", "/v1/setup", body.clone()).await.ok(201);
    assert_eq!(ann["email"], "ann@example.org");
    assert!(!ann.to_string().contains("argon2"));
    rig.call("POST", "/v1/setup", body).await.refused(409, "CONFLICT", "");
    let open = rig.call_as("", "GET", "/v1/setup", Value::Null).await.ok(200);
    assert_eq!(open["needs_owner"], false);
}

#[tokio::test]
async fn a_session_lives_by_its_refresh_tokens() {
    let rig = Rig::new().await;
    rig.owner().await;
    let first = rig.log_in("ANN@example.org", DEVICE).await.ok(200);
    let access = text(&first["access_token"]);
    let account = rig.call_as(&access, "GET", "/v1/account", Value::Null).await.ok(200);
    assert_eq!(account["user"]["email"], "ann@example.org");
    assert_eq!(account["roles"][0]["role"], "owner");
    let actor = format!("{}:ann@example.org", text(&account["user"]["id"]));
    assert_eq!(rig.trail("session.open").await[0]["actor"], actor);
    // The access token ends, the refresh token brings the next.
    rig.clock.advance(Duration::from_secs(901));
    let late = rig.call_as(&text(&first["access_token"]), "GET", "/v1/account", Value::Null).await;
    late.refused(401, "EXPIRED_TOKEN", "authorization");
    let second = rig.refresh(&first["refresh_token"], DEVICE).await.ok(200);
    let access = text(&second["access_token"]);
    rig.call_as(&access, "GET", "/v1/account", Value::Null).await.ok(200);
    // The first refresh token again: somebody has a copy, so all of it ends.
    let again = rig.refresh(&first["refresh_token"], DEVICE).await;
    again.refused(401, "INVALID_TOKEN", "authorization");
    let ended = rig.call_as(&access, "GET", "/v1/account", Value::Null).await;
    ended.refused(401, "INVALID_TOKEN", "authorization");
    rig.refresh(&second["refresh_token"], DEVICE).await.refused(
        401,
        "INVALID_TOKEN",
        "authorization",
    );
    assert_eq!(rig.trail("session.end").await[0]["details"]["reason"], "reused");
}

#[tokio::test]
async fn tokens_that_were_made_up_or_moved_open_nothing() {
    let rig = Rig::new().await;
    rig.owner().await;
    let signed_in = rig.log_in("ann@example.org", DEVICE).await.ok(200);
    let access = text(&signed_in["access_token"]);
    let mut bent = access.clone();
    let last = bent.pop().unwrap();
    bent.push(if last == 'A' { 'B' } else { 'A' });
    let cut = &access[..access.len() - 1];
    for wrong in ["mss_", "mss_AAAA", cut, &bent, &access.replace("mss_", "msr_")] {
        let answer = rig.call_as(wrong, "GET", "/v1/account", Value::Null).await;
        assert_eq!(answer.status.as_u16(), 401, "{wrong}");
    }
    // The refresh token is no access token; another device makes it worthless for good.
    let refresh = text(&signed_in["refresh_token"]);
    let answer = rig.call_as(&refresh, "GET", "/v1/account", Value::Null).await;
    assert_eq!(answer.status.as_u16(), 401);
    let stolen = rig.refresh(&signed_in["refresh_token"], "another device entirely").await;
    stolen.refused(401, "INVALID_TOKEN", "authorization");
    rig.refresh(&signed_in["refresh_token"], DEVICE).await.refused(
        401,
        "INVALID_TOKEN",
        "authorization",
    );
}

#[tokio::test]
async fn guessing_is_told_nothing_and_slowed_down() {
    let rig = Rig::new().await;
    rig.owner().await;
    let attempt = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password, "device": "some other device"});
        rig.call_as("", "POST", "/v1/auth/login", body).await
    };
    let (wrong, unknown) = (
        attempt("ann@example.org", "wrong password").await,
        attempt("eve@example.org", "wrong password").await,
    );
    wrong.refused(401, "INVALID_TOKEN", "password");
    unknown.refused(401, "INVALID_TOKEN", "password");
    assert_eq!(wrong.body["error"]["message"], unknown.body["error"]["message"]);
    for email in ["ann@example.org", "eve@example.org"] {
        for _ in 0..4 {
            attempt(email, "wrong password").await.refused(401, "INVALID_TOKEN", "password");
        }
        // Also with the right one, from a device that is not known.
        let blocked = attempt(email, PASSWORD).await;
        blocked.refused(429, "RATE_LIMIT_EXCEEDED", "email");
        assert!(blocked.headers.contains_key("retry-after"));
    }
    assert_eq!(rig.trail("session.throttle").await.len(), 1);
    assert_eq!(rig.trail("session.refuse").await.len(), 5);
    rig.clock.advance(Duration::from_secs(2));
    let body = json!({"email": "ann@example.org", "password": PASSWORD, "device": DEVICE});
    rig.call_as("", "POST", "/v1/auth/login", body).await.ok(200);
}

#[tokio::test]
async fn a_known_device_is_not_locked_out_by_strangers() {
    let rig = Rig::new().await;
    rig.owner().await;
    rig.access("ann@example.org").await;
    for _ in 0..6 {
        let body =
            json!({"email": "ann@example.org", "password": "x", "device": "a stranger's own"});
        rig.call_as("", "POST", "/v1/auth/login", body).await;
    }
    rig.log_in("ann@example.org", DEVICE).await.ok(200);
}

#[tokio::test]
async fn a_new_device_is_noticed() {
    let rig = Rig::new().await;
    rig.owner().await;
    rig.access("ann@example.org").await;
    assert!(rig.trail("session.suspect").await.is_empty());
    rig.log_in("ann@example.org", "a brand new telephone").await.ok(200);
    let noticed = rig.trail("session.suspect").await;
    assert_eq!(noticed[0]["details"]["new_device"], true);
    assert_eq!(noticed[0]["details"]["new_network"], false);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let rig = Rig::new().await;
    rig.owner().await;
    let (here, there) = (rig.access("ann@example.org").await, rig.access("ann@example.org").await);
    let path = "/v1/account/password";
    let wrong = json!({"current": "wrong password", "password": "another good password"});
    rig.call_as(&here, "POST", path, wrong).await.refused(401, "INVALID_TOKEN", "password");
    let right = json!({"current": PASSWORD, "password": "another good password"});
    rig.call_as(&here, "POST", path, right).await.ok(204);
    rig.call_as(&here, "GET", "/v1/account", Value::Null).await.ok(200);
    let other = rig.call_as(&there, "GET", "/v1/account", Value::Null).await;
    other.refused(401, "INVALID_TOKEN", "authorization");
    rig.log_in("ann@example.org", DEVICE).await.refused(401, "INVALID_TOKEN", "password");
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let rig = Rig::new().await;
    rig.owner().await;
    let (here, there) = (rig.access("ann@example.org").await, rig.access("ann@example.org").await);
    let list = rig.call_as(&here, "GET", "/v1/account/sessions", Value::Null).await.ok(200);
    let list = list["sessions"].as_array().unwrap();
    assert_eq!(list.iter().filter(|session| session["is_current"] == true).count(), 1);
    let other = list.iter().find(|session| session["is_current"] == false).unwrap();
    let path = format!("/v1/account/sessions/{}", text(&other["id"]));
    rig.call_as(&here, "DELETE", &path, Value::Null).await.ok(204);
    assert_eq!(rig.call_as(&there, "GET", "/v1/account", Value::Null).await.status, 401);
    rig.call_as(&here, "DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
    rig.call_as(&here, "POST", "/v1/auth/logout", Value::Null).await.ok(204);
    assert_eq!(rig.call_as(&here, "GET", "/v1/account", Value::Null).await.status, 401);
    // An operator token has no account.
    rig.call_as(TOKEN, "GET", "/v1/account", Value::Null).await.refused(
        400,
        "INVALID_REQUEST",
        "authorization",
    );
}

#[tokio::test]
async fn sessions_survive_a_restart() {
    let rig = Rig::new().await;
    rig.owner().await;
    let signed_in = rig.log_in("ann@example.org", DEVICE).await.ok(200);
    let router = rig.restarted();
    let access = text(&signed_in["access_token"]);
    let request = Request::get("/v1/account").header("authorization", format!("Bearer {access}"));
    Rig::send(&router, request.body(Body::empty()).unwrap()).await.ok(200);
}
