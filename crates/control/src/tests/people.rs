//! Users through the admin API: set-up, signing in and staying so, sessions, passwords.

use super::{Answer, Rig, TOKEN, peer, text};
use axum::body::Body;
use http::Request;
use identity::people::{PasswordCost, PeopleSettings};
use identity::{OidcSettings, People, PeopleParts};
use mail::{MailSettings, Mailer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, Rng};
use tokio::sync::watch;

pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const DEVICE: &str = "a device's own random text";

/// As in production, but for what a password costs.
pub(super) fn settings(console: &str) -> PeopleSettings {
    PeopleSettings {
        console_url: console.to_owned(),
        password_cost: PasswordCost { memory_kib: 64, passes: 1, ..PasswordCost::default() },
        oidc: OidcSettings {
            allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
            timeout_ms: 3_000,
            ..OidcSettings::default()
        },
        ..PeopleSettings::default()
    }
}

pub(super) fn service(parts: PeopleParts<'_>) -> Arc<People> {
    Arc::new(People::new(parts).expect("a client for providers"))
}

/// What was mailed, as files.
pub(super) struct Letters {
    folder: std::path::PathBuf,
    _stop: watch::Sender<()>,
}

pub(super) fn mailer(
    dir: &tempfile::TempDir,
    clock: &Arc<dyn Clock>,
    rng: &Arc<dyn Rng>,
) -> (Mailer, Letters) {
    let folder = dir.path().join("mail");
    let (clock, rng) = (Arc::clone(clock), Arc::clone(rng));
    let made = Mailer::new(&MailSettings::default(), Some(folder.clone()), clock, rng);
    let (mailer, postman) = made.expect("a mailer");
    let (stop, stopped) = watch::channel(());
    tokio::spawn(postman.expect("a folder to write to").run(stopped));
    (mailer, Letters { folder, _stop: stop })
}

impl Letters {
    /// Waits for a letter to this address under this subject, and takes it.
    pub(super) async fn take(&self, to: &str, subject: &str) -> String {
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                for path in self.paths() {
                    let text = std::fs::read_to_string(&path).unwrap_or_default();
                    let (to, subject) = (format!("To: {to}"), format!("Subject: {subject}"));
                    if text.contains(&to) && text.contains(&subject) && text.ends_with('\n') {
                        std::fs::remove_file(&path).expect("one's own file");
                        // Long lines are broken softly (RFC 2045 section 6.7).
                        return text.replace("=\r\n", "").replace("=3D", "=");
                    }
                }
                tokio::task::yield_now().await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("no letter {subject:?} to {to}"))
    }

    fn paths(&self) -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        files.map(|file| file.path()).collect()
    }
}

/// The token of the link in a letter.
fn token_of(letter: &str) -> String {
    let (_, rest) = letter.split_once("#token=").expect("a link");
    rest.split_whitespace().next().expect("a token").to_owned()
}

impl Rig {
    /// A user who accepted an invitation and has no role any more.
    pub(super) async fn user(&self, email: &str) -> String {
        let body = json!({"email": email, "role": "support"});
        let invited = self.call("POST", "/v1/users/invite", body).await.ok(201);
        assert_eq!(invited["link"], Value::Null, "the link is for the letter only");
        let letter = self.letters.take(email, "Your invitation to Mainstem").await;
        let body = json!({"token": token_of(&letter), "password": PASSWORD, "name": "Somebody"});
        self.call_as("", "POST", "/v1/auth/accept", body).await.ok(200);
        let binding = format!("/v1/role-bindings/{}", text(&invited["role"]["id"]));
        self.call("DELETE", &binding, Value::Null).await.ok(204);
        text(&invited["user"]["id"])
    }

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

