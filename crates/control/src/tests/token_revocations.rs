//! Tokens taken back through the API, by each way to name them, and by their bearers.

use super::records::collect;
use super::{Answer, Rig, START_MS, last_part, peer, text};
use aws_lc_rs::{digest, hmac};
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Request;
use serde_json::{Value, json};
use std::time::Duration;

const START_S: i64 = START_MS / 1_000;
const HOUR_MS: i64 = 3_600_000;

/// A project whose tokens are made here.
struct Site {
    rig: Rig,
    path: String,
    kid: String,
    secret: Vec<u8>,
}

impl Site {
    async fn new() -> Site {
        let rig = Rig::new().await;
        let (_, path) = rig.project("p").await;
        Site::at(rig, path).await
    }

    async fn at(rig: Rig, path: String) -> Site {
        let key = json!({"name": "backend", "algorithm": "HS256"});
        let made = rig.call("POST", &format!("{path}/signing-keys"), key).await.ok(201);
        let secret = STANDARD.decode(text(&made["secret_base64"])).unwrap();
        Site { rig, path, kid: text(&made["kid"]), secret }
    }

    /// A token for an hour that may look at the project, with these claims besides.
    fn token(&self, more: Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "HS256", "kid": self.kid});
        let mut claims = json!({"sub": "ann", "iat": START_S - 60, "exp": START_S + 3_600});
        claims["scopes"] = json!(["admin:read"]);
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let input = format!("{}.{}", part(&header), part(&claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let signature = hmac::sign(&key, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What the node would do when it is told.
    async fn told(&self) {
        for change in &self.rig.changes() {
            self.rig.authenticator.changed(change).await;
        }
    }

    async fn revoke(&self, body: Value) -> Answer {
        let answer = self.rig.call("POST", &format!("{}/token-revocations", self.path), body).await;
        self.told().await;
        answer
    }

    async fn counts(&self, token: &str) -> bool {
        let request = Request::get("/v1/connections").extension(peer());
        let request = request.header("authorization", format!("Bearer {token}"));
        let answer = Rig::send(&self.rig.public, request.body(Body::empty()).unwrap()).await;
        match answer.status.as_u16() {
            200 => true,
            _ => {
                answer.refused(401, "INVALID_TOKEN", "authorization");
                assert!(answer.body.to_string().contains("revoked"), "{}", answer.body);
                false
            }
        }
    }

    async fn hand_in(&self, form: &str) -> Answer {
        let request = Request::post("/v1/tokens/revoke").extension(peer());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer =
            Rig::send(&self.rig.public, request.body(Body::from(form.to_owned())).unwrap()).await;
        self.told().await;
        answer
    }
}

fn fingerprint(token: &str) -> String {
    let (input, _) = token.rsplit_once('.').unwrap();
    let hash = digest::digest(&digest::SHA256, input.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn tokens_are_taken_back_by_whatever_names_them() {
    let site = Site::new().await;
    let token = site.token(json!({"jti": "t-1", "iss": "https://id.example"}));
    let bystander = site.token(json!({"sub": "ben", "jti": "t-2", "iat": START_S + 60}));
    let table = [
        (json!({"jti": "t-1"}), "jti", true),
        (json!({"fingerprint": fingerprint(&token).to_uppercase()}), "fingerprint", true),
        (json!({"token": token}), "jti", true),
        (json!({"sub": "ann"}), "sub", true),
        (json!({"kid": site.kid}), "kid", true),
        (json!({"iss": "https://id.example"}), "iss", true),
        // Issued at that moment or later, or somebody else's.
        (json!({"sub": "ann", "issued_before": START_MS - 60_000}), "sub", false),
        (json!({"jti": "T-1"}), "jti", false),
        (json!({"sub": "t-1"}), "sub", false),
    ];
    for (body, kind, is_revoked) in table {
        assert!(site.counts(&token).await, "{body}");
        let made = site.revoke(body.clone()).await.ok(201);
        assert_eq!(made["kind"], kind, "{body}");
        assert_eq!(site.counts(&token).await, !is_revoked, "{body}");
        assert!(site.counts(&bystander).await, "{body}");
        let path = format!("{}/token-revocations/{}", site.path, text(&made["id"]));
        site.rig.call("DELETE", &path, Value::Null).await.ok(204);
        site.told().await;
        assert!(site.counts(&token).await, "{body}");
        site.rig.call("DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
    }
    let trail = site.rig.get("/v1/audit?action=token.*").await.ok(200);
    assert_eq!(trail["records"].as_array().unwrap().len(), 18);
    assert!(!trail.to_string().contains(&token), "the token itself is nowhere");
}

#[tokio::test]
async fn a_whole_token_is_taken_only_when_it_counts() {
    let rig = Rig::new().await;
    let (_, path) = rig.project("other").await;
    let site = Site::at(rig, path).await;
    let foreign = site.token(json!({}));
    let (_, path) = site.rig.project("p").await;
    let site = Site::at(site.rig, path).await;
    let bare = site.token(json!({}));
    let made = site.revoke(json!({"token": bare, "reason": "leaked"})).await.ok(201);
    assert_eq!(made["kind"], "fingerprint");
    assert_eq!(made["value"], fingerprint(&bare));
    assert_eq!(made["expires_at"], START_MS + HOUR_MS + 30_000, "its `exp` and the leeway");
    assert_eq!((&made["reason"], &made["actor"]), (&json!("leaked"), &json!("operator")));
    assert!(!site.counts(&bare).await);
    // Once more is no mistake: it is there already.
    assert_eq!(site.revoke(json!({"token": bare})).await.ok(201)["id"], made["id"]);
    let forged = format!("{}AAAA", bare.rsplit_once('.').unwrap().0);
    let over = site.token(json!({"exp": START_S - 60}));
    for token in ["", "x", "a.b.c", &forged, &over, &foreign] {
        let answer = site.revoke(json!({"token": token})).await;
        answer.refused(400, "INVALID_REQUEST", "token");
    }
}

#[tokio::test]
async fn what_is_revoked_is_named_once_and_within_bounds() {
    let site = Site::new().await;
    let table = [
        (json!({}), "jti"),
        (json!({"jti": "a", "sub": "b"}), "jti"),
        (json!({"token": "a", "sub": "b"}), "jti"),
        (json!({"jti": ""}), "jti"),
        (json!({"fingerprint": "abc"}), "fingerprint"),
        (json!({"jti": "a", "issued_before": 1}), "issued_before"),
        (json!({"sub": "a", "issued_before": START_MS + 1}), "issued_before"),
        (json!({"jti": "a", "expires_at": START_MS - HOUR_MS}), "expires_at"),
        (json!({"jti": "a", "expires_at": START_MS + 4_000 * 24 * HOUR_MS}), "expires_at"),
        (json!({"jti": "a", "reason": "x".repeat(513)}), "reason"),
    ];
    for (body, field) in table {
        site.revoke(body).await.refused(400, "INVALID_REQUEST", field);
    }
    site.revoke(json!({"jtis": ["a"]})).await.refused(400, "UNKNOWN_FIELD", "jtis");
    for jti in ["a", "b", "c"] {
        let ends = json!({"jti": jti, "expires_at": START_MS + HOUR_MS});
        site.revoke(ends).await.ok(201);
    }
    let kept = site.revoke(json!({"jti": "d"})).await.ok(201);
    let longest = 366 * 24 * HOUR_MS + 30_000;
    assert_eq!(kept["expires_at"], START_MS + longest, "as long as a token may live");
    let all = format!("{}/token-revocations", site.path);
    let values = async || {
        let listed = collect(&site.rig, &all, "revocations", 3).await;
        listed.iter().map(|one| text(&one["value"])).collect::<Vec<_>>()
    };
    assert_eq!(values().await, ["a", "b", "c", "d"]);
    site.rig.clock.advance(Duration::from_millis(HOUR_MS as u64 + 30_000));
    assert_eq!(values().await, ["d"]);
    let unknown = format!("{all}/{}", last_part(&site.path));
    site.rig.call("DELETE", &unknown, Value::Null).await.refused(
        400,
        "INVALID_REQUEST",
        "revocation",
    );
}

#[tokio::test]
async fn a_bearer_takes_his_own_token_back() {
    let site = Site::new().await;
    let (mine, other) = (site.token(json!({"jti": "t-1"})), site.token(json!({"jti": "t-1 "})));
    let twin = site.token(json!({"jti": "t-1", "sub": "ben"}));
    site.hand_in(&format!("token={mine}&token_type_hint=access_token")).await.ok(200);
    assert!(!site.counts(&mine).await);
    assert!(site.counts(&other).await, "of the same subject");
    assert!(site.counts(&twin).await, "an issuer that counts carelessly harms nobody");
    // Nothing to do: it does not count.
    for token in [mine.as_str(), "x", "a.b.c"] {
        site.hand_in(&format!("token={token}")).await.ok(200);
    }
    let listed = site.rig.get(&format!("{}/token-revocations", site.path)).await.ok(200);
    assert_eq!(listed["revocations"].as_array().unwrap().len(), 1);
    assert_eq!(listed["revocations"][0]["actor"], "jwt:ann");
    let key = json!({"name": "k", "scopes": ["events:publish"]});
    let made = site.rig.call("POST", &format!("{}/keys", site.path), key).await.ok(201);
    for form in [
        String::new(),
        "token=".to_owned(),
        "token_type_hint=access_token".to_owned(),
        format!("token={other}&token={other}"),
        format!("token={}", text(&made["secret"])),
    ] {
        site.hand_in(&form).await.refused(400, "INVALID_REQUEST", "token");
    }
    assert!(site.counts(&other).await);
}
