//! Groups of consumers, and what they have committed.

use super::Admin;
use crate::cluster::{Coordinates, retrying};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use wire_kafka::messages::list_groups::ListGroupsRequest;
use wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use wire_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub name: String,
    /// `consumer` is what Kafka's consumers are, of either kind of group.
    pub protocol_type: String,
    /// Empty where the broker does not say it.
    pub state: String,
}

/// What a group has committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

/// By topic and partition.
pub type Offsets = BTreeMap<(String, i32), Committed>;

impl Admin {
    /// The groups of all brokers.
    ///
    /// # Errors
    /// When a broker does not answer, or we may not ask.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        let metadata = retrying!(&self.cluster, self.cluster.refresh(&[]).await)?;
        let mut groups = BTreeSet::new();
        for &number in metadata.brokers.keys() {
            let told = retrying!(&self.cluster, {
                let connection = self.cluster.node(number).await?;
                let told = connection.ask(&ListGroupsRequest::default()).await?;
                Error::of(told.error_code, None).map(|()| told)
            })?;
            groups.extend(told.groups.into_iter().map(|it| Group {
                name: it.group_id,
                protocol_type: it.protocol_type,
                state: it.group_state,
            }));
        }
        Ok(groups.into_iter().collect())
    }

    /// All that a group has committed.
    ///
    /// # Errors
    /// When its coordinator does not answer, or we may not ask.
    pub async fn committed(&self, group: &str) -> Result<Offsets> {
        let request = fetch_request(group, None);
        let key = (Coordinates::Group, group);
        let judge = |told: &OffsetFetchResponse| judge_fetch(told);
        let told = self.cluster.ask_coordinator(key, (i16::MAX, &request), judge).await?;
        read_offsets(told)
    }

    /// Commits for a group without members; others refuse who is not one of them.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID` while the group has members, or what else the broker has against it.
    pub async fn commit(&self, group: &str, offsets: &Offsets) -> Result<()> {
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            topics: commit_topics(offsets),
            ..OffsetCommitRequest::default()
        };
        let key = (Coordinates::Group, group);
        let told = self.cluster.ask_coordinator(key, (i16::MAX, &request), judge_commit).await;
        told.map(|_| ())
    }
}

/// `member`: who asks as one of the group, and in which epoch.
pub(crate) fn fetch_request(group: &str, member: Option<(&str, i32)>) -> OffsetFetchRequest {
    OffsetFetchRequest {
        group_id: group.to_owned(),
        topics: None,
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            member_id: member.map(|(id, _)| id.to_owned()),
            member_epoch: member.map_or(-1, |(_, epoch)| epoch),
            topics: None,
        }],
        require_stable: true,
    }
}

pub(crate) fn judge_fetch(told: &OffsetFetchResponse) -> Result<()> {
    Error::of(told.error_code, None)?;
    let of_topics = told.topics.iter().flat_map(|it| &it.partitions).map(|it| it.error_code);
    let of_groups = told.groups.iter().flat_map(|group| {
        let parts = group.topics.iter().flat_map(|it| &it.partitions).map(|it| it.error_code);
        [group.error_code].into_iter().chain(parts)
    });
    of_topics.chain(of_groups).try_for_each(|code| Error::of(code, None))
}

/// Of either form of the answer; partitions without an offset are left out.
pub(crate) fn read_offsets(told: OffsetFetchResponse) -> Result<Offsets> {
    let mut offsets = Offsets::new();
    for topic in told.topics {
        for it in topic.partitions {
            let metadata = it.metadata.unwrap_or_default();
            let (offset, leader_epoch) = (it.committed_offset, it.committed_leader_epoch);
            let committed = Committed { offset, leader_epoch, metadata };
            offsets.insert((topic.name.clone(), it.partition_index), committed);
        }
    }
    for topic in told.groups.into_iter().flat_map(|group| group.topics) {
        for it in topic.partitions {
            let metadata = it.metadata.unwrap_or_default();
            let (offset, leader_epoch) = (it.committed_offset, it.committed_leader_epoch);
            let committed = Committed { offset, leader_epoch, metadata };
            offsets.insert((topic.name.clone(), it.partition_index), committed);
        }
    }
    offsets.retain(|_, committed| committed.offset >= 0);
    Ok(offsets)
}

pub(crate) fn commit_topics(offsets: &Offsets) -> Vec<OffsetCommitRequestTopic> {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for ((topic, partition), committed) in offsets {
        let part = OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            committed_metadata: Some(committed.metadata.clone()),
        };
        match topics.last_mut().filter(|last| last.name == *topic) {
            Some(last) => last.partitions.push(part),
            None => topics.push(OffsetCommitRequestTopic {
                name: topic.clone(),
                partitions: vec![part],
                ..OffsetCommitRequestTopic::default()
            }),
        }
    }
    topics
}

pub(crate) fn judge_commit(told: &OffsetCommitResponse) -> Result<()> {
    let mut parts = told.topics.iter().flat_map(|topic| &topic.partitions);
    parts.try_for_each(|part| Error::of(part.error_code, None))
}
