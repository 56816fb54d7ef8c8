//! What operators see and change of a running node: connections, usage, and the news that the
//! control plane changed something. Implemented by the hub, used by the admin API.

use crate::{Code, Refusal};
use serde::Serialize;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use types::{KeyId, LogRange, PrincipalId, ProjectId, TenantId, TimestampMs, Usage};

/// Names a connection for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ConnectionId(pub u64);

/// Which quota of the project a connection counts against, beside the common one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    WebSocket,
    ServerSentEvents,
    Other,
}

/// What an adapter says of a connection it opens.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The protocol's `NAME`.
    pub protocol: &'static str,
    pub quota: Quota,
    pub address: SocketAddr,
}

/// A connection as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionState {
    pub id: ConnectionId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub principal: PrincipalId,
    pub protocol: &'static str,
    pub address: SocketAddr,
    pub opened_at: TimestampMs,
    pub subscriptions: u32,
}

#[derive(Debug, Clone, Default)]
pub struct ConnectionFilter {
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    pub protocol: Option<String>,
    pub principal: Option<String>,
    /// Only those with a greater id, for paging.
    pub after: Option<ConnectionId>,
}

/// Something the control plane changed and the node must act on within a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key was created, changed, rotated or revoked.
    Key(KeyId),
    /// Plan or status: a suspended tenant's connections end.
    Tenant(TenantId),
    /// Limits or signing keys.
    Project(ProjectId),
}

/// What the log says of a range of offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recount {
    /// All of it is there: its records, and the bytes of their keys, values and headers.
    Whole { records: u64, bytes: u64 },
    /// Retention, compaction or deletion took of it; this is left.
    Partly { records: u64, bytes: u64 },
}

/// The answer of `Live::recount`.
pub type Recounting<'a> = Pin<Box<dyn Future<Output = Result<Vec<Recount>, Refusal>> + Send + 'a>>;

pub trait Live: Send + Sync + 'static {
    /// At most `limit`, in order of id.
    fn connections(&self, filter: &ConnectionFilter, limit: usize) -> Vec<ConnectionState>;
    /// `false` when there is no such connection.
    fn close(&self, connection: ConnectionId) -> bool;
    fn changed(&self, change: Change);
    /// What tenants have used of this month so far; those that used nothing since the last call
    /// are left out.
    fn months(&self) -> Vec<(TenantId, Usage)> {
        Vec::new()
    }
    /// Counts since the last time they were taken.
    fn take_usage(&self) -> Vec<(TenantId, ProjectId, Usage)>;
    /// Counts what the log holds of ranges that were metered, in their order.
    fn recount(&self, ranges: Vec<LogRange>) -> Recounting<'_> {
        let _ = ranges;
        let refusal = Refusal::new(Code::Unsupported, "this node's log cannot be counted");
        Box::pin(std::future::ready(Err(refusal)))
    }
    /// Bytes that a project's topics take on the device now.
    fn stored_bytes(&self, project: ProjectId) -> u64 {
        let _ = project;
        0
    }
    /// Ends every connection with a jittered advice to come back; new ones are refused.
    fn drain(&self);
}
