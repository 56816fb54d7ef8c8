//! What the process tells of itself, as the admin API passes it on. Implemented by the server.

use serde::Serialize;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use types::TimestampMs;
use utoipa::ToSchema;

pub type Telling<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which program this is, and since when it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct About {
    pub version: String,
    /// Of the machine: `x86_64 linux`.
    pub platform: String,
    pub process_id: u32,
    pub started_at: TimestampMs,
    /// Processes that serve clients.
    pub processes: u16,
}

/// The process, and those of its node that it knows of.
pub trait Process: Send + Sync + 'static {
    fn about(&self) -> About;
    /// All figures as Prometheus' text, of every process of the node.
    fn figures(&self) -> Telling<'_, String>;
    /// Whether it can do its work, part by part, as `/readyz` says it.
    fn state(&self) -> Telling<'_, Value>;
}
