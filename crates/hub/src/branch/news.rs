//! What a node tells a branch, and what a branch reads of the node's log.

use super::Lost;
use port::Refusal;
use std::sync::Arc;
use std::time::Duration;
use types::batch::Batch;
use types::{
    Offset, Partition, Positions, ProjectId, Record, TenantId, TimestampMs, TopicConfig, TopicId,
    TopicName,
};

/// In the order in which it is told.
#[derive(Debug)]
pub enum News {
    /// New records of a joined topic.
    Published {
        topic: TopicId,
        partition: Partition,
        batch: Arc<Batch>,
        /// Since it was acknowledged.
        age: Duration,
    },
    /// Batches up to `next` were not kept for the branch: its followers read them from the log.
    Missed {
        topic: TopicId,
        partition: Partition,
        next: Offset,
    },
    /// The branch is told of this topic's records from now on.
    Joined(Box<Joined>),
    /// A joined topic's configuration is another one.
    Changed {
        topic: TopicId,
        config: TopicConfig,
    },
    /// A joined topic is new: followers of its whole project take it in.
    Created(TopicId),
    Ended(TopicId, Refusal),
    /// These subscriptions, by the numbers they were asked under, may not go on.
    Forbidden(Vec<u64>, Refusal),
    /// The answer to a `follow`, by the number it was asked under.
    Followed {
        call: u64,
        outcome: Result<Prepared, Refusal>,
    },
}

/// A topic that a branch is told of.
#[derive(Debug)]
pub struct Joined {
    pub id: TopicId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub name: TopicName,
    pub created_at: TimestampMs,
    pub config: TopicConfig,
    /// Per partition the first offset that the branch will be told of.
    pub next: Vec<Offset>,
}

/// A subscription that the node admitted.
#[derive(Debug)]
pub struct Prepared {
    /// What it covers; all joined.
    pub topics: Vec<TopicId>,
    /// Where it starts; a partition that is not named starts where its kind of start says.
    pub positions: Positions,
    /// History that its cursors stand in and that is gone.
    pub lost: Vec<Lost>,
}

/// The newest record of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub record: Record,
}

/// Why the log was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// The offset is not kept any more; the oldest that is.
    Gone {
        start: Offset,
    },
    Refused(Refusal),
}
