//! Making and deleting topics.

use crate::apis::{configs, settings};
use crate::call::{Call, parse_topic, topic_uuid};
use crate::errors;
use crate::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use crate::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::Uuid;
use port::{Code, Refusal};
use types::{TopicConfig, TopicName};

/// Why a topic was not made.
struct Fault {
    error: i16,
    message: String,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault { error: errors::of_admin(&refusal), message: refusal.to_string() }
    }
}

fn fault(error: i16, message: impl Into<String>) -> Fault {
    Fault { error, message: message.into() }
}

pub async fn create(call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let is_twice = request.topics.iter().filter(|other| other.name == asked.name).count() > 1;
        let made = match is_twice {
            true => Err(fault(errors::INVALID_REQUEST, "the topic is asked for twice")),
            false => create_one(call, asked, request.validate_only).await,
        };
        topics.push(made.unwrap_or_else(|Fault { error, message }| CreatableTopicResult {
            name: asked.name.clone(),
            error_code: error,
            error_message: Some(message),
            ..CreatableTopicResult::default()
        }));
    }
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

async fn create_one(
    call: &Call,
    asked: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Fault> {
    let name = parse_topic(&asked.name)?;
    let config = wanted(asked, call.desk.config.topic_partitions)?;
    match call.hub.topic(&call.who, &name).await {
        Ok(_) => {
            let message = format!("there is a topic `{name}` already");
            return Err(fault(errors::TOPIC_ALREADY_EXISTS, message));
        }
        Err(refusal) if refusal.code() == Code::TopicNotFound => {}
        Err(refusal) => return Err(refusal.into()),
    }
    let mut told = CreatableTopicResult {
        name: asked.name.clone(),
        num_partitions: i32::try_from(config.partitions).unwrap_or(i32::MAX),
        replication_factor: 1,
        configs: Some(settings_of(&config)),
        ..CreatableTopicResult::default()
    };
    if !validate_only {
        let (info, _) = call.hub.put_topic(&call.who, &name, config).await?;
        told.topic_id = topic_uuid(info.id);
    }
    Ok(told)
}

/// The configuration that is asked for, with so many partitions where nothing is said of them.
fn wanted(asked: &CreatableTopic, partitions: u32) -> Result<TopicConfig, Fault> {
    let mut config = TopicConfig { partitions, ..TopicConfig::default() };
    if !asked.assignments.is_empty() {
        let elsewhere = asked.assignments.iter().any(|it| it.broker_ids != [crate::call::NODE_ID]);
        if elsewhere {
            let message = "there is one broker, and its number is 1";
            return Err(fault(errors::INVALID_REPLICATION_FACTOR, message));
        }
        config.partitions = u32::try_from(asked.assignments.len()).unwrap_or(u32::MAX);
    } else if asked.num_partitions != -1 {
        config.partitions = u32::try_from(asked.num_partitions)
            .map_err(|_| fault(errors::INVALID_PARTITIONS, "a topic has at least one partition"))?;
    }
    if config.partitions == 0 {
        return Err(fault(errors::INVALID_PARTITIONS, "a topic has at least one partition"));
    }
    if !matches!(asked.replication_factor, -1 | 1) {
        let message = "there is one broker: the replication factor is 1, or -1 for the default";
        return Err(fault(errors::INVALID_REPLICATION_FACTOR, message));
    }
    for given in &asked.configs {
        settings::change(&mut config, &given.name, given.value.as_deref())
            .map_err(|why| fault(errors::INVALID_CONFIG, why))?;
    }
    Ok(config)
}

fn settings_of(config: &TopicConfig) -> Vec<CreatableTopicConfigs> {
    let all = settings::SETTINGS.iter().map(|setting| CreatableTopicConfigs {
        name: setting.name.to_owned(),
        value: Some((setting.get)(config)),
        read_only: setting.set.is_none(),
        config_source: configs::source(config, setting),
        is_sensitive: false,
    });
    all.collect()
}

pub async fn delete(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let named = request.topic_names.into_iter().map(|name| (Some(name), Uuid::default()));
    let states = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let mut responses = Vec::new();
    for (name, topic_id) in named.chain(states) {
        let found: Result<TopicName, Refusal> =
            call.topic(name.as_deref().unwrap_or_default(), topic_id);
        let outcome = match &found {
            Ok(found) => call.hub.delete_topic(&call.who, found).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let (error_code, error_message) = match outcome {
            Ok(()) => (errors::NONE, None),
            Err(refusal) => {
                let error = match errors::of_admin(&refusal) {
                    errors::UNKNOWN_TOPIC_OR_PARTITION if topic_id != Uuid::default() => {
                        errors::UNKNOWN_TOPIC_ID
                    }
                    other => other,
                };
                (error, Some(refusal.to_string()))
            }
        };
        responses.push(DeletableTopicResult {
            name: found.map_or(name, |found| Some(found.as_str().to_owned())),
            topic_id,
            error_code,
            error_message,
        });
    }
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}
