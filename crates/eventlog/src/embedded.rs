//! The engine inside this process: partitions in memory over the store's extents.

use crate::{LogError, Options, TopicSpec};
use std::sync::Arc;

/// What opening found, for the operator's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub partitions: usize,
    /// Bytes cut from the end because they were never acknowledged.
    pub tail_cut_bytes: u64,
    /// Acknowledged records that cannot be read any more, in words.
    pub damaged: Vec<String>,
}

pub struct EmbeddedLog {}

impl EmbeddedLog {
    /// Takes the directory for this process and finds what is in it. `topics` is every topic there
    /// is: records of others are given up.
    pub fn open(
        _world: storage::World,
        _options: Options,
        _topics: Vec<TopicSpec>,
    ) -> Result<(Arc<EmbeddedLog>, OpenReport), LogError> {
        Err(LogError::Closed)
    }

    /// Waits for what was appended, then gives the directory up. Later calls answer `Closed`.
    pub async fn close(&self) {}
}
