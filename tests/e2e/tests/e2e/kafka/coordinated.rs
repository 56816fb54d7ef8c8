//! Groups whose partitions the coordinator gives out (KIP-848), message by message; real clients
//! are in `tests/interop`.

use super::Stand;
use super::client::{Kafka, batch};
use kafka::messages::Api;
use kafka::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use kafka::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
};
use kafka::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitionsAsked,
};
use kafka::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use kafka::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use kafka::messages::metadata::{MetadataRequest, MetadataResponse};
use kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use kafka::wire::Uuid;

const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
const UNKNOWN_MEMBER_ID: i16 = 25;
const GROUP_AUTHORIZATION_FAILED: i16 = 30;
const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;
const GROUP_ID_NOT_FOUND: i16 = 69;
const UNSUPPORTED_ASSIGNOR: i16 = 112;
const STALE_MEMBER_EPOCH: i16 = 113;
const INVALID_REGULAR_EXPRESSION: i16 = 128;

type Told = ConsumerGroupHeartbeatResponse;

fn joining(member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        rebalance_timeout_ms: 20_000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn beating(member: &str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        member_epoch,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

async fn beat(client: &mut Kafka, request: ConsumerGroupHeartbeatRequest) -> Told {
    client.call(Api::ConsumerGroupHeartbeat, 1, &request).await
}

/// The partitions that a member was given, if it was told any.
fn given(told: &Told) -> Option<Vec<i32>> {
    assert_eq!(told.error_code, 0, "{told:?}");
    let topics = &told.assignment.as_ref()?.topic_partitions;
    Some(topics.iter().flat_map(|topic| topic.partitions.clone()).collect())
}

async fn number(client: &mut Kafka) -> Uuid {
    let told: MetadataResponse = client.call(Api::Metadata, 12, &MetadataRequest::default()).await;
    let topic = told.topics.iter().find(|topic| topic.name.as_deref() == Some("t"));
    topic.expect("the topic").topic_id
}

async fn commit(client: &mut Kafka, version: i16, member: &str, epoch: i32) -> i16 {
    let request = OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: epoch,
        member_id: member.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: 1,
                ..Default::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let told: OffsetCommitResponse = client.call(Api::OffsetCommit, version, &request).await;
    told.topics[0].partitions[0].error_code
}

/// Asks for all that the group has committed; answers an error and an offset.
async fn committed(client: &mut Kafka, member: &str, member_epoch: i32) -> (i16, i64) {
    let group = OffsetFetchRequestGroup {
        group_id: "g".to_owned(),
        member_id: Some(member.to_owned()),
        member_epoch,
        topics: None,
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    let told: OffsetFetchResponse = client.call(Api::OffsetFetch, 9, &request).await;
    let group = &told.groups[0];
    let found = group.topics.first().map(|topic| topic.partitions[0].committed_offset);
    (group.error_code, found.unwrap_or(-1))
}

async fn described(client: &mut Kafka) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec!["g".to_owned()],
        ..ConsumerGroupDescribeRequest::default()
    };
    let told: ConsumerGroupDescribeResponse =
        client.call(Api::ConsumerGroupDescribe, 1, &request).await;
    told.groups.into_iter().next().expect("an answer")
}

#[tokio::test]
async fn partitions_go_from_one_member_to_another_when_they_are_given_up() {
    let stand = Stand::new().await;
    stand.topic("t", 4).await;
    let mut client = stand.client().await;
    client.produce("t", 0, batch(&[("k", "a")], 1_700_000_000_000, None)).await;
    let topic_id = number(&mut client).await;
    let first = beat(&mut client, joining("a")).await;
    assert_eq!((first.member_epoch, given(&first)), (1, Some(vec![0, 1, 2, 3])));
    assert!(first.heartbeat_interval_ms > 0);
    let second = beat(&mut client, joining("b")).await;
    assert_eq!((second.member_epoch, given(&second)), (2, Some(vec![])));
    let less = beat(&mut client, beating("a", 1)).await;
    assert_eq!((less.member_epoch, given(&less)), (1, Some(vec![0, 1])));
    assert_eq!(described(&mut client).await.group_state, "Reconciling");
    let owned = vec![TopicPartitionsAsked { topic_id, partitions: vec![0, 1] }];
    let done = ConsumerGroupHeartbeatRequest { topic_partitions: Some(owned), ..beating("a", 1) };
    assert_eq!(beat(&mut client, done).await.member_epoch, 2);
    assert_eq!(given(&beat(&mut client, beating("b", 2)).await), Some(vec![2, 3]));
    let group = described(&mut client).await;
    assert_eq!((&*group.group_state, &*group.assignor_name), ("Stable", "uniform"));
    assert_eq!((group.group_epoch, group.assignment_epoch), (2, 2));
    let member = &group.members[1];
    assert_eq!((&*member.member_id, member.member_epoch), ("b", 2));
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");
    // Who is in its epoch commits; whoever is not, or does not know of epochs, does not.
    assert_eq!(commit(&mut client, 9, "a", 2).await, 0);
    assert_eq!(commit(&mut client, 9, "a", 1).await, STALE_MEMBER_EPOCH);
    assert_eq!(commit(&mut client, 8, "a", 2).await, UNSUPPORTED_VERSION);
    assert_eq!(commit(&mut client, 9, "nobody", 2).await, UNKNOWN_MEMBER_ID);
    assert_eq!(commit(&mut client, 9, "", -1).await, UNKNOWN_MEMBER_ID, "it has members");
    assert_eq!(committed(&mut client, "b", 2).await, (0, 1));
    assert_eq!(committed(&mut client, "b", 1).await.0, STALE_MEMBER_EPOCH);
    // One goes, and the other has all at its next heartbeat.
    assert_eq!(beat(&mut client, beating("a", -1)).await.member_epoch, -1);
    let all = beat(&mut client, beating("b", 2)).await;
    assert_eq!((all.member_epoch, given(&all)), (3, Some(vec![0, 1, 2, 3])));
}

#[tokio::test]
async fn a_group_is_of_one_kind_while_it_has_members() {
    let mut stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let versions = ApiVersionsRequest::default();
    let told: ApiVersionsResponse = client.call(Api::ApiVersions, 3, &versions).await;
    let feature = &told.finalized_features[0];
    assert_eq!((&*feature.name, feature.max_version_level), ("group.version", 1));
    beat(&mut client, joining("a")).await;
    let classic = JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            ..Default::default()
        }],
        ..JoinGroupRequest::default()
    };
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 3, &classic).await;
    assert_eq!(told.error_code, INCONSISTENT_GROUP_PROTOCOL);
    let all = ListGroupsRequest::default();
    let listed: ListGroupsResponse = client.call(Api::ListGroups, 5, &all).await;
    let group = &listed.groups[0];
    assert_eq!((&*group.group_type, &*group.group_state), ("consumer", "Stable"));
    let names =
        DescribeGroupsRequest { groups: vec!["g".to_owned()], ..DescribeGroupsRequest::default() };
    let told: DescribeGroupsResponse = client.call(Api::DescribeGroups, 6, &names).await;
    assert_eq!(told.groups[0].error_code, GROUP_ID_NOT_FOUND, "tools ask the other way");
    assert_eq!(commit(&mut client, 9, "a", 1).await, 0);
    beat(&mut client, beating("a", -1)).await;
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 3, &classic).await;
    assert_eq!(told.error_code, 0, "without members it becomes of the other kind");
    assert_eq!(beat(&mut client, joining("b")).await.error_code, GROUP_ID_NOT_FOUND);
    let group = described(&mut client).await;
    assert_eq!((group.error_code, &*group.group_state), (GROUP_ID_NOT_FOUND, "Dead"));
    // What was committed stays, over a kill too; members join anew.
    stand.server.kill();
    stand.server = stand.home.start();
    let mut client = stand.client().await;
    assert_eq!(beat(&mut client, beating("b", 3)).await.error_code, UNKNOWN_MEMBER_ID);
    assert_eq!(beat(&mut client, joining("b")).await.error_code, 0);
    assert_eq!(committed(&mut client, "b", 1).await, (0, 1));
}

