//! The newest attempts of an endpoint, in memory: what people look at when deliveries fail. Lost
//! with the process; what became of each record is in the log.

use crate::judgement::Outcome;
use serde::Serialize;
use std::collections::VecDeque;
use types::{Offset, Partition, TimestampMs};

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// `webhook-id` of the request.
    pub message: String,
    /// Where the record lies; `None` for a test event.
    pub partition: Option<Partition>,
    pub offset: Option<Offset>,
    /// Counted from 1.
    pub attempt: u32,
    pub at: TimestampMs,
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub answer: Option<String>,
    pub took_ms: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Journal(VecDeque<Attempt>);

impl Journal {
    pub(crate) fn add(&mut self, attempt: Attempt, kept_max: usize) {
        self.0.push_front(attempt);
        self.0.truncate(kept_max);
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<Attempt> {
        self.0.iter().cloned().collect()
    }

    pub(crate) fn last_error(&self) -> Option<Attempt> {
        self.0.iter().find(|attempt| attempt.outcome != Outcome::Delivered).cloned()
    }
}
