//! Tokens against the real store: who signs, with what, when, for whom, and what it allows.

use crate::signing::{Algorithm, Material, NewToken, SigningKey, import_public_key, import_secret};
use crate::tests::{START_MS, World, by, patient};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use port::{Change, Code, Identity, Refusal};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;
use stdx::SystemRng;
use tenancy::{NewSigningKey, TokenSettings};
use types::{Access, Effect, Filter, Grant, Scope, Scopes};

const START_S: i64 = START_MS / 1_000;

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// A well-formed token of a key id with a signature of nobody.
pub(super) fn unsigned(kid: &str) -> String {
    let header = json!({"alg": "HS256", "kid": kid});
    let claims = json!({"sub": "user", "exp": START_S + 60});
    format!("{}.{}.{}", encode(&header), encode(&claims), URL_SAFE_NO_PAD.encode([0; 32]))
}

/// A key outside of the server: what a project's owner holds.
pub(super) enum Outside {
    Hmac(Vec<u8>),
    Rsa(aws_lc_rs::rsa::KeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(aws_lc_rs::signature::Ed25519KeyPair),
}

pub(super) static RSA: LazyLock<Outside> = LazyLock::new(|| {
    Outside::Rsa(aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))
});

impl Outside {
    pub fn ecdsa() -> Outside {
        Outside::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn ed25519() -> Outside {
        Outside::Ed25519(aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap())
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            Outside::Hmac(_) => Algorithm::Hs256,
            Outside::Rsa(_) => Algorithm::Rs256,
            Outside::Ecdsa(_) => Algorithm::Es256,
            Outside::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    pub fn sign(&self, input: &[u8]) -> Vec<u8> {
        use aws_lc_rs::{hmac, rand::SystemRandom, signature};
        match self {
            Outside::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, input).as_ref().to_vec()
            }
            Outside::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, input, &mut out).unwrap();
                out
            }
            Outside::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec()
            }
            Outside::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }

    pub fn token(&self, header: Value, claims: Value) -> String {
        let input = format!("{}.{}", encode(&header), encode(&claims));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(self.sign(input.as_bytes())))
    }

    pub fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Outside::Hmac(_) => panic!("a shared secret has no public half"),
            Outside::Rsa(pair) => pair.public_key().as_der().unwrap(),
            Outside::Ecdsa(pair) => pair.public_key().as_der().unwrap(),
            Outside::Ed25519(pair) => pair.public_key().as_der().unwrap(),
        };
        let lines: Vec<String> = STANDARD
            .encode(der.as_ref())
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

impl World {
    pub(super) async fn trust(&self, name: &str, algorithm: Algorithm, material: Material) {
        let new = NewSigningKey { kid: name.to_owned(), algorithm, material: material.encode() };
        self.store().add_signing_key(self.tenant, self.project, new, &by()).await.unwrap();
        self.authenticator.changed(&Change::Project(self.project)).await;
    }

    pub(super) async fn trust_outside(&self, name: &str, key: &Outside) {
        self.trust(name, key.algorithm(), self.material(name, key)).await;
    }

    /// What the store keeps of a key from outside.
    pub(super) fn material(&self, name: &str, key: &Outside) -> Material {
        let sealer = self.secrets.sealer(SystemRng::shared());
        let material = match key {
            Outside::Hmac(secret) => import_secret(&sealer, self.project, name, secret),
            key => import_public_key(name, key.algorithm(), &key.pem()),
        };
        material.unwrap()
    }

    pub(super) async fn set_tokens(&self, settings: &TokenSettings) {
        let (tenant, project) = (self.tenant, self.project);
        self.store().set_token_settings(tenant, project, settings, &by()).await.unwrap();
        self.authenticator.changed(&Change::Project(project)).await;
    }

    fn header(&self, key: &Outside, name: &str) -> Value {
        json!({"alg": key.algorithm().name(), "kid": format!("{}.{name}", self.project)})
    }
}

pub(super) fn claims() -> Value {
    json!({"sub": "user-7", "exp": START_S + 60})
}

pub(super) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn code(outcome: Result<Identity, Refusal>) -> Code {
    let refusal = outcome.unwrap_err();
    assert!(refusal.field_name().is_some() && refusal.hint_text().is_some());
    refusal.code()
}

