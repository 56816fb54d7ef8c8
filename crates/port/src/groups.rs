//! Groups of readers that an adapter coordinates by its protocol's own rules, as administrators see
//! and change them. An adapter that has such groups offers them with its mounts; the admin API asks
//! here, as somebody inside one project, and never learns of another's.

use crate::hub::Answer;
use crate::{Hub, Identity};
use serde::Serialize;
use std::sync::Arc;
use stdx::Clock;
use types::consumer::Start;
use types::{Offset, Partition, ProjectId, TimestampMs, TopicName};

/// Who asks, and of whom: the adapter has no hub of its own.
#[derive(Clone)]
pub struct GroupCaller {
    pub hub: Arc<dyn Hub>,
    pub who: Identity,
    /// That of the connections, whose members' silence is measured by it.
    pub clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupSummary {
    pub name: String,
    /// By the adapter's words, as are the next two.
    pub kind: &'static str,
    pub state: &'static str,
    /// How partitions are given out; empty while nobody is in it.
    pub assignor: String,
    pub members: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    pub summary: GroupSummary,
    pub members: Vec<GroupMember>,
    /// Those with a member or a committed offset, in the order of topics and partitions.
    pub partitions: Vec<GroupPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    pub id: String,
    /// Its lasting name, when it has one.
    pub instance: Option<String>,
    pub client: String,
    pub address: String,
    pub partitions: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPartition {
    pub topic: TopicName,
    pub partition: Partition,
    /// The next offset that the group reads; `None`: it has committed nothing.
    pub committed: Option<Offset>,
    pub committed_at: Option<TimestampMs>,
    pub start: Offset,
    pub end: Offset,
    /// The id of who reads it now.
    pub member: Option<String>,
}

impl GroupPartition {
    /// Records that are kept and that the group has not read; `None` before its first commit.
    pub fn lag(&self) -> Option<u64> {
        self.committed.map(|committed| self.end.saturating_sub(committed.max(self.start)))
    }
}

/// Where a group is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReset {
    /// Absent: every partition it has committed something of.
    pub topic: Option<TopicName>,
    /// Of the topic; empty: all.
    pub partitions: Vec<Partition>,
    /// An offset outside of what is kept is taken for the nearest that is; a time behind the last
    /// record for the end.
    pub to: Start,
}

/// Whether something is done or only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    ForReal,
    Try,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMove {
    pub topic: TopicName,
    pub partition: Partition,
    pub from: Option<Offset>,
    pub to: Offset,
}

/// What of a group's lag is told by topic, for figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    pub group: String,
    pub topic: TopicName,
    pub lag: u64,
}

pub trait Groups: Send + Sync {
    /// In the order of their names, after `after`.
    fn list<'a>(
        &'a self,
        caller: &'a GroupCaller,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<GroupSummary>>;

    /// `NotFound` when the project has no such group.
    fn get<'a>(&'a self, caller: &'a GroupCaller, name: &'a str) -> Answer<'a, GroupState>;

    /// Forgets the group and what it has committed. `Conflict` while it has members.
    fn delete<'a>(&'a self, caller: &'a GroupCaller, name: &'a str) -> Answer<'a, ()>;

    /// Puts the group elsewhere, or says where that would be. `Conflict` while it has members.
    fn reset<'a>(
        &'a self,
        caller: &'a GroupCaller,
        name: &'a str,
        reset: &'a GroupReset,
        doing: Doing,
    ) -> Answer<'a, Vec<GroupMove>>;

    /// Projects whose groups somebody has asked for since the start.
    fn projects(&self) -> Vec<ProjectId>;

    /// What the project's groups have still to read, at most `limit` of them.
    fn lags<'a>(&'a self, caller: &'a GroupCaller, limit: usize) -> Answer<'a, Vec<GroupLag>>;
}
