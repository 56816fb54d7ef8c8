//! The servers we are measured beside: each a private node in a directory of its own, on free
//! ports, ended by its process id. They are the distribution's, or what `cargo xtask bench
//! --fetch-peers` brought. A peer that is not there is left out, and the result says so.

mod kafka;
mod nats;
mod rabbitmq;

pub use kafka::{Kafka, KafkaTools};
pub use nats::Nats;
pub use rabbitmq::RabbitMq;

use std::path::PathBuf;
use std::time::Duration;

const START_MAX: Duration = Duration::from_secs(60);

/// When a peer that promises no flush of its own accord brings records to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushing {
    /// As it comes: later, after the acknowledgement.
    AsItComes,
    /// Before each acknowledgement.
    Always,
}

/// What was fetched lies beside the folders of built programs.
fn fetched(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let path = program.parent()?.parent()?.join("peers").join(name);
    path.exists().then_some(path)
}

/// The program of that name: a fetched one, or one in the usual directories.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin".into(), "/usr/local/bin".into()];
    let mut all = std::env::split_paths(&path).chain(usual).map(|dir| dir.join(name));
    fetched(name).or_else(|| all.find(|path| path.exists()))
}