#[tokio::test]
async fn each_algorithm_with_its_own_key_and_no_other() {
    let world = World::open(patient()).await;
    let hmac = Outside::Hmac(vec![5; 32]);
    let (ecdsa, ed25519) = (Outside::ecdsa(), Outside::ed25519());
    let keys = [("h", &hmac), ("r", &*RSA), ("e", &ecdsa), ("d", &ed25519)];
    for (name, key) in keys {
        world.trust_outside(name, key).await;
    }
    for (name, key) in keys {
        let token = key.token(world.header(key, name), claims());
        let who = world.try_token(&token).await.unwrap();
        assert_eq!(who.principal().0.as_ref(), "jwt:user-7");
        assert_eq!((who.tenant(), who.project()), (world.tenant, world.project));
        let both: Scopes = [Scope::EventsPublish, Scope::EventsSubscribe].into_iter().collect();
        assert_eq!(who.claims().scopes, both);
        assert!(who.claims().grants.is_none() && who.claims().key.is_none());
        for (other_name, other) in keys.iter().filter(|(other, _)| *other != name) {
            // Signed by one, said to be another's; and with the other's algorithm as well.
            let crossed = key.token(world.header(key, other_name), claims());
            assert_eq!(code(world.try_token(&crossed).await), Code::InvalidToken);
            let crossed = key.token(world.header(other, other_name), claims());
            assert_eq!(code(world.try_token(&crossed).await), Code::InvalidToken);
        }
    }
    // The classical confusion: the public key's text used as a shared secret.
    let pem = RSA.pem();
    for secret in [pem.clone().into_bytes(), pem.trim_end().as_bytes().to_vec()] {
        let forger = Outside::Hmac(secret);
        let forged = forger.token(world.header(&forger, "r"), claims());
        assert_eq!(code(world.try_token(&forged).await), Code::InvalidToken);
    }
    for algorithm in ["none", "None", "NONE", "", "HS512", "RS512", "hs256"] {
        let header = json!({"alg": algorithm, "kid": format!("{}.h", world.project)});
        let bare = format!("{}.{}.", encode(&header), encode(&claims()));
        assert_eq!(code(world.try_token(&bare).await), Code::InvalidToken);
        let signed = hmac.token(header, claims());
        assert_eq!(code(world.try_token(&signed).await), Code::InvalidToken, "{algorithm}");
    }
}

#[tokio::test]
async fn times_are_checked_with_leeway() {
    let world = World::open(patient()).await;
    let key = Outside::Hmac(vec![5; 32]);
    world.trust_outside("main", &key).await;
    let check = async |claims: Value, expected: Option<Code>| {
        let token = key.token(world.header(&key, "main"), claims.clone());
        let found = world.try_token(&token).await.err().map(|refusal| refusal.code());
        assert_eq!(found, expected, "{claims}");
    };
    let exp = |exp: Value| with(claims(), "exp", exp);
    let nbf = |nbf: Value| with(claims(), "nbf", nbf);
    check(exp(json!(START_S - 29)), None).await;
    check(exp(json!(START_S - 30)), Some(Code::ExpiredToken)).await;
    check(exp(json!(START_S as f64 + 0.5)), None).await;
    check(exp(json!(-1e300)), Some(Code::ExpiredToken)).await;
    check(exp(json!(1e300)), Some(Code::InvalidToken)).await;
    check(exp(json!(u64::MAX)), Some(Code::InvalidToken)).await;
    check(exp(json!("soon")), Some(Code::InvalidToken)).await;
    check(exp(Value::Null), Some(Code::InvalidToken)).await;
    check(nbf(json!(START_S + 30)), None).await;
    check(nbf(json!(START_S + 31)), Some(Code::InvalidToken)).await;
    check(json!({"sub": "x"}), Some(Code::InvalidToken)).await;
    let token = key.token(world.header(&key, "main"), claims());
    let who = world.try_token(&token).await.unwrap();
    assert_eq!(who.claims().expires_at, Some(START_MS + 90_000));
    world.clock.advance(Duration::from_secs(90));
    assert_eq!(code(world.try_token(&token).await), Code::ExpiredToken);
}

#[tokio::test]
async fn the_audience_and_the_project_must_be_ours() {
    let world = World::open(patient()).await;
    let key = Outside::Hmac(vec![5; 32]);
    world.trust_outside("main", &key).await;
    let own = world.project.to_string();
    let other = types::ProjectId(uuid::Uuid::from_u128(9)).to_string();
    let check = async |claims: Value, is_fine: bool| {
        let token = key.token(world.header(&key, "main"), claims.clone());
        assert_eq!(world.try_token(&token).await.is_ok(), is_fine, "{claims}");
    };
    let aud = |aud: Value| with(claims(), "aud", aud);
    check(aud(json!("mainstem")), true).await;
    check(aud(json!(own)), true).await;
    check(aud(json!(["elsewhere", own])), true).await;
    check(aud(json!("elsewhere")), false).await;
    check(aud(json!(["elsewhere", other])), false).await;
    check(aud(json!(7)), false).await;
    check(with(claims(), "prj", json!(own)), true).await;
    check(with(claims(), "prj", json!(other)), false).await;
    check(with(claims(), "prj", json!("x")), false).await;
    check(with(claims(), "sub", json!("")), false).await;
    check(with(claims(), "sub", json!("x".repeat(257))), false).await;
    check(with(claims(), "sub", json!("a\nb")), false).await;
    let settings = TokenSettings { audiences: vec!["shop".to_owned()], ..TokenSettings::default() };
    world.set_tokens(&settings).await;
    check(aud(json!("shop")), true).await;
    check(aud(json!("mainstem")), false).await;
    check(claims(), false).await;
    // The same key's token under another project's name.
    let header = json!({"alg": "HS256", "kid": format!("{other}.main")});
    assert_eq!(code(world.try_token(&key.token(header, claims())).await), Code::InvalidToken);
    let header = json!({"alg": "HS256"});
    assert_eq!(code(world.try_token(&key.token(header, claims())).await), Code::InvalidToken);
    let mut header = world.header(&key, "main");
    header["crit"] = json!(["b64"]);
    assert_eq!(code(world.try_token(&key.token(header, claims())).await), Code::InvalidToken);
}

