//! Who is in a group and reads what, and groups that are to be forgotten.

use super::Admin;
use crate::cluster::Coordinates;
use crate::{Error, Result};
use wire_kafka::assignments::{Assignment, PROTOCOL_TYPE, Parts, read};
use wire_kafka::errors as codes;
use wire_kafka::messages::consumer_group_describe::{
    self, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};
use wire_kafka::messages::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use wire_kafka::messages::describe_groups::{self, DescribeGroupsRequest, DescribeGroupsResponse};

/// How brokers of before KIP-1043 say that there is no such group.
const DEAD: &str = "Dead";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    Classic,
    /// Its coordinator gives partitions out (KIP-848).
    Consumer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    pub kind: GroupKind,
    pub state: String,
    /// Empty while nobody is in it.
    pub assignor: String,
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    /// Its lasting name, when it has one.
    pub instance: Option<String>,
    pub client: String,
    pub host: String,
    pub parts: Parts,
}

impl Admin {
    /// A group and its members; `None` when there is none of this name.
    ///
    /// # Errors
    /// When its coordinator does not answer, or we may not ask.
    pub async fn describe_group(&self, name: &str) -> Result<Option<Described>> {
        let key = (Coordinates::Group, name);
        let request = DescribeGroupsRequest { groups: vec![name.to_owned()], ..Default::default() };
        let told = self.cluster.ask_coordinator(key, (i16::MAX, &request), judge_classic).await?;
        let classic = told
            .groups
            .into_iter()
            .next()
            .filter(|it| it.error_code != codes::GROUP_ID_NOT_FOUND && it.group_state != DEAD);
        if let Some(group) = classic {
            return Ok(Some(Described::from(group)));
        }
        let request =
            ConsumerGroupDescribeRequest { group_ids: vec![name.to_owned()], ..Default::default() };
        match self.cluster.ask_coordinator(key, (i16::MAX, &request), judge_newer).await {
            Ok(told) => {
                let group = told.groups.into_iter().next();
                let group = group.filter(|it| it.error_code != codes::GROUP_ID_NOT_FOUND);
                Ok(group.map(Described::from))
            }
            // Brokers of before KIP-848 have no such groups.
            Err(Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets a group and what it has committed.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` while it has members, `GROUP_ID_NOT_FOUND`, or what else the broker has
    /// against it.
    pub async fn delete_group(&self, name: &str) -> Result<()> {
        let request = DeleteGroupsRequest { groups_names: vec![name.to_owned()] };
        let key = (Coordinates::Group, name);
        let told = self.cluster.ask_coordinator(key, (i16::MAX, &request), judge_delete).await;
        told.map(|_| ())
    }
}

fn unless_missing(code: i16) -> Result<()> {
    if code == codes::GROUP_ID_NOT_FOUND { Ok(()) } else { Error::of(code, None) }
}

fn judge_classic(told: &DescribeGroupsResponse) -> Result<()> {
    told.groups.iter().try_for_each(|group| unless_missing(group.error_code))
}

fn judge_newer(told: &ConsumerGroupDescribeResponse) -> Result<()> {
    told.groups.iter().try_for_each(|group| unless_missing(group.error_code))
}

fn judge_delete(told: &DeleteGroupsResponse) -> Result<()> {
    told.results.iter().try_for_each(|result| Error::of(result.error_code, None))
}

impl From<describe_groups::DescribedGroup> for Described {
    fn from(group: describe_groups::DescribedGroup) -> Described {
        let is_consumers = group.protocol_type == PROTOCOL_TYPE;
        let members = group.members.into_iter().map(|it| Member {
            id: it.member_id,
            instance: it.group_instance_id,
            client: it.client_id,
            host: it.client_host,
            // Groups of other things than consumers have words of their own.
            parts: match read::<Assignment>(&it.member_assignment) {
                Ok(assignment) if is_consumers => assignment.parts(),
                _ => Parts::new(),
            },
        });
        Described {
            name: group.group_id,
            kind: GroupKind::Classic,
            state: group.group_state,
            assignor: group.protocol_data,
            members: members.collect(),
        }
    }
}

impl From<consumer_group_describe::DescribedGroup> for Described {
    fn from(group: consumer_group_describe::DescribedGroup) -> Described {
        let members: Vec<Member> = group
            .members
            .into_iter()
            .map(|it| {
                let topics = it.assignment.topic_partitions;
                let parts = topics.iter().flat_map(|topic| {
                    topic.partitions.iter().map(|&index| (topic.topic_name.clone(), index))
                });
                Member {
                    id: it.member_id,
                    instance: it.instance_id,
                    client: it.client_id,
                    host: it.client_host,
                    parts: parts.collect(),
                }
            })
            .collect();
        Described {
            name: group.group_id,
            kind: GroupKind::Consumer,
            state: group.group_state,
            assignor: if members.is_empty() { String::new() } else { group.assignor_name },
            members,
        }
    }
}
