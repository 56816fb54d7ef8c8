//! Which topics there are, and who serves them: this broker, all of them.

use crate::apis::permitted;
use crate::call::{Call, LEADER_EPOCH, NODE_ID, parse_topic, topic_uuid};
use crate::errors;
use crate::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::Uuid;
use port::{Refusal, TopicInfo};

/// Topics asked of the hub at once.
const TOPICS_AT_ONCE: usize = 500;
/// Since this version an empty list asks for no topic, and an absent one for all.
const EMPTY_IS_NONE: i16 = 1;

pub async fn answer(call: &Call, request: MetadataRequest) -> MetadataResponse {
    let mut answer = MetadataResponse {
        brokers: vec![broker(call)],
        cluster_id: Some(call.who.project().to_string()),
        controller_id: NODE_ID,
        ..MetadataResponse::default()
    };
    if request.include_cluster_authorized_operations {
        answer.cluster_authorized_operations = permitted::on_cluster(call);
    }
    let asked = request.topics.filter(|asked| call.version >= EMPTY_IS_NONE || !asked.is_empty());
    match asked {
        None => match all(call).await {
            Ok(topics) => answer.topics = topics.iter().map(present).collect(),
            // There is no place for an error of the whole; nobody sees a topic he may not see.
            Err(refusal) => tracing::debug!(%refusal, "a Kafka client may not list topics"),
        },
        Some(asked) => {
            for topic in asked {
                answer.topics.push(one(call, topic, request.allow_auto_topic_creation).await);
            }
        }
    }
    if request.include_topic_authorized_operations {
        for topic in answer.topics.iter_mut().filter(|topic| topic.error_code == errors::NONE) {
            let name = topic.name.as_deref().unwrap_or_default();
            if let Ok(name) = parse_topic(name) {
                topic.topic_authorized_operations = permitted::on_topic(call, &name);
            }
        }
    }
    answer
}

pub fn broker(call: &Call) -> MetadataResponseBroker {
    let (host, port) = (call.advertised.host.clone(), i32::from(call.advertised.port));
    MetadataResponseBroker { node_id: NODE_ID, host, port, rack: None }
}

pub async fn all(call: &Call) -> Result<Vec<TopicInfo>, Refusal> {
    let mut found: Vec<TopicInfo> = Vec::new();
    loop {
        let after = found.last().map(|topic| topic.name.clone());
        let more = call.hub.topics(&call.who, after, TOPICS_AT_ONCE).await?;
        let is_last = more.len() < TOPICS_AT_ONCE;
        found.extend(more);
        if is_last {
            return Ok(found);
        }
    }
}

async fn one(call: &Call, asked: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    match look_up(call, &asked, may_create).await {
        Ok(topic) => present(&topic),
        Err(refusal) => {
            let is_numbered = asked.topic_id != Uuid::default();
            let error_code = match errors::of_topic(&refusal) {
                errors::UNKNOWN_TOPIC_OR_PARTITION if is_numbered => errors::UNKNOWN_TOPIC_ID,
                other => other,
            };
            MetadataResponseTopic {
                error_code,
                // Before topics had numbers the name had to be there.
                name: asked.name.or_else(|| (call.version < 12).then(String::new)),
                topic_id: asked.topic_id,
                ..MetadataResponseTopic::default()
            }
        }
    }
}

async fn look_up(
    call: &Call,
    asked: &MetadataRequestTopic,
    may_create: bool,
) -> Result<TopicInfo, Refusal> {
    let name = call.topic(asked.name.as_deref().unwrap_or_default(), asked.topic_id)?;
    if may_create {
        let partitions = call.desk.config.topic_partitions;
        return call.batches()?.topic_on_use(&call.who, &name, partitions).await;
    }
    call.hub.topic(&call.who, &name).await
}

fn present(topic: &TopicInfo) -> MetadataResponseTopic {
    let partitions = (0..topic.partitions.len()).map(|index| MetadataResponsePartition {
        error_code: errors::NONE,
        partition_index: i32::try_from(index).unwrap_or(i32::MAX),
        leader_id: NODE_ID,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        offline_replicas: Vec::new(),
    });
    MetadataResponseTopic {
        error_code: errors::NONE,
        name: Some(topic.name.as_str().to_owned()),
        topic_id: topic_uuid(topic.id),
        is_internal: topic.name.is_internal(),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}