#[tokio::test]
async fn subscriptions_follow_topics_names_and_rights() {
    let stand = Stand::new().await;
    for (name, partitions) in [("t", 1), ("metrics-a", 1), ("metrics-b", 1), ("other", 1)] {
        stand.topic(name, partitions).await;
    }
    let mut client = stand.client().await;
    let regex = |text: &str| ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(text.to_owned()),
        ..joining("a")
    };
    for bad in ["metrics-(", &"a{1000}".repeat(100), &"x".repeat(2_000)] {
        let told = beat(&mut client, regex(bad)).await;
        assert_eq!(told.error_code, INVALID_REGULAR_EXPRESSION, "{bad}");
    }
    let told = beat(&mut client, regex("metrics-.")).await;
    let topics = told.assignment.expect("told").topic_partitions;
    assert_eq!(topics.len(), 2, "whole names: {topics:?}");
    // A topic that is not there yet.
    let early = ConsumerGroupHeartbeatRequest {
        group_id: "early".to_owned(),
        subscribed_topic_names: Some(vec!["later".to_owned()]),
        ..joining("a")
    };
    assert_eq!(given(&beat(&mut client, early.clone()).await), Some(vec![]));
    stand.topic("later", 2).await;
    assert_eq!(given(&beat(&mut client, early).await), Some(vec![0, 1]));
    let strange = ConsumerGroupHeartbeatRequest {
        server_assignor: Some("sticky".to_owned()),
        ..joining("a")
    };
    assert_eq!(beat(&mut client, strange).await.error_code, UNSUPPORTED_ASSIGNOR);
    let wordless = ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..joining("a") };
    for bad in [joining(""), wordless, beating("a", -3), beating("a", -2)] {
        assert_eq!(beat(&mut client, bad).await.error_code, INVALID_REQUEST);
    }
    let key = stand.server.admin().key(&stand.room, &["events:publish"]).await;
    let mut writer = Kafka::signed_in(&stand.server.kafka, &key).await;
    assert_eq!(beat(&mut writer, joining("w")).await.error_code, GROUP_AUTHORIZATION_FAILED);
}
