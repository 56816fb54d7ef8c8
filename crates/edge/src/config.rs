//! The edge's settings. The comments on the fields are the manual; unknown keys are refused.
//! Nothing here acts: values are checked once, by `Config::check`, before anything is bound.

use crate::EdgeError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where tenants' clients come in: HTTP/1.1, HTTP/2 and WebSocket on one port. Port 0 takes a
    /// free one.
    pub listen: SocketAddr,
    /// Where operators come in; absent switches the admin API off.
    pub admin_listen: Option<SocketAddr>,
    /// Edge threads, each with its own connections, at most 64; 0 takes one per core.
    pub shards: u16,
    /// TLS for both listeners; absent serves plain text.
    pub tls: Option<Tls>,
    pub accept: Accept,
    pub http: Http,
    pub web_socket: WebSocket,
    pub cors: Cors,
    pub drain: Drain,
    /// Not a setting: who serves the public port is decided by whoever starts the processes.
    #[serde(skip)]
    pub public: PublicPort,
}

/// Who serves the public port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublicPort {
    /// This process alone.
    #[default]
    Own,
    /// This process and others: the kernel spreads connections over them.
    Shared,
    /// Others: the port is held for them, and nothing is accepted.
    Elsewhere,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tls {
    /// PEM files: the chain, leaf first, and its private key. Read again when they change.
    Files { certificate: PathBuf, key: PathBuf },
    /// Made anew at each start for these host names; for development only.
    SelfSigned { names: Vec<String> },
}

/// What is let in, before anything is read from it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Accept {
    /// New connections per second and listener; more of them wait in the kernel's backlog, so
    /// that a storm of them leaves time for those who are there. 0 is 1,250 for each edge thread.
    pub per_second_max: u32,
    /// New connections at once and listener, after a quiet time.
    pub burst_max: u32,
    /// Open connections of a listener; further ones are told 503 and closed.
    pub connections_max: u32,
    /// Open connections of one client address and listener; 0 is no limit. An IPv6
    /// client is its first 64 bits. Behind a proxy or a NAT many clients have one address.
    pub connections_per_address_max: u32,
    /// Connections the kernel holds for us until they are accepted.
    pub backlog_max: u32,
    /// Milliseconds a peer may leave what was sent to it unacknowledged, or take nothing, until
    /// the kernel ends its connection (RFC 5482).
    pub stall_ms_max: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Milliseconds in which the TLS handshake and a first whole request head must come, and in
    /// which each further head must come: also how long an idle HTTP/1.1 connection is kept.
    pub head_ms_max: u64,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Bytes of a request's head; at least 8,192.
    pub head_bytes_max: usize,
    /// Bytes of a request's body, whatever it asks for; routes allow less (a publish
    /// `rest.body_bytes_max`).
    pub body_bytes_max: usize,
    /// Milliseconds between two pieces of a request's body.
    pub body_gap_ms_max: u64,
    /// Milliseconds an HTTP/2 connection without streams is kept.
    pub idle_ms_max: u64,
    /// Concurrent streams of an HTTP/2 connection.
    pub streams_max: u32,
    /// Streams a client may reset before they were served, until its connection is ended
    /// (CVE-2023-44487, "rapid reset").
    pub resets_max: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebSocket {
    /// Milliseconds without a byte from the client until it is pinged; after a second such time
    /// it is closed.
    pub keepalive_ms: u64,
    /// Bytes of one message, over all its fragments.
    pub message_bytes_max: usize,
    /// Bytes waiting for a client until the hub is asked to pause its feed.
    pub waiting_bytes_high: usize,
    /// Bytes waiting until the feed goes on.
    pub waiting_bytes_low: usize,
    /// Bytes waiting for all clients of one edge thread; the client that would exceed it is
    /// closed, and resumes with its cursor.
    pub shard_waiting_bytes_max: usize,
    /// Bytes waiting for all clients of one tenant, over all edge threads. From three quarters of
    /// it on, its clients are fed from the log only; beyond it, the one that would exceed it is
    /// closed, and resumes with its cursor.
    pub tenant_waiting_bytes_max: usize,
    /// Milliseconds that records may wait for others to share a write with; 0 writes at the end of
    /// each turn, so that a lone record is sent at once and records gather under load only. Answers
    /// to requests never wait.
    pub gather_ms: u64,
    /// Bytes gathered for a client that are written without waiting any longer.
    pub gather_bytes_max: usize,
    /// Milliseconds the closing handshake may take.
    pub close_ms_max: u64,
    /// Takes WebSockets as streams of HTTP/2 connections too (RFC 8441): a browser then has one
    /// connection for all its tabs. Each counts as one of `accept.connections_max`, and
    /// `http.streams_max` bounds how many one connection carries.
    pub over_http2: bool,
    /// permessage-deflate (RFC 7692) for clients that offer it; `null` declines all offers.
    pub compression: Option<Compression>,
}

/// How messages to clients are compressed. Neither side keeps a context from one message to the
/// next: a message for many is compressed once, and idle connections hold no windows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Compression {
    /// Messages of fewer bytes go as they are: most of them would not become shorter by much.
    pub threshold_bytes: usize,
    /// 1, fast, to 9, small.
    pub level: u32,
}

/// Which web pages may use the API, and open WebSockets, from a browser.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://app.example.com`; `*` allows all (credentials are in headers, never
    /// in cookies, so another site cannot borrow them). None of them: same origin only.
    pub origins: Vec<String>,
    /// Seconds a browser may remember the answer to a preflight request.
    pub max_age_s: u64,
}

