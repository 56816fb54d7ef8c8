//! Tokens as a tenant's own backend makes them: JSON Web Tokens (RFC 7519) signed with HS256.

use super::admin::{Admin, Room, text};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A signing key of a project, with the shared secret that it showed once.
#[derive(Debug, Clone)]
pub struct Signer {
    kid: String,
    pub secret_base64: String,
}

impl Signer {
    pub async fn new(admin: &Admin, room: &Room) -> Signer {
        let body = json!({ "name": "backend", "algorithm": "HS256" });
        let made = admin.done(Method::POST, &room.path("signing-keys"), &body).await;
        Signer { kid: text(&made["kid"]), secret_base64: text(&made["secret_base64"]) }
    }

    /// A token for events that counts for so long.
    pub fn token(&self, lifetime: Duration) -> String {
        self.token_of("ann", lifetime)
    }

    /// The same for somebody else.
    pub fn token_of(&self, subject: &str, lifetime: Duration) -> String {
        self.token_with(subject, lifetime, &json!({}))
    }

    /// The same with more claims.
    pub fn token_with(&self, subject: &str, lifetime: Duration, more: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
        let mut claims = json!({
            "sub": subject,
            "iat": now.as_secs_f64(),
            "aud": "mainstem",
            "exp": (now + lifetime).as_secs(),
            "scopes": ["events:publish", "events:subscribe"],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        self.sign(&claims)
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": self.kid });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(claims));
        let secret = STANDARD.decode(&self.secret_base64).expect("the secret is base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signature = hmac::sign(&key, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