#[tokio::test]
async fn scopes_and_grants_come_from_the_token() {
    let world = World::open(patient()).await;
    let key = Outside::Hmac(vec![5; 32]);
    world.trust_outside("main", &key).await;
    let prove =
        async |claims: Value| world.try_token(&key.token(world.header(&key, "main"), claims)).await;
    let admin = with(claims(), "scopes", json!(["admin:read", "events:publish"]));
    let admin = prove(admin).await.unwrap();
    assert!(admin.claims().scopes.has(Scope::AdminRead));
    assert!(!admin.claims().scopes.has(Scope::EventsSubscribe));
    let text = prove(with(claims(), "scopes", json!("events:subscribe  billing:read"))).await;
    assert_eq!(text.unwrap().claims().scopes.iter().count(), 2);
    let none = prove(with(claims(), "scopes", json!([]))).await.unwrap();
    assert_eq!(none.claims().scopes, Scopes::NONE);
    let unknown = prove(with(claims(), "scopes", json!(["events:all"]))).await.unwrap_err();
    assert!(unknown.message().contains("events:all"));
    let grants = json!([{"filter": "a/+"}, {"effect": "deny", "access": "publish", "filter": "b"}]);
    let granted = prove(with(claims(), "grants", grants)).await.unwrap();
    let granted = granted.claims().grants.as_deref().unwrap();
    assert_eq!(granted[0].access, None);
    assert_eq!((granted[1].effect, granted[1].access), (Effect::Deny, Some(Access::Publish)));
    let bad = |grants: Value| prove(with(claims(), "grants", grants));
    assert_eq!(code(bad(json!([{"filter": "a/#/b"}])).await), Code::InvalidToken);
    assert_eq!(code(bad(json!([{"filter": "a", "more": 1}])).await), Code::InvalidToken);
    let many = vec![json!({"filter": "a"}); 65];
    assert_eq!(code(bad(json!(many)).await), Code::InvalidToken);
}

#[tokio::test]
async fn issued_tokens_are_accepted_as_they_say() {
    let world = World::open(patient()).await;
    let sealer = world.secrets.sealer(SystemRng::shared());
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let name = algorithm.name();
        let made = SigningKey::generate(&sealer, world.project, name, algorithm, &SystemRng);
        let (key, material) = made.unwrap();
        world.trust(name, algorithm, material.clone()).await;
        let opened = SigningKey::open(&sealer, world.project, name, algorithm, &material).unwrap();
        let grant = Grant {
            effect: Effect::Allow,
            access: Some(Access::Subscribe),
            filter: Filter::parse("orders/+/a").unwrap(),
        };
        let new = NewToken {
            subject: "user-7".to_owned(),
            lifetime_ms: 60_000,
            scopes: Some([Scope::EventsSubscribe].into_iter().collect()),
            grants: Some(vec![grant.clone()]),
        };
        for key in [&key, &opened] {
            let token = key.issue(&new, START_MS).unwrap();
            let who = world.try_token(token.expose_secret()).await.unwrap();
            assert_eq!(who.principal().0.as_ref(), "jwt:user-7");
            assert_eq!(who.claims().scopes, new.scopes.unwrap());
            assert_eq!(who.claims().grants.as_deref().unwrap(), std::slice::from_ref(&grant));
        }
    }
}

#[tokio::test]
async fn a_removed_signing_key_ends_its_sessions() {
    let world = World::open(patient()).await;
    let (first, second) = (Outside::Hmac(vec![1; 32]), Outside::Hmac(vec![2; 32]));
    world.trust_outside("first", &first).await;
    world.trust_outside("second", &second).await;
    let first_token = first.token(world.header(&first, "first"), claims());
    let first_session = world.try_token(&first_token).await.unwrap();
    let second_token = second.token(world.header(&second, "second"), claims());
    let second_session = world.try_token(&second_token).await.unwrap();
    let keys = world.store().signing_keys(world.tenant, world.project, None, 10).await.unwrap();
    let key = keys.items.iter().find(|key| key.kid == "first").unwrap().id;
    world.store().remove_signing_key(world.tenant, world.project, key, &by()).await.unwrap();
    world.authenticator.changed(&Change::Project(world.project)).await;
    assert!(first_session.is_revoked() && !second_session.is_revoked());
    assert_eq!(code(world.try_token(&first_token).await), Code::InvalidToken);
    world.store().suspend_tenant(world.tenant, "unpaid", &by()).await.unwrap();
    world.authenticator.changed(&Change::Tenant(world.tenant)).await;
    assert_eq!(code(world.try_token(&second_token).await), Code::TenantSuspended);
}
