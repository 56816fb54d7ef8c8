//! Settings of the Kafka listener. The comments on the fields are the manual.

use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Kafka clients come in. Every one of them asks for SASL, with TLS or without.
    pub listeners: Vec<Listener>,
    /// Bytes of one request at most, 64 KiB before the client has signed in.
    pub request_bytes_max: usize,
    /// Bytes of the answer to one fetch at most, give or take a batch, whatever is asked for.
    pub fetch_bytes_max: usize,
    /// Milliseconds in which a client must have signed in.
    pub sign_in_ms_max: u64,
    /// Milliseconds after which a connection without requests is closed.
    pub idle_ms_max: u64,
    /// The shortest session timeout that a member of a group may ask for, in milliseconds.
    pub session_ms_min: u64,
    /// The longest, in milliseconds.
    pub session_ms_max: u64,
    /// Milliseconds that the first rebalance of an empty group waits for further members.
    pub first_rebalance_ms: u64,
    /// Groups of one project at most, those that only have committed offsets included.
    pub groups_max: usize,
    /// Members of one group at most.
    pub members_max: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// The address to listen at. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Speaks TLS with the certificate of `edge.tls`.
    pub tls: bool,
    /// What clients are told to connect to, as `host:port`. Absent: the address at which each came
    /// in, which is right unless something between changes addresses: a NAT, a container's port, a
    /// proxy.
    pub advertised: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listeners: vec![Listener::default()],
            request_bytes_max: 32 * 1024 * 1024,
            fetch_bytes_max: 32 * 1024 * 1024,
            sign_in_ms_max: 10_000,
            idle_ms_max: 600_000,
            session_ms_min: 1_000,
            session_ms_max: 1_800_000,
            first_rebalance_ms: 500,
            groups_max: 10_000,
            members_max: 1_000,
        }
    }
}

impl Default for Listener {
    fn default() -> Listener {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 9_092));
        Listener { listen, tls: false, advertised: None }
    }
}

impl Config {
    pub fn check(&self) -> Result<(), Refusal> {
        let wrong =
            |field: &str, why: &str| Err(Refusal::new(Code::InvalidRequest, why).field(field));
        if self.request_bytes_max < crate::codec::STRANGER_BYTES_MAX {
            return wrong("request_bytes_max", "`request_bytes_max` must be at least 65536");
        }
        if self.fetch_bytes_max == 0 || self.sign_in_ms_max == 0 || self.idle_ms_max == 0 {
            return wrong("fetch_bytes_max", "limits must not be zero");
        }
        if self.session_ms_min > self.session_ms_max {
            return wrong("session_ms_min", "`session_ms_min` is above `session_ms_max`");
        }
        if self.groups_max == 0 || self.members_max == 0 {
            return wrong("groups_max", "limits must not be zero");
        }
        for listener in &self.listeners {
            if let Some(text) = &listener.advertised {
                Endpoint::parse(text)?;
            }
        }
        Ok(())
    }
}

/// Where clients are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Endpoint, Refusal> {
        let bad = || {
            let message = format!("`advertised` is `host:port`, not `{text}`");
            Refusal::new(Code::InvalidRequest, message).field("advertised")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(bad());
        }
        Ok(Endpoint { host: host.to_owned(), port: port.parse().map_err(|_| bad())? })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint { host: address.ip().to_canonical().to_string(), port: address.port() }
    }
}
