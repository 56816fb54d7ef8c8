//! Where partitions begin and end, and what lies at a time.

use super::Admin;
use crate::cluster::retrying;
use crate::{Error, Result};
use std::collections::BTreeMap;
use wire_kafka::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

const READ_COMMITTED: i8 = 1;

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Earliest,
    /// Behind the last record that counts: no transaction that is open lies before it.
    Latest,
    /// The first record of this time or later, in milliseconds since 1970.
    Time(i64),
}

impl At {
    fn code(self) -> i64 {
        match self {
            At::Earliest => -2,
            At::Latest => -1,
            At::Time(ms) => ms,
        }
    }
}

impl Admin {
    /// The offset at a place of a partition; `None` when no record is of that time or later.
    ///
    /// # Errors
    /// When there is no such partition, or we may not see it.
    pub async fn offset(&self, topic: &str, partition: i32, at: At) -> Result<Option<i64>> {
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: READ_COMMITTED,
            topics: vec![ListOffsetsTopic {
                name: topic.to_owned(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition,
                    timestamp: at.code(),
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        retrying!(&self.cluster, {
            let leader = self.cluster.leader(topic, partition).await?;
            let told = self.cluster.node(leader).await?.ask(&request).await?;
            let told = told.topics.into_iter().flat_map(|topic| topic.partitions).next();
            let told = told.ok_or_else(|| Error::Malformed("no answer for a topic".into()))?;
            Error::of(told.error_code, None)?;
            Ok(Some(told.offset).filter(|&offset| offset >= 0))
        })
    }

    /// The same for every partition of a topic.
    ///
    /// # Errors
    /// As `offset`.
    pub async fn offsets(&self, topic: &str, at: At) -> Result<BTreeMap<i32, i64>> {
        let known = self.cluster.topic(topic).await?;
        let mut found = BTreeMap::new();
        for partition in known.partitions {
            if let Some(offset) = self.offset(topic, partition.index, at).await? {
                found.insert(partition.index, offset);
            }
        }
        Ok(found)
    }
}
