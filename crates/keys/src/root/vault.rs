//! The root key in HashiCorp Vault's transit engine (its HTTP API, `encrypt` and `decrypt`): it
//! never leaves the vault, which is asked once at a start and once at a rotation, never for a
//! record. It must not log the token nor what it sends.

use crate::error::KeysError;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Certificate;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::time::Duration;
use zeroize::Zeroizing;

/// An answer longer than this is not the vault's.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Of what the vault says when it refuses, for the error.
const REASON_BYTES_MAX: usize = 300;

/// A key in a vault, and how to reach it.
#[derive(Clone)]
pub struct Vault {
    /// `https://vault.example.com:8200`
    pub address: String,
    pub mount: String,
    pub key: String,
    pub namespace: Option<String>,
    pub token: SecretString,
    /// PEM of an authority of the vault's own.
    pub authority: Option<Vec<u8>>,
    pub timeout: Duration,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place())
    }
}

impl Vault {
    pub(crate) fn place(&self) -> String {
        format!("vault {} {}/{}", self.address, self.mount, self.key)
    }

    /// The ciphertext, a text that begins with `vault:v<version of the key>:`.
    pub(crate) fn encrypt(&self, ring_key: &Secret) -> Result<String, KeysError> {
        let plain = Zeroizing::new(STANDARD.encode(ring_key.bytes()));
        let answer = self.ask("encrypt", json!({"plaintext": *plain}))?;
        let text = answer["data"]["ciphertext"].as_str();
        text.filter(|text| text.starts_with("vault:"))
            .map(str::to_owned)
            .ok_or_else(|| self.failed("its answer has no ciphertext"))
    }

    pub(crate) fn decrypt(&self, ciphertext: &str) -> Result<Secret, KeysError> {
        let answer = self.ask("decrypt", json!({"ciphertext": ciphertext}))?;
        let plain = answer["data"]["plaintext"].as_str();
        let plain = plain.and_then(|text| STANDARD.decode(text).ok()).map(Zeroizing::new);
        let plain = plain.and_then(|bytes| Secret::from_slice(&bytes));
        plain.ok_or_else(|| self.failed("its answer is not a key of 32 bytes"))
    }

    fn failed(&self, message: impl Into<String>) -> KeysError {
        KeysError::Vault { address: self.address.clone(), message: message.into() }
    }

    /// Waits for the answer, at most `timeout`. On a thread of its own, so that it may be called
    /// from anywhere, also from inside a runtime.
    fn ask(&self, verb: &'static str, body: Value) -> Result<Value, KeysError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| self.failed(error.to_string()))?;
        let asked = std::thread::scope(|scope| {
            let asking = scope.spawn(|| runtime.block_on(self.send(verb, body)));
            asking.join().unwrap_or_else(|_| Err("the request panicked".to_owned()))
        });
        asked.map_err(|message| self.failed(message))
    }

    async fn send(&self, verb: &str, body: Value) -> Result<Value, String> {
        // Neither the token nor the body is part of what these errors say.
        let text = |error: reqwest::Error| error.without_url().to_string();
        let mut client = reqwest::Client::builder().timeout(self.timeout);
        if let Some(authority) = &self.authority {
            let bundle = Certificate::from_pem_bundle(authority).map_err(text)?;
            client = client.tls_certs_only(bundle);
        }
        let client = client.build().map_err(text)?;
        let address = self.address.trim_end_matches('/');
        let url = format!("{address}/v1/{}/{verb}/{}", self.mount.trim_matches('/'), self.key);
        let mut token = http_value(self.token.expose_secret())?;
        token.set_sensitive(true);
        let mut request = client.post(url).header("x-vault-token", token).json(&body);
        request = request.header("x-vault-request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", http_value(namespace)?);
        }
        let mut answer = request
            .send()
            .await
            .map_err(|error| format!("no answer to `{verb}`: {}", deepest(&error.without_url())))?;
        let status = answer.status();
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(part) = answer.chunk().await.map_err(text)? {
            if bytes.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer to `{verb}` is too long for a vault's"));
            }
            bytes.extend_from_slice(&part);
        }
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            return Err(format!("`{verb}` was refused with {status}: {}", reason(&body)));
        }
        Ok(body)
    }
}

fn http_value(text: &str) -> Result<reqwest::header::HeaderValue, String> {
    let value = reqwest::header::HeaderValue::from_str(text.trim());
    value.map_err(|_| "its token or namespace is not plain text".to_owned())
}

/// The cause, not the layers above it.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn reason(body: &Value) -> String {
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
    let mut text = errors.join("; ");
    if text.is_empty() {
        "no reason given".clone_into(&mut text);
    }
    let end = (0..=REASON_BYTES_MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.truncate(end.unwrap_or(0));
    text.replace(char::is_control, " ")
}
