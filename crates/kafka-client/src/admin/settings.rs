//! Settings of topics: asked for and changed.

use super::Admin;
use crate::cluster::retrying;
use crate::{Error, Result};
use wire_kafka::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use wire_kafka::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

const TOPIC: i8 = 2;
/// Where a value comes from: the topic's own.
const FROM_TOPIC: i8 = 1;
const SET: i8 = 0;
const DELETE: i8 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    /// `None` where it is a secret.
    pub value: Option<String>,
    /// Set for this topic, not a default of the broker.
    pub is_own: bool,
    pub is_read_only: bool,
}

impl Admin {
    /// A topic's settings with their values in force, in the order of their names.
    ///
    /// # Errors
    /// When there is no such topic, or we may not see it.
    pub async fn settings(&self, topic: &str) -> Result<Vec<Setting>> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC,
                resource_name: topic.to_owned(),
                configuration_keys: None,
            }],
            ..DescribeConfigsRequest::default()
        };
        retrying!(&self.cluster, {
            let told = self.cluster.any().await?.ask(&request).await?;
            let told = told.results.into_iter().next();
            let told = told.ok_or_else(|| Error::Malformed("no answer for a topic".into()))?;
            Error::of(told.error_code, told.error_message)?;
            let mut settings: Vec<Setting> = told
                .configs
                .into_iter()
                .map(|it| Setting {
                    name: it.name,
                    value: it.value,
                    is_own: it.config_source == FROM_TOPIC,
                    is_read_only: it.read_only,
                })
                .collect();
            settings.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(settings)
        })
    }

    /// Changes settings of a topic; `None` sets one back to its default. Others stay.
    ///
    /// # Errors
    /// `INVALID_CONFIG` with the reason, or what else the broker has against it.
    pub async fn change_settings(
        &self,
        topic: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<()> {
        let configs = changes.iter().map(|(name, value)| AlterableConfig {
            name: name.clone(),
            config_operation: if value.is_some() { SET } else { DELETE },
            value: value.clone(),
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: TOPIC,
                resource_name: topic.to_owned(),
                configs: configs.collect(),
            }],
            validate_only: false,
        };
        retrying!(&self.cluster, {
            let told = self.cluster.controller().await?.ask(&request).await?;
            let told = told.responses.into_iter().next();
            let told = told.ok_or_else(|| Error::Malformed("no answer for a topic".into()))?;
            Error::of(told.error_code, told.error_message)
        })
    }
}