/// How connections are given up when the node goes down.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Milliseconds until what is still open is cut.
    pub total_ms_max: u64,
    /// Clients are advised to come back at a random time within so many milliseconds.
    pub reconnect_ms_max: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))),
            shards: 0,
            tls: None,
            accept: Accept::default(),
            http: Http::default(),
            web_socket: WebSocket::default(),
            cors: Cors::default(),
            drain: Drain::default(),
            public: PublicPort::default(),
        }
    }
}

impl Default for Accept {
    fn default() -> Accept {
        Accept {
            per_second_max: 0,
            burst_max: 100,
            connections_max: 100_000,
            connections_per_address_max: 0,
            backlog_max: 4_096,
            stall_ms_max: 120_000,
        }
    }
}

impl Default for Http {
    fn default() -> Http {
        Http {
            head_ms_max: 30_000,
            headers_max: 100,
            head_bytes_max: 32 * 1024,
            body_bytes_max: 25 * 1024 * 1024,
            body_gap_ms_max: 30_000,
            idle_ms_max: 120_000,
            streams_max: 128,
            resets_max: 64,
        }
    }
}

impl Default for WebSocket {
    fn default() -> WebSocket {
        WebSocket {
            keepalive_ms: 25_000,
            message_bytes_max: 2 * 1024 * 1024,
            waiting_bytes_high: 256 * 1024,
            waiting_bytes_low: 32 * 1024,
            shard_waiting_bytes_max: 512 * 1024 * 1024,
            tenant_waiting_bytes_max: 256 * 1024 * 1024,
            gather_ms: 0,
            gather_bytes_max: 32 * 1024,
            close_ms_max: 2_000,
            over_http2: true,
            compression: Some(Compression::default()),
        }
    }
}

impl Default for Compression {
    fn default() -> Compression {
        Compression { threshold_bytes: 1_024, level: 3 }
    }
}

impl Default for Cors {
    fn default() -> Cors {
        Cors { origins: vec!["*".into()], max_age_s: 3_600 }
    }
}

impl Default for Drain {
    fn default() -> Drain {
        Drain { total_ms_max: 10_000, reconnect_ms_max: 10_000 }
    }
}

/// hyper refuses a smaller read buffer.
const HEAD_BYTES_MIN: usize = 8 * 1024;
/// The hub has a part for each edge thread, and so many at most.
const SHARDS_MAX: u16 = 64;
/// A connection costs a thread up to half a millisecond, with its credential and a subscription.
const ACCEPTED_PER_SECOND_AND_SHARD: u32 = 1_250;
/// A keepalive shorter than this only burns both sides' batteries.
const KEEPALIVE_MS_MIN: u64 = 100;

/// Records that are older are no longer live.
const GATHER_MS_MAX: u64 = 1_000;

impl Config {
    /// Edge threads that will run; the hub is asked for as many shards.
    pub fn shard_count(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        match self.shards {
            0 => u16::try_from(cores()).map_or(SHARDS_MAX, |cores| cores.min(SHARDS_MAX)),
            given => given,
        }
    }

    /// New connections per second and listener: as configured, or what the threads can let in
    /// while they serve others.
    pub fn accepted_per_second(&self) -> u32 {
        match self.accept.per_second_max {
            0 => ACCEPTED_PER_SECOND_AND_SHARD * u32::from(self.shard_count()),
            given => given,
        }
    }

    /// Whether the settings agree with each other.
    pub fn check(&self) -> Result<(), EdgeError> {
        let wrong = |field, reason: &str| Err(EdgeError::Config { field, reason: reason.into() });
        if self.shards > SHARDS_MAX {
            return wrong("shards", "it must be at most 64");
        }
        if self.http.head_bytes_max < HEAD_BYTES_MIN {
            return wrong("http.head_bytes_max", "it must be at least 8192");
        }
        if self.http.head_ms_max == 0 || self.http.body_gap_ms_max == 0 {
            return wrong("http.head_ms_max", "times must not be zero");
        }
        if self.http.headers_max == 0 || self.http.streams_max == 0 {
            return wrong("http.headers_max", "limits must not be zero");
        }
        if self.accept.burst_max == 0 {
            return wrong("accept.burst_max", "nobody could connect");
        }
        if self.accept.connections_max == 0 || self.accept.stall_ms_max == 0 {
            return wrong("accept.connections_max", "nobody could connect");
        }
        if self.web_socket.keepalive_ms < KEEPALIVE_MS_MIN {
            return wrong("web_socket.keepalive_ms", "it must be at least 100");
        }
        if self.web_socket.waiting_bytes_low >= self.web_socket.waiting_bytes_high {
            return wrong("web_socket.waiting_bytes_low", "it must be below waiting_bytes_high");
        }
        if self.web_socket.waiting_bytes_high > self.web_socket.shard_waiting_bytes_max {
            return wrong("web_socket.waiting_bytes_high", "it exceeds shard_waiting_bytes_max");
        }
        if self.web_socket.waiting_bytes_high > self.web_socket.tenant_waiting_bytes_max {
            return wrong("web_socket.waiting_bytes_high", "it exceeds tenant_waiting_bytes_max");
        }
        if self.web_socket.gather_ms > GATHER_MS_MAX {
            return wrong("web_socket.gather_ms", "it must be at most 1000");
        }
        if self.web_socket.gather_bytes_max == 0 {
            return wrong("web_socket.gather_bytes_max", "it must not be zero");
        }
        if self.web_socket.compression.as_ref().is_some_and(|it| !(1..=9).contains(&it.level)) {
            return wrong("web_socket.compression.level", "it must be 1 to 9");
        }
        if self.web_socket.message_bytes_max == 0 || self.web_socket.close_ms_max == 0 {
            return wrong("web_socket.message_bytes_max", "limits must not be zero");
        }
        Ok(())
    }
}

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