    /// Waits until the trail tells of it so often; attempts are written while nobody waits.
    pub(super) async fn trail_of(&self, action: &str, count: usize) {
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            while self.trail(action).await.len() < count {
                tokio::task::yield_now().await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("no {count} of {action}"));
        assert_eq!(self.trail(action).await.len(), count);
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
    rig.trail_of("session.throttle", 1).await;
    rig.trail_of("session.refuse", 5).await;
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

#[tokio::test]
async fn an_invitation_works_once_and_for_its_time() {
    let rig = Rig::new().await;
    let invite = async |email: &str| {
        let body = json!({"email": email, "role": "developer"});
        rig.call("POST", "/v1/users/invite", body).await.ok(201);
        token_of(&rig.letters.take(email, "Your invitation to Mainstem").await)
    };
    let accept = async |token: &str, password: &str| {
        let body = json!({"token": token, "password": password});
        rig.call_as("", "POST", "/v1/auth/accept", body).await
    };
    let first = invite("bob@example.org").await;
    rig.log_in("bob@example.org", DEVICE).await.refused(401, "INVALID_TOKEN", "password");
    // A second one replaces it.
    let second = invite("bob@example.org").await;
    accept(&first, PASSWORD).await.refused(400, "INVALID_REQUEST", "token");
    accept(&second, "short").await.refused(400, "INVALID_REQUEST", "password");
    let bob = accept(&second, PASSWORD).await.ok(200);
    assert_eq!((&bob["status"], &bob["email"]), (&json!("active"), &json!("bob@example.org")));
    accept(&second, PASSWORD).await.refused(400, "INVALID_REQUEST", "token");
    rig.log_in("bob@example.org", DEVICE).await.ok(200);
    let late = invite("eve@example.org").await;
    rig.clock.advance(Duration::from_secs(7 * 24 * 3_600));
    accept(&late, PASSWORD).await.refused(400, "INVALID_REQUEST", "token");
    for wrong in ["", "msi_", "msi_AAAA", &late.replace("msi_", "msr_")] {
        accept(wrong, PASSWORD).await.refused(400, "INVALID_REQUEST", "token");
    }
    // An active user gets the role at once, and no token.
    let body = json!({"email": "bob@example.org", "role": "billing"});
    rig.call("POST", "/v1/users/invite", body).await.ok(201);
    let letter = rig.letters.take("bob@example.org", "You were given a role in Mainstem").await;
    assert!(!letter.contains("#token"));
    assert_eq!(rig.trail("user.invite").await.len(), 4);
}

#[tokio::test]
async fn a_forgotten_password_is_reset_by_mail() {
    let rig = Rig::new().await;
    rig.owner().await;
    let access = rig.access("ann@example.org").await;
    let forgot = async |email: &str| {
        rig.call_as("", "POST", "/v1/auth/forgot", json!({"email": email})).await
    };
    forgot("eve@example.org").await.ok(202);
    forgot("no address").await.ok(202);
    forgot("Ann@example.org").await.ok(202);
    let token = token_of(&rig.letters.take("ann@example.org", "A new password for Mainstem").await);
    let reset = async |password: &str| {
        let body = json!({"token": token, "password": password});
        rig.call_as("", "POST", "/v1/auth/reset", body).await
    };
    // The token of one kind is none of the other.
    let body = json!({"token": token, "password": PASSWORD});
    let other = rig.call_as("", "POST", "/v1/auth/accept", body).await;
    other.refused(400, "INVALID_REQUEST", "token");
    reset("quite another password").await.ok(200);
    reset("quite another password").await.refused(400, "INVALID_REQUEST", "token");
    rig.letters.take("ann@example.org", "Your password was changed").await;
    assert_eq!(rig.call_as(&access, "GET", "/v1/account", Value::Null).await.status, 401);
    rig.log_in("ann@example.org", DEVICE).await.refused(401, "INVALID_TOKEN", "password");
    let body =
        json!({"email": "ann@example.org", "password": "quite another password", "device": DEVICE});
    rig.call_as("", "POST", "/v1/auth/login", body).await.ok(200);
    // Nobody is flooded with letters.
    let mut refused = 0;
    for _ in 0..8 {
        refused += usize::from(forgot("ann@example.org").await.status == 429);
    }
    assert!(refused >= 3, "{refused}");
}

#[tokio::test]
async fn news_of_a_new_device_and_of_a_copied_token_are_mailed() {
    let rig = Rig::new().await;
    rig.owner().await;
    let first = rig.log_in("ann@example.org", DEVICE).await.ok(200);
    rig.log_in("ann@example.org", "a brand new telephone").await.ok(200);
    let letter = rig.letters.take("ann@example.org", "A new device signed in").await;
    assert!(letter.contains("127.0.0.1"), "{letter}");
    rig.refresh(&first["refresh_token"], DEVICE).await.ok(200);
    rig.refresh(&first["refresh_token"], DEVICE).await.refused(
        401,
        "INVALID_TOKEN",
        "authorization",
    );
    rig.letters.take("ann@example.org", "A session was ended").await;
}

/// What a telephone shows, by an implementation of its own.
pub(super) fn telephone(secret: &str, now_ms: i64) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut count, mut key) = (0u64, 0, Vec::new());
    for digit in secret.chars() {
        bits = bits << 5 | alphabet.find(digit).expect("base 32") as u64;
        count += 5;
        if count >= 8 {
            count -= 8;
            key.push((bits >> count & 0xff) as u8);
        }
    }
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = aws_lc_rs::hmac::sign(&key, &(now_ms / 30_000).to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[at..at + 4].try_into().expect("four");
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_counts_once() {
    let rig = Rig::new().await;
    rig.owner().await;
    let access = rig.access("ann@example.org").await;
    let call = async |method: &str, path: &str, body: Value| {
        rig.call_as(&access, method, path, body).await
    };
    let path = "/v1/account/second-factor";
    let made = call("POST", path, Value::Null).await.ok(200);
    let secret = text(&made["secret"]);
    assert!(text(&made["uri"]).contains(&secret));
    let now = || telephone(&secret, rig.clock.now_ms());
    // Not asked for before it is confirmed.
    rig.log_in("ann@example.org", DEVICE).await.ok(200);
    let confirm = format!("{path}/confirm");
    call("POST", &confirm, json!({"code": "000000"})).await.refused(401, "INVALID_TOKEN", "code");
    let codes = call("POST", &confirm, json!({"code": now()})).await.ok(200);
    let codes: Vec<String> = codes["recovery_codes"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(codes.len(), 10);
    assert_eq!(call("GET", "/v1/account", Value::Null).await.ok(200)["has_second_factor"], true);
    let log_in = async |code: &str| {
        let mut body = json!({"email": "ann@example.org", "password": PASSWORD, "device": DEVICE});
        if !code.is_empty() {
            body["code"] = json!(code);
        }
        rig.call_as("", "POST", "/v1/auth/login", body).await
    };
    log_in("").await.refused(401, "CREDENTIAL_MISSING", "code");
    // The code that confirmed it was used.
    log_in(&now()).await.refused(401, "INVALID_TOKEN", "code");
    rig.clock.advance(Duration::from_secs(30));
    log_in(&now()).await.ok(200);
    log_in(&now()).await.refused(401, "INVALID_TOKEN", "code");
    log_in(&codes[0].to_uppercase()).await.ok(200);
    log_in(&codes[0]).await.refused(401, "INVALID_TOKEN", "code");
    log_in("nonsense").await.refused(401, "INVALID_TOKEN", "code");
    // A fresh proof takes both, and without it the second factor stays.
    call("DELETE", path, Value::Null).await.refused(403, "INSUFFICIENT_SCOPE", "elevated");
    let proof = json!({"password": PASSWORD});
    call("POST", "/v1/auth/elevate", proof).await.refused(401, "CREDENTIAL_MISSING", "code");
    let proof = json!({"password": PASSWORD, "code": codes[1]});
    call("POST", "/v1/auth/elevate", proof).await.ok(200);
    call("POST", path, Value::Null).await.refused(409, "CONFLICT", "");
    call("DELETE", path, Value::Null).await.ok(204);
    log_in("").await.ok(200);
    assert_eq!(rig.trail("second_factor.recover").await.len(), 2);
}
