//! Topics: listed, made, deleted.

use super::{Admin, CHANGE_MS_MAX};
use crate::cluster::{Topic, retrying};
use crate::{Error, Result};
use std::collections::BTreeMap;
use wire_kafka::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use wire_kafka::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};

#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    /// -1 is the cluster's own.
    pub replication_factor: i16,
    pub settings: BTreeMap<String, String>,
}

impl NewTopic {
    pub fn new(name: &str, partitions: i32) -> NewTopic {
        let name = name.to_owned();
        NewTopic { name, partitions, replication_factor: -1, settings: BTreeMap::new() }
    }
}

impl Admin {
    /// All topics that we may see.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub async fn topics(&self) -> Result<Vec<Topic>> {
        let metadata = retrying!(&self.cluster, self.cluster.refresh_all().await)?;
        Ok(metadata.topics.values().cloned().collect())
    }

    /// # Errors
    /// `TOPIC_ALREADY_EXISTS`, or what else the broker has against it.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<()> {
        let configs = topic.settings.iter().map(|(name, value)| CreatableTopicConfig {
            name: name.clone(),
            value: Some(value.clone()),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone(),
                num_partitions: topic.partitions,
                replication_factor: topic.replication_factor,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: CHANGE_MS_MAX,
            validate_only: false,
        };
        retrying!(&self.cluster, {
            let told = self.cluster.controller().await?.ask(&request).await?;
            let told = told.topics.into_iter().next();
            let told = told.ok_or_else(|| Error::Malformed("no answer for a topic".into()))?;
            Error::of(told.error_code, told.error_message)
        })?;
        self.leaders(&topic.name).await
    }

    /// Waits until every partition of a topic that was just made is led.
    async fn leaders(&self, topic: &str) -> Result<()> {
        retrying!(&self.cluster, {
            let known = self.cluster.refresh(&[topic]).await?;
            let partitions = known.topics.get(topic).map(|it| it.partitions.as_slice());
            for partition in partitions.unwrap_or_default() {
                self.cluster.leader(topic, partition.index).await?;
            }
            self.cluster.leader(topic, 0).await.map(|_| ())
        })
    }

    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`, or what else the broker has against it.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.to_owned()),
                ..DeleteTopicState::default()
            }],
            topic_names: vec![name.to_owned()],
            timeout_ms: CHANGE_MS_MAX,
        };
        let told = self.cluster.controller().await?.ask(&request).await?;
        let told = told.responses.into_iter().next();
        let told = told.ok_or_else(|| Error::Malformed("no answer for a topic".into()))?;
        Error::of(told.error_code, told.error_message)?;
        self.cluster.refresh(&[name]).await.map(|_| ())
    }
}
