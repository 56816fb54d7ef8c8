//! What clients do and the protocol's guide does not say, as librdkafka's own tests showed it
//! (`tests/interop/kafka`), and what they ask for rarely.

use super::Stand;
use super::client::{Kafka, form};
use bytes::{Buf, BufMut, BytesMut};
use kafka::messages::Api;
use kafka::messages::create_topics::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
use kafka::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use kafka::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use kafka::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use kafka::wire::{Input, Wire};
use serde_json::json;

const METADATA: i16 = 12;
const UNASKED: i32 = i32::MIN;
/// Numbers of Kafka's operations (`AclOperation`).
const READ: i32 = 3;
const WRITE: i32 = 4;
const CREATE: i32 = 5;
const DELETE: i32 = 6;
const ALTER: i32 = 7;
const DESCRIBE: i32 = 8;
const DESCRIBE_CONFIGS: i32 = 10;
const ALTER_CONFIGS: i32 = 11;
const IDEMPOTENT_WRITE: i32 = 12;
/// A group as something that has settings (`ConfigResource.Type`).
const GROUP: i8 = 32;

fn bits(operations: &[i32]) -> i32 {
    operations.iter().fold(0, |bits, operation| bits | 1 << operation)
}

async fn metadata(client: &mut Kafka, topic: &str, asks_rights: bool) -> MetadataResponse {
    let name = Some(topic.to_owned());
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name, ..MetadataRequestTopic::default() }]),
        include_topic_authorized_operations: asks_rights,
        ..MetadataRequest::default()
    };
    client.call(Api::Metadata, METADATA, &request).await
}

/// librdkafka keeps four bytes for the number of topics, of which "all" takes one, and leaves the
/// other three where they are. Kafka does not look behind a request; nor at how long a client's
/// name is.
#[tokio::test]
async fn what_stands_behind_a_request_is_passed_over() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let mut frame = BytesMut::new();
    frame.put_i16(Api::Metadata.key());
    frame.put_i16(METADATA);
    frame.put_i32(77);
    frame.put_i16(300);
    frame.put_bytes(b'c', 300);
    frame.put_u8(0);
    frame.put_slice(&[0, 0, 0, 0, 1, 0, 0]);
    client.send(&frame).await;
    let mut answer = client.frame().await.expect("an answer");
    assert_eq!((answer.get_i32(), answer.get_u8()), (77, 0));
    let told = MetadataResponse::read(&mut Input::new(answer), form(Api::Metadata, METADATA));
    let told = told.expect("metadata");
    let names: Vec<&str> = told.topics.iter().filter_map(|topic| topic.name.as_deref()).collect();
    assert!(names.contains(&"t"), "{names:?}");
    // Beyond a bound it is no name any more.
    let mut frame = BytesMut::new();
    frame.put_i16(Api::Metadata.key());
    frame.put_i16(METADATA);
    frame.put_i32(78);
    frame.put_i16(4_097);
    frame.put_bytes(b'c', 4_097);
    frame.put_slice(&[0, 0, 1, 0, 0]);
    client.send(&frame).await;
    assert_eq!(client.frame().await, None, "the connection ends");
}

#[tokio::test]
async fn topics_have_as_many_partitions_as_the_operator_says_where_clients_say_nothing() {
    let stand = Stand::with(json!({ "topic_partitions": 4 })).await;
    let mut client = stand.client().await;
    let told = metadata(&mut client, "made-by-use", false).await;
    assert_eq!(told.topics[0].partitions.len(), 4);
    assert_eq!(told.topics[0].topic_authorized_operations, UNASKED);
    let of = |name: &str, num_partitions| CreatableTopic {
        name: name.to_owned(),
        num_partitions,
        replication_factor: -1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![of("asked-for", -1), of("said", 2)],
        ..CreateTopicsRequest::default()
    };
    let told: CreateTopicsResponse = client.call(Api::CreateTopics, 7, &request).await;
    let made: Vec<(i16, i32)> =
        told.topics.iter().map(|topic| (topic.error_code, topic.num_partitions)).collect();
    assert_eq!(made, [(0, 4), (0, 2)]);
    assert_eq!(metadata(&mut client, "asked-for", false).await.topics[0].partitions.len(), 4);
}

/// KIP-430.
#[tokio::test]
async fn what_one_may_do_is_told_where_it_is_asked_for() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut owner = stand.client().await;
    let writer = stand.server.admin().key(&stand.room, &["events:publish"]).await;
    let mut writer = Kafka::signed_in(&stand.server.kafka, &writer).await;
    let all = [READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS];
    let seen = [DESCRIBE, DESCRIBE_CONFIGS];
    let cases = [
        (&mut owner, bits(&all), bits(&[DESCRIBE, IDEMPOTENT_WRITE, CREATE, DESCRIBE_CONFIGS])),
        (&mut writer, bits(&seen) | bits(&[WRITE]), bits(&[DESCRIBE, IDEMPOTENT_WRITE])),
    ];
    for (client, on_topic, on_cluster) in cases {
        let told = metadata(client, "t", true).await;
        assert_eq!(told.topics[0].topic_authorized_operations, on_topic);
        let told: DescribeTopicPartitionsResponse = client
            .call(Api::DescribeTopicPartitions, 0, &DescribeTopicPartitionsRequest::default())
            .await;
        assert!(told.topics.iter().all(|topic| topic.topic_authorized_operations == on_topic));
        for (asks, expected) in [(true, on_cluster), (false, UNASKED)] {
            let request = DescribeClusterRequest {
                include_cluster_authorized_operations: asks,
                endpoint_type: 1,
                ..DescribeClusterRequest::default()
            };
            let told: DescribeClusterResponse =
                client.call(Api::DescribeCluster, 1, &request).await;
            assert_eq!(told.cluster_authorized_operations, expected);
        }
    }
}

#[tokio::test]
async fn a_group_has_the_settings_that_the_server_gives_all() {
    let settings = json!({ "consumer_session_ms": 30_000, "consumer_heartbeat_ms": 3_000 });
    let stand = Stand::with(settings).await;
    let mut client = stand.client().await;
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: GROUP,
            resource_name: "not-there-yet".to_owned(),
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let told: DescribeConfigsResponse = client.call(Api::DescribeConfigs, 4, &request).await;
    let result = &told.results[0];
    assert_eq!(result.error_code, 0);
    let rows: Vec<(&str, Option<&str>)> =
        result.configs.iter().map(|row| (&*row.name, row.value.as_deref())).collect();
    let expected = [
        ("consumer.heartbeat.interval.ms", Some("3000")),
        ("consumer.session.timeout.ms", Some("30000")),
    ];
    assert_eq!(rows, expected);
}
