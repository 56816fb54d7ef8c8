//! A provider over real sockets with real keys, that lies as told: what an ID token claims, how it
//! is signed, what is answered and how fast.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) const CLIENT: &str = "mainstem+acme:1";
pub(super) const SECRET: &str = "s3cret: with + signs";

pub(super) enum Signer {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    Hs256(Vec<u8>),
    None,
}

impl Signer {
    pub(super) fn es256() -> Signer {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Signer::Es256(pair.expect("a key"))
    }

    pub(super) fn rs256() -> Signer {
        Signer::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Signer::Es256(_) => "ES256",
            Signer::Rs256(_) => "RS256",
            Signer::Hs256(_) => "HS256",
            Signer::None => "none",
        }
    }

    pub(super) fn public(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Signer::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid})
            }
            Signer::Rs256(pair) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": text(&parts.n), "e": text(&parts.e), "kid": kid})
            }
            Signer::Hs256(_) | Signer::None => Value::Null,
        }
    }

    fn sign(&self, input: &[u8]) -> Vec<u8> {
        match self {
            Signer::Es256(pair) => {
                pair.sign(&SystemRandom::new(), input).expect("signed").as_ref().to_vec()
            }
            Signer::Rs256(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut out).expect("signed");
                out
            }
            Signer::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, input).as_ref().to_vec()
            }
            Signer::None => Vec::new(),
        }
    }
}

/// How it behaves.
pub(super) struct Manners {
    pub(super) signer: Signer,
    pub(super) kid: String,
    pub(super) keys: Vec<Value>,
    /// Whom it vouches for, and what it claims besides or instead; null takes a claim away.
    pub(super) claims: Value,
    /// Fields of the discovery document instead of the right ones.
    pub(super) document: Value,
    /// Instead of the right answer, by path.
    pub(super) answers: HashMap<&'static str, String>,
    /// Paths that are never answered.
    pub(super) silent: Vec<&'static str>,
    pub(super) asked: HashMap<String, usize>,
    /// What is promised for a code: nonce and challenge.
    codes: HashMap<String, (String, String)>,
    now_ms: i64,
}

pub(super) struct FakeProvider {
    pub(super) issuer: String,
    pub(super) manners: Arc<Mutex<Manners>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn whole(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

/// The query or body `a=b&c=d`, decoded.
pub(super) fn fields(text: &str) -> HashMap<String, String> {
    let decoded = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let hex: String = rest.by_ref().take(2).map(char::from).collect();
                    bytes.push(u8::from_str_radix(&hex, 16).expect("hexadecimal"));
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).expect("text")
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

impl FakeProvider {
    pub(super) async fn start(now_ms: i64) -> FakeProvider {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}/realm", listener.local_addr().expect("an address"));
        let signer = Signer::es256();
        let manners = Arc::new(Mutex::new(Manners {
            keys: vec![signer.public("first")],
            signer,
            kid: "first".to_owned(),
            claims: json!({}),
            document: json!({}),
            answers: HashMap::new(),
            silent: Vec::new(),
            asked: HashMap::new(),
            codes: HashMap::new(),
            now_ms,
        }));
        let (own, base) = (Arc::clone(&manners), issuer.clone());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&own), base.clone()));
            }
        });
        FakeProvider { issuer, manners, task }
    }

    /// Vouches for somebody from now on.
    pub(super) fn vouch(&self, subject: &str, email: &str, groups: &[&str]) {
        let claims = json!({
            "sub": subject, "email": email, "email_verified": true, "name": "Some Body",
            "groups": groups,
        });
        self.manners.lock().claims = claims;
    }

    pub(super) fn claim(&self, name: &str, value: Value) {
        self.manners.lock().claims[name] = value;
    }

    pub(super) fn at(&self, now_ms: i64) {
        self.manners.lock().now_ms = now_ms;
    }

    /// Somebody's browser goes there and comes back: the code and the state.
    pub(super) fn visit(&self, url: &str) -> (String, String) {
        let (address, query) = url.split_once('?').expect("a query");
        assert_eq!(address, format!("{}/authorize", self.issuer));
        let query = fields(query);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["redirect_uri"].ends_with("/sign-in/return"));
        assert!(query["scope"].starts_with("openid"));
        let mut manners = self.manners.lock();
        let code = format!("code-{}", manners.codes.len());
        let promised = (query["nonce"].clone(), query["code_challenge"].clone());
        manners.codes.insert(code.clone(), promised);
        (code, query["state"].clone())
    }
}

async fn serve(mut socket: TcpStream, manners: Arc<Mutex<Manners>>, issuer: String) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut piece = [0; 4_096];
        let Ok(count) = socket.read(&mut piece).await else { return };
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length:").map(|text| text.trim().parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
        if count == 0 {
            return;
        }
    };
    let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches("/realm").to_owned();
    let (answer, is_silent) = {
        let mut manners = manners.lock();
        *manners.asked.entry(path.clone()).or_default() += 1;
        let is_silent = manners.silent.iter().any(|silent| *silent == path);
        let given = manners.answers.get(path.as_str()).cloned();
        (given.unwrap_or_else(|| manners.answer(&path, &head, &body, &issuer)), is_silent)
    };
    if is_silent {
        std::future::pending::<()>().await;
    }
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
}

impl Manners {
    fn answer(&mut self, path: &str, head: &str, body: &str, issuer: &str) -> String {
        match path {
            "/.well-known/openid-configuration" => {
                let mut document = json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{issuer}/authorize"),
                    "token_endpoint": format!("{issuer}/token"),
                    "jwks_uri": format!("{issuer}/keys"),
                    "response_types_supported": ["code"],
                    "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                });
                for (name, value) in self.document.as_object().into_iter().flatten() {
                    document[name] = value.clone();
                }
                whole("200 OK", "", &document.to_string())
            }
            "/keys" => whole("200 OK", "", &json!({"keys": self.keys}).to_string()),
            "/token" => match self.token(head, body, issuer) {
                Ok(token) => {
                    whole("200 OK", "", &json!({"id_token": token, "token_type": "x"}).to_string())
                }
                Err(word) => whole("400 Bad Request", "", &json!({"error": word}).to_string()),
            },
            _ => whole("404 Not Found", "", ""),
        }
    }

    fn token(&mut self, head: &str, body: &str, issuer: &str) -> Result<String, &'static str> {
        let form = fields(body);
        let sent = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
        });
        let pair = "mainstem%2Bacme%3A1:s3cret%3A+with+%2B+signs";
        if sent != Some(format!("Basic {}", STANDARD.encode(pair))) {
            return Err("invalid_client");
        }
        let (nonce, challenge) = self.codes.remove(&form["code"]).ok_or("invalid_grant")?;
        let hash = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
        if URL_SAFE_NO_PAD.encode(hash) != challenge || form["grant_type"] != "authorization_code" {
            return Err("invalid_grant");
        }
        let seconds = self.now_ms / 1_000;
        let mut claims = json!({
            "iss": issuer, "aud": CLIENT, "iat": seconds, "exp": seconds + 300, "nonce": nonce,
            "auth_time": seconds,
        });
        for (name, value) in self.claims.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        if let Some(all) = claims.as_object_mut() {
            all.retain(|_, value| !value.is_null());
        }
        let header = json!({"alg": self.signer.algorithm(), "kid": self.kid});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.signer.sign(input.as_bytes()));
        Ok(format!("{input}.{signature}"))
    }
}
