//! Where a request came from and what it presented.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use types::TimestampMs;

/// The edge thread that owns a connection, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardId(pub u16);

/// Names one request in answers, logs and traces. Taken from the client when it sends a
/// reasonable one, else made by the edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(pub Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The edge puts one into the extensions of each HTTP request and into each `SessionStart`.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    pub shard: ShardId,
    pub is_tls: bool,
    pub request_id: RequestId,
}

/// What the certificate says that a client has shown, once its signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The distinguished name of its subject as RFC 2253 writes it: `CN=shop,O=Example`.
    pub subject: String,
    /// Names of its subject beside that one (RFC 5280, section 4.2.1.6).
    pub dns_names: Vec<String>,
    pub emails: Vec<String>,
    pub uris: Vec<String>,
    /// From then on it does not count.
    pub ends_at: TimestampMs,
}

/// What a client presents. Debug output never shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// `ms_live_...` or `ms_test_...`.
    ApiKey(String),
    /// A JWT.
    Token(String),
}

impl Credential {
    /// Sorts a bearer secret by its looks: API keys start with `ms_`, all else is a token.
    pub fn from_bearer(secret: impl Into<String>) -> Credential {
        let secret = secret.into();
        if secret.starts_with("ms_") {
            Credential::ApiKey(secret)
        } else {
            Credential::Token(secret)
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::ApiKey(_) => "ApiKey(hidden)",
            Credential::Token(_) => "Token(hidden)",
        })
    }
}
