//! Key sets over real sockets: a small server that counts and misbehaves as told.

use crate::jwks::read_set;
use crate::jwks_target::{check, is_public};
use crate::settings::{JwksSettings, Settings};
use crate::tests::tokens::{Outside, RSA, claims, with};
use crate::tests::{World, patient};
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use port::Code;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tenancy::TokenSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use types::Scope;

/// Answers every request with the whole response it holds.
struct Source {
    url: String,
    asked: Arc<AtomicUsize>,
    response: Arc<parking_lot::Mutex<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

impl Source {
    async fn start() -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let shared = Arc::new(parking_lot::Mutex::new(response("200 OK", r#"{"keys":[]}"#)));
        let (count, answer) = (asked.clone(), shared.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().clone();
                let mut request = [0; 4_096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            }
        });
        Source { url, asked, response: shared, task }
    }

    fn publish(&self, keys: &[Value]) {
        *self.response.lock() = response("200 OK", &json!({"keys": keys}).to_string());
    }

    fn answer(&self, status: &str, body: &str) {
        *self.response.lock() = response(status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn jwk(key: &Outside, kid: &str) -> Value {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut jwk = match key {
        Outside::Hmac(secret) => json!({"kty": "oct", "k": text(secret)}),
        Outside::Rsa(pair) => {
            let public = pair.public_key();
            let parts = aws_lc_rs::signature::RsaPublicKeyComponents::<Vec<u8>>::from(public);
            json!({"kty": "RSA", "n": text(&parts.n), "e": text(&parts.e), "use": "sig"})
        }
        Outside::Ecdsa(pair) => {
            let point = pair.public_key().as_ref();
            let (x, y) = (text(&point[1..33]), text(&point[33..]));
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256"})
        }
        Outside::Ed25519(pair) => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
        }
    };
    jwk["kid"] = json!(kid);
    jwk
}

fn near() -> Settings {
    let jwks = JwksSettings { private_addresses_allowed: true, ..JwksSettings::default() };
    Settings { jwks, ..patient() }
}

async fn world(settings: Settings, source: &Source) -> World {
    let world = World::open(settings).await;
    let settings = TokenSettings {
        jwks_url: Some(source.url.clone()),
        issuers: vec!["https://id.example".to_owned()],
        ..TokenSettings::default()
    };
    world.set_tokens(&settings).await;
    world
}

fn token(world: &World, key: &Outside, kid: &str) -> String {
    let claims = with(claims(), "aud", json!(world.project.to_string()));
    let claims = with(claims, "iss", json!("https://id.example"));
    key.token(json!({"alg": key.algorithm().name(), "kid": kid}), claims)
}

#[tokio::test]
async fn keys_of_the_projects_issuer_are_found_and_kept() {
    let source = Source::start().await;
    let (ecdsa, ed25519) = (Outside::ecdsa(), Outside::ed25519());
    source.publish(&[jwk(&RSA, "r"), jwk(&ecdsa, "e"), jwk(&ed25519, "d"), json!({"kty": "?"})]);
    let world = world(near(), &source).await;
    for (kid, key) in [("r", &*RSA), ("e", &ecdsa), ("d", &ed25519)] {
        let who = world.try_token(&token(&world, key, kid)).await.unwrap();
        assert_eq!(who.principal().0.as_ref(), "jwt:user-7");
        assert_eq!(who.project(), world.project);
    }
    assert_eq!(source.asked(), 1);
    let prove = async |claims: Value| {
        let header = json!({"alg": "ES256", "kid": "e"});
        world.try_token(&ecdsa.token(header, claims)).await.map_err(|refusal| refusal.code())
    };
    let good = with(claims(), "iss", json!("https://id.example"));
    // The audience must be said, the issuer must be the project's, administration is not given.
    let named = with(good.clone(), "prj", json!(world.project.to_string()));
    assert_eq!(prove(named.clone()).await.unwrap_err(), Code::InvalidToken);
    let ours = with(named, "aud", json!("mainstem"));
    assert!(prove(ours.clone()).await.is_ok());
    let strange = with(ours.clone(), "iss", json!("https://other.example"));
    assert_eq!(prove(strange).await.unwrap_err(), Code::InvalidToken);
    let admin = with(ours, "scopes", json!(["admin:write", "events:publish"]));
    let admin = prove(admin).await.unwrap();
    assert!(!admin.claims().scopes.has(Scope::AdminWrite));
    assert!(admin.claims().scopes.has(Scope::EventsPublish));
    // The set is another: its sessions end.
    world.set_tokens(&TokenSettings::default()).await;
    assert!(admin.is_revoked());
}

#[tokio::test]
async fn a_withdrawn_key_ends_its_sessions_when_the_set_is_due() {
    let source = Source::start().await;
    let (old, new) = (Outside::ecdsa(), Outside::ecdsa());
    source.publish(&[jwk(&old, "old"), jwk(&new, "new")]);
    let settings = Settings { fresh_ms_max: 1_000, ..near() };
    let fresh_max = Duration::from_millis(settings.jwks.fresh_ms_max);
    let world = world(settings, &source).await;
    let one = world.try_token(&token(&world, &old, "old")).await.unwrap();
    let two = world.try_token(&token(&world, &new, "new")).await.unwrap();
    let review = async || {
        world.authenticator.refresh_key_sets().await;
        world.authenticator.refresh().await;
    };
    // The same key under another name is the same key.
    source.publish(&[jwk(&old, "renamed"), jwk(&new, "new")]);
    world.clock.advance(fresh_max);
    review().await;
    assert_eq!(source.asked(), 2);
    assert!(!one.is_revoked() && !two.is_revoked());
    // Young sets are not asked for again, and a source that fails withdraws nothing.
    source.publish(&[jwk(&new, "new")]);
    review().await;
    assert_eq!(source.asked(), 2);
    source.answer("503 Service Unavailable", "");
    world.clock.advance(fresh_max);
    review().await;
    assert_eq!(source.asked(), 3);
    assert!(!one.is_revoked() && !two.is_revoked());
    source.publish(&[jwk(&new, "new")]);
    world.clock.advance(Duration::from_secs(1));
    review().await;
    assert_eq!(source.asked(), 4);
    assert!(one.is_revoked() && !two.is_revoked(), "only the withdrawn key's sessions end");
    // Under the same name another key: the one of before is gone.
    let other = Outside::ecdsa();
    source.publish(&[jwk(&other, "new")]);
    world.clock.advance(fresh_max);
    review().await;
    assert!(two.is_revoked());
    // Nobody stands on the set any more: it is left alone.
    drop((one, two));
    world.clock.advance(fresh_max);
    review().await;
    assert_eq!(source.asked(), 5);
}

#[tokio::test]
async fn an_unknown_key_id_fetches_once_per_interval() {
    let source = Source::start().await;
    let (old, new) = (Outside::ecdsa(), Outside::ecdsa());
    source.publish(&[jwk(&old, "old")]);
    let world = world(near(), &source).await;
    world.try_token(&token(&world, &old, "old")).await.unwrap();
    for _ in 0..20 {
        let refusal = world.try_token(&token(&world, &new, "new")).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidToken);
    }
    assert_eq!(source.asked(), 1, "the set was fetched a moment ago");
    source.publish(&[jwk(&old, "old"), jwk(&new, "new")]);
    world.clock.advance(Duration::from_secs(30));
    // Names of keys that never exist cost one fetch too, and then find what is new.
    for _ in 0..20 {
        assert!(world.try_token(&token(&world, &new, "none")).await.is_err());
    }
    assert_eq!(source.asked(), 2);
    world.try_token(&token(&world, &new, "new")).await.unwrap();
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn a_failing_source_is_bridged_and_asked_ever_more_rarely() {
    let source = Source::start().await;
    let key = Outside::ecdsa();
    let world = world(near(), &source).await;
    source.answer("500 Internal Server Error", "");
    let refusal = world.try_token(&token(&world, &key, "e")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NetworkError);
    assert!(refusal.wait().unwrap() >= Duration::from_secs(1));
    assert!(world.try_token(&token(&world, &key, "e")).await.is_err());
    assert_eq!(source.asked(), 1, "not again before the wait is over");
    source.publish(&[jwk(&key, "e")]);
    world.clock.advance(Duration::from_secs(1));
    let text = token(&world, &key, "e");
    world.try_token(&text).await.unwrap();
    assert_eq!(source.asked(), 2);
    source.answer("503 Service Unavailable", "");
    world.clock.advance(Duration::from_millis(near().jwks.fresh_ms_max));
    let later = json!(crate::tests::START_MS / 1_000 + 90_000);
    let long = with(claims(), "exp", later);
    let long = with(long, "aud", json!(world.project.to_string()));
    let long = with(long, "iss", json!("https://id.example"));
    let text = key.token(json!({"alg": "ES256", "kid": "e"}), long);
    for _ in 0..5 {
        world.try_token(&text).await.unwrap();
    }
    assert_eq!(source.asked(), 3, "the old set serves while its source fails");
    world.clock.advance(Duration::from_millis(near().jwks.stale_ms_max));
    assert_eq!(world.try_token(&text).await.unwrap_err().code(), Code::NetworkError);
}

#[tokio::test]
async fn hostile_sources_are_refused() {
    let source = Source::start().await;
    let key = Outside::ecdsa();
    let settings = Settings {
        jwks: JwksSettings { body_bytes_max: 1_000, backoff_ms_first: 1, ..near().jwks },
        ..near()
    };
    let world = world(settings, &source).await;
    let text = token(&world, &key, "e");
    let good = json!({"keys": [jwk(&key, "e")]}).to_string();
    for (status, body) in [
        ("200 OK", " ".repeat(1_001)),
        ("200 OK", "[]".to_owned()),
        ("200 OK", "{".repeat(900)),
        ("302 Found\r\nLocation: /keys", good.clone()),
        ("204 No Content", String::new()),
    ] {
        source.answer(status, &body);
        assert_eq!(world.try_token(&text).await.unwrap_err().code(), Code::NetworkError, "{body}");
        world.clock.advance(Duration::from_millis(60_000));
    }
    assert_eq!(source.asked(), 5, "a redirect is not followed");
    source.answer("200 OK", &good);
    let asked_late = world.try_token(&token_late(&world, &key)).await;
    assert!(asked_late.is_ok());
}

fn token_late(world: &World, key: &Outside) -> String {
    let claims = with(claims(), "exp", json!(crate::tests::START_MS / 1_000 + 9_000));
    let claims = with(claims, "aud", json!(world.project.to_string()));
    let claims = with(claims, "iss", json!("https://id.example"));
    key.token(json!({"alg": "ES256", "kid": "e"}), claims)
}

#[tokio::test]
async fn a_tenant_cannot_reach_the_servers_own_network() {
    let source = Source::start().await;
    let key = Outside::ecdsa();
    source.publish(&[jwk(&key, "e")]);
    let world = world(patient(), &source).await;
    let refusal = world.try_token(&token(&world, &key, "e")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NetworkError);
    // A name that leads there is no way around: the address decides.
    let port = source.url.rsplit(':').next().unwrap().to_owned();
    let url = format!("http://localhost:{port}");
    world.set_tokens(&TokenSettings { jwks_url: Some(url), ..TokenSettings::default() }).await;
    world.try_token(&token(&world, &key, "e")).await.unwrap_err();
    assert_eq!(source.asked(), 0);
}

#[test]
fn urls() {
    let check = |settings: &JwksSettings, url: &str, is_fine: bool| {
        assert_eq!(check(url, settings).is_ok(), is_fine, "{url}");
    };
    let strict = JwksSettings::default();
    check(&strict, "https://id.example/keys", true);
    check(&strict, "https://8.8.8.8/keys", true);
    check(&strict, "http://id.example/keys", false);
    check(&strict, "http://127.0.0.1/keys", false);
    check(&strict, "https://[::1]/keys", false);
    check(&strict, "https://[::ffff:10.0.0.1]/keys", false);
    check(&strict, "https://169.254.169.254/latest", false);
    check(&strict, "https://0x7f.1/keys", false);
    check(&strict, "https://user:word@id.example/keys", false);
    check(&strict, "file:///etc/passwd", false);
    check(&strict, "ftp://id.example/", false);
    check(&strict, "nonsense", false);
    check(&strict, &format!("https://id.example/{}", "x".repeat(3_000)), false);
    let near = JwksSettings { private_addresses_allowed: true, ..JwksSettings::default() };
    check(&near, "http://127.0.0.1:80/keys", true);
    check(&near, "http://localhost/keys", true);
    check(&near, "http://[::1]/keys", true);
    check(&near, "https://10.0.0.1/keys", true);
    check(&near, "http://10.0.0.1/keys", false);
    let plain = JwksSettings { plain_http_allowed: true, ..JwksSettings::default() };
    check(&plain, "http://id.example/keys", true);
    check(&plain, "http://10.0.0.1/keys", false);
}

#[test]
fn addresses() {
    let check = |text: &str, expected: bool| {
        assert_eq!(is_public(text.parse().unwrap()), expected, "{text}");
    };
    for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::101:101"] {
        check(public, true);
    }
    for other in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:db8::1",
        "2001::1",
    ] {
        check(other, false);
    }
}

#[test]
fn sets_are_read_with_care() {
    let key = jwk(&RSA, "r");
    let read = |keys: Value| read_set(json!({"keys": keys}).to_string().as_bytes(), 3);
    assert_eq!(read(json!([key])).unwrap().len(), 1);
    assert_eq!(read(json!(vec![key.clone(); 10])).unwrap().len(), 3);
    let none = |changed: Value| assert_eq!(read(json!([changed])).unwrap().len(), 0);
    none(with(key.clone(), "use", json!("enc")));
    none(with(key.clone(), "alg", json!("RS512")));
    none(with(key.clone(), "n", json!("AQAB")));
    none(jwk(&Outside::Hmac(vec![1; 32]), "h"));
    none(json!(7));
    for body in ["", "7", "{}", r#"{"keys":7}"#] {
        assert!(read_set(body.as_bytes(), 3).is_none(), "{body}");
    }
}
