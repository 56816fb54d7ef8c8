//! The subscribers as a process of their own (`ws_load`), so that their cost is nobody else's, and
//! what they have received so far.

use crate::Fault;
use crate::process::{Process, sibling};
use parking_lot::Mutex;
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const REPORT_MS: u64 = 20;
/// Beyond this the machine, or the server, does not get through with the connecting.
const CONNECT_MAX: Duration = Duration::from_secs(120);
/// Nothing new for so long means that everything has come.
const QUIET: Duration = Duration::from_millis(1_000);

/// What all connections together have received.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct Received {
    pub connected: u64,
    pub refused: u64,
    pub ended: u64,
    pub messages: u64,
    pub payload_bytes: u64,
    pub pings: u64,
    pub cpu_seconds: f64,
}

/// Whom to connect to, and what to say.
#[derive(Debug, Clone)]
pub struct Plan {
    pub address: SocketAddr,
    /// Path and query.
    pub path: String,
    pub connections: usize,
    pub connect_rate: usize,
    /// Messages each connection sends at first.
    pub send: Vec<String>,
}

pub struct Load {
    /// Ends with this value.
    _process: Process,
    received: Arc<Mutex<Received>>,
    connections: u64,
}

impl Load {
    pub fn start(plan: &Plan) -> Result<Load, Fault> {
        let mut command = Command::new(sibling("ws_load")?);
        command.args(["--address", &plan.address.to_string(), "--path", &plan.path]);
        command.args(["--connections", &plan.connections.to_string()]);
        command.args(["--connect-rate", &plan.connect_rate.to_string()]);
        command.args(["--report-ms", &REPORT_MS.to_string()]);
        for text in &plan.send {
            command.args(["--send", text]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let lines = child.stdout.take().map(BufReader::new).ok_or("no pipe to the load")?;
        let received = Arc::new(Mutex::new(Received::default()));
        let latest = Arc::clone(&received);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Ok(report) = serde_json::from_str(&line) {
                    *latest.lock() = report;
                }
            }
        });
        let connections = plan.connections as u64;
        Ok(Load { _process: Process::of(child), received, connections })
    }

    pub fn received(&self) -> Received {
        *self.received.lock()
    }

    pub fn cpu(&self) -> Duration {
        Duration::from_secs_f64(self.received().cpu_seconds)
    }

    /// Waits until all are connected and nothing more comes to them.
    pub fn wait_until_settled(&self) -> Result<(), Fault> {
        let begin = Instant::now();
        let (mut before, mut since) = (self.received(), Instant::now());
        while begin.elapsed() < CONNECT_MAX {
            std::thread::sleep(Duration::from_millis(REPORT_MS));
            let now = self.received();
            if now.refused + now.ended > 0 {
                return Err(format!("connections were refused or ended: {now:?}").into());
            }
            if now.payload_bytes != before.payload_bytes || now.connected < self.connections {
                (before, since) = (now, Instant::now());
            }
            if since.elapsed() >= QUIET {
                return Ok(());
            }
        }
        Err(format!("not all connected: {:?}", self.received()).into())
    }

    /// Waits until `is_enough` of what came; false when that takes longer than `limit`.
    pub fn wait(&self, limit: Duration, is_enough: impl Fn(&Received) -> bool) -> bool {
        let begin = Instant::now();
        while !is_enough(&self.received()) {
            if begin.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(REPORT_MS / 2));
        }
        true
    }
}
