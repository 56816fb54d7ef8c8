//! What the leading process and its crews tell each other: a line of JSON each, over pipes.

use crate::latency::Latencies;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The connections of one process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub server: SocketAddr,
    /// The server's name in its certificate; without it connections are plain text.
    pub tls_name: Option<String>,
    /// Where connections come from, in turn; empty leaves that to the system.
    pub sources: Vec<IpAddr>,
    /// Number of the first.
    pub first: u32,
    pub count: u32,
    /// The connection with number N gets the records of stream N modulo this.
    pub streams: u32,
    /// Opened per second; 0 is all at once.
    pub per_second: f64,
    /// How often a connection that is refused or cut tries again until it gives up.
    pub retries_max: u32,
    /// Receive buffer of the sockets in bytes; 0 leaves it to the system.
    pub receive_bytes: u32,
    pub keeps_cursors: bool,
    /// The dialect's name and what it needs to know, for whoever makes dialects.
    pub dialect: String,
    pub settings: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Order {
    Open(Box<Plan>),
    /// Forgets what was counted so far.
    Measure,
    Report,
    /// Resets every connection at once.
    Cut,
    /// Opens all again, so many per second (0: all at once).
    Reopen {
        per_second: f64,
    },
    /// The first so many connections stop reading, and are counted apart from now on.
    Pause {
        count: u32,
    },
    Resume,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Connections that are subscribed.
    pub ready: u64,
    /// Gave up.
    pub refused: u64,
    /// Tried again.
    pub retried: u64,
    /// Ended by the server, or by the network.
    pub ended: u64,
    /// Deliveries since `Measure`, to all and to those that paused.
    pub deliveries: u64,
    pub deliveries_slow: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Answer {
    Progress(Progress),
    Done,
    Report(Box<Report>),
    Fault { why: String },
}

/// What some connections have received.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    pub deliveries: u64,
    pub bytes: u64,
    /// Records whose number was passed over.
    pub lost: u64,
    pub doubled: u64,
    /// From when a record was due to be published.
    pub latencies: Latencies,
}

impl Tally {
    pub fn merge(&mut self, other: &Tally) {
        self.deliveries += other.deliveries;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.latencies.merge(&other.latencies);
    }
}

/// What one process has counted since `Measure`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    pub all: Tally,
    /// Those that were told to pause.
    pub slow: Tally,
    /// From when a connection was due to when it was subscribed.
    pub open: Latencies,
    pub refused: u64,
    pub retried: u64,
    pub ended: u64,
    /// The first reason of a refusal.
    pub refusal: Option<String>,
    /// CPU time of the process, since it began.
    pub cpu_seconds: f64,
}

impl Report {
    pub fn merge(&mut self, other: &Report) {
        self.all.merge(&other.all);
        self.slow.merge(&other.slow);
        self.open.merge(&other.open);
        self.refused += other.refused;
        self.retried += other.retried;
        self.ended += other.ended;
        self.refusal = self.refusal.take().or_else(|| other.refusal.clone());
        self.cpu_seconds += other.cpu_seconds;
    }
}
