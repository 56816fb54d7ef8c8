//! What the HTTP faces share: one client, refusals read from bodies, and names made fit for URLs.

use crate::conformance::{Aftermath, Told};
use reqwest::{Client, RequestBuilder, Response};
use std::fmt::Write;

/// A base URL and a client that keeps its connections.
pub(super) struct Http {
    base_url: String,
    client: Client,
}

impl Http {
    pub fn new(base_url: &str) -> Http {
        Http { base_url: base_url.trim_end_matches('/').to_owned(), client: Client::new() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    pub fn post(&self, path: &str, secret: &str) -> RequestBuilder {
        self.client.post(self.url(path)).bearer_auth(secret)
    }

    pub fn get(&self, path: &str, secret: &str) -> RequestBuilder {
        self.client.get(self.url(path)).bearer_auth(secret)
    }
}

/// Sends; an answer that is a refusal is an error.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, Told> {
    let response = request.send().await.map_err(Told::broken)?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body: serde_json::Value = response.json().await.map_err(Told::broken)?;
    Err(Told { number: Some(status), ..Told::from_error(&body["error"]) })
}

pub(super) async fn send_for_json(request: RequestBuilder) -> Result<serde_json::Value, Told> {
    send(request).await?.json().await.map_err(Told::broken)
}

pub(super) async fn aftermath(request: RequestBuilder) -> Aftermath {
    match send(request).await {
        // Bytes that happened to be a request.
        Ok(_) => Aftermath::Closed,
        Err(told) if told.number.is_none() => Aftermath::Closed,
        Err(told) => Aftermath::Refused(told),
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
pub(super) fn encoded(text: &[u8]) -> String {
    let mut out = String::new();
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}
