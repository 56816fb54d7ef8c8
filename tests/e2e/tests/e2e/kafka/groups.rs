//! Consumer groups, message by message; `tools` has them as clients use them.

use super::Stand;
use super::client::{Kafka, batch};
use kafka::messages::Api;
use kafka::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use kafka::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use reqwest::Method;
use serde_json::json;

const MEMBER_ID_REQUIRED: i16 = 79;
const UNKNOWN_MEMBER_ID: i16 = 25;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_TOPIC_ID: i16 = 100;
const GROUP_AUTHORIZATION_FAILED: i16 = 30;

fn joining(member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: "what I know".into(),
        }],
        ..JoinGroupRequest::default()
    }
}

/// Joins and takes everything; answers its name.
async fn alone(client: &mut Kafka) -> String {
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 5, &joining("")).await;
    assert_eq!(told.error_code, MEMBER_ID_REQUIRED, "gotcha 13");
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 5, &joining(&told.member_id)).await;
    assert_eq!((told.error_code, &told.leader), (0, &told.member_id));
    let request = SyncGroupRequest {
        group_id: "g".to_owned(),
        generation_id: told.generation_id,
        member_id: told.member_id.clone(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: told.member_id.clone(),
            assignment: "all".into(),
        }],
        ..SyncGroupRequest::default()
    };
    let synced: SyncGroupResponse = client.call(Api::SyncGroup, 3, &request).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
    told.member_id
}

fn committing(member: &str, generation: i32, offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: generation,
        member_id: member.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_metadata: Some("a note".to_owned()),
                ..Default::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

async fn commit(client: &mut Kafka, member: &str, generation: i32, offset: i64) -> i16 {
    let request = committing(member, generation, offset);
    let told: OffsetCommitResponse = client.call(Api::OffsetCommit, 7, &request).await;
    told.topics[0].partitions[0].error_code
}

async fn committed(client: &mut Kafka) -> (i64, Option<String>) {
    let request = OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".to_owned(),
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let told: OffsetFetchResponse = client.call(Api::OffsetFetch, 5, &request).await;
    let found = &told.topics[0].partitions[0];
    assert_eq!((told.error_code, found.error_code), (0, 0));
    (found.committed_offset, found.metadata.clone())
}

/// From version 10 on topics are numbers, and a topic made anew under its name is another.
#[tokio::test]
async fn offsets_are_kept_of_topics_by_their_numbers() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let asked = MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() };
    let asked = MetadataRequest { topics: Some(vec![asked]), ..Default::default() };
    let told: MetadataResponse = client.call(Api::Metadata, 12, &asked).await;
    let known = told.topics[0].topic_id;
    let mut unknown = known;
    unknown.0[15] ^= 0x40;
    for (topic_id, expected) in [(known, 0), (unknown, UNKNOWN_TOPIC_ID)] {
        let mut request = committing("", -1, 7);
        request.topics[0].topic_id = topic_id;
        let told: OffsetCommitResponse = client.call(Api::OffsetCommit, 10, &request).await;
        let told = (told.topics[0].topic_id, told.topics[0].partitions[0].error_code);
        assert_eq!(told, (topic_id, expected));
    }
    let by_number = |topic_id| OffsetFetchRequestTopics {
        topic_id,
        partition_indexes: vec![0],
        ..Default::default()
    };
    for topics in [Some(vec![by_number(known), by_number(unknown)]), None] {
        let is_all = topics.is_none();
        let group =
            OffsetFetchRequestGroup { group_id: "g".to_owned(), topics, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let told: OffsetFetchResponse = client.call(Api::OffsetFetch, 10, &request).await;
        let found = told.groups[0].topics.iter().map(|topic| {
            let part = &topic.partitions[0];
            (topic.topic_id, part.committed_offset, part.error_code)
        });
        let mut expected = vec![(known, 7, 0)];
        if !is_all {
            expected.push((unknown, -1, UNKNOWN_TOPIC_ID));
        }
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

/// Gotcha 17: offsets and their notes come back, over a kill; those who are not members set none.
#[tokio::test]
async fn offsets_are_kept_and_only_members_set_them() {
    let mut stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    client.produce("t", 0, batch(&[("k", "a")], 1_700_000_000_000, None)).await;
    let member = alone(&mut client).await;
    assert_eq!(committed(&mut client).await.0, -1);
    assert_eq!(commit(&mut client, &member, 1, 7).await, 0);
    assert_eq!(commit(&mut client, &member, 0, 8).await, ILLEGAL_GENERATION);
    assert_eq!(commit(&mut client, "somebody", 1, 8).await, UNKNOWN_MEMBER_ID);
    assert_eq!(commit(&mut client, "", -1, 8).await, UNKNOWN_MEMBER_ID, "the group has members");
    assert_eq!(committed(&mut client).await, (7, Some("a note".to_owned())));
    stand.server.kill();
    stand.server = stand.home.start();
    let mut client = stand.client().await;
    assert_eq!(committed(&mut client).await, (7, Some("a note".to_owned())));
    let beat = HeartbeatRequest {
        group_id: "g".to_owned(),
        generation_id: 1,
        member_id: member,
        ..HeartbeatRequest::default()
    };
    let told: HeartbeatResponse = client.call(Api::Heartbeat, 3, &beat).await;
    assert_eq!(told.error_code, UNKNOWN_MEMBER_ID, "members join again after a start");
    // A tool resets a group that nobody is in.
    assert_eq!(commit(&mut client, "", -1, 3).await, 0);
    assert_eq!(committed(&mut client).await.0, 3);
    // A topic made anew is another topic.
    let path = stand.room.path("topics/t");
    stand.server.admin().done(Method::DELETE, &path, &json!(null)).await;
    stand.topic("t", 1).await;
    assert_eq!(committed(&mut client).await.0, -1);
}

/// Gotcha 3: the first versions of joining, as old clients send them.
#[tokio::test]
async fn clients_of_the_first_versions_join() {
    let stand = Stand::new().await;
    let mut client = stand.client().await;
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 0, &joining("")).await;
    assert_eq!((told.error_code, told.members.len()), (0, 1));
}

#[tokio::test]
async fn who_may_not_read_has_no_groups() {
    let stand = Stand::new().await;
    let key = stand.server.admin().key(&stand.room, &["events:publish"]).await;
    let mut writer = Kafka::signed_in(&stand.server.kafka, &key).await;
    let told: JoinGroupResponse = writer.call(Api::JoinGroup, 5, &joining("")).await;
    assert_eq!(told.error_code, GROUP_AUTHORIZATION_FAILED);
}

/// Clients commit without waiting for the answer before: the last word counts.
#[tokio::test]
async fn commits_of_one_connection_are_done_in_their_order() {
    let mut stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let mut asked = Vec::new();
    for offset in 1..=50 {
        asked.push(client.ask(Api::OffsetCommit, 7, &committing("", -1, offset)).await);
    }
    for correlation in asked {
        let told: OffsetCommitResponse = client.answer(Api::OffsetCommit, 7, correlation).await;
        assert_eq!(told.topics[0].partitions[0].error_code, 0);
    }
    assert_eq!(committed(&mut client).await.0, 50);
    stand.server.kill();
    stand.server = stand.home.start();
    assert_eq!(committed(&mut stand.client().await).await.0, 50, "over a kill");
}
