//! Who may do what, administered by Kafka's requests: the same lists that the admin API keeps and
//! every protocol obeys.

use super::Stand;
use super::client::{Kafka, batch};
use crate::stand::admin::Key;
use kafka::messages::Api;
use kafka::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterEntryData, OpData,
};
use kafka::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, ScramCredentialDeletion,
    ScramCredentialUpsertion,
};
use kafka::messages::create_acls::{AclCreation, CreateAclsRequest, CreateAclsResponse};
use kafka::messages::delete_acls::{DeleteAclsFilter, DeleteAclsRequest, DeleteAclsResponse};
use kafka::messages::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use kafka::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};
use kafka::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData,
};
use kafka::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult, UserName,
};
use kafka::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use kafka::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use reqwest::Method;
use serde_json::{Value, json};

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const GROUP_AUTHORIZATION_FAILED: i16 = 30;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const INVALID_REQUEST: i16 = 42;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const SECURITY_DISABLED: i16 = 54;
const MEMBER_ID_REQUIRED: i16 = 79;
const RESOURCE_NOT_FOUND: i16 = 91;
const DUPLICATE_RESOURCE: i16 = 92;
const UNACCEPTABLE_CREDENTIAL: i16 = 93;
const AT: i64 = 1_700_000_000_000;
const STRANGER: &str = "key_00000000000000000000000000000007";

async fn stand(security: &str) -> Stand {
    let listener = json!({ "listen": "127.0.0.1:0", "security": security });
    Stand::with(json!({ "listeners": [listener] })).await
}

/// Begins the project's list, in which all is allowed of which nothing is said.
async fn begin(stand: &Stand) {
    let path = list_path(stand);
    let list = json!({ "list": { "default": "allow", "entries": [] } });
    stand.server.admin().done(Method::PUT, &path, &list).await;
}

fn list_path(stand: &Stand) -> String {
    format!("/v1/acl?tenant={}&project={}", stand.room.tenant, stand.room.project)
}

fn creation(key: &Key, operation: i8, permission_type: i8) -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: "t".to_owned(),
        resource_pattern_type: 3,
        principal: format!("User:{}", key.id),
        host: "*".to_owned(),
        operation,
        permission_type,
    }
}

/// Answers each one's error.
async fn create(client: &mut Kafka, creations: &[AclCreation]) -> Vec<i16> {
    let request = CreateAclsRequest { creations: creations.to_vec() };
    let told: CreateAclsResponse = client.call(Api::CreateAcls, 3, &request).await;
    told.results.iter().for_each(|it| assert_eq!(it.error_code == 0, it.error_message.is_none()));
    told.results.into_iter().map(|result| result.error_code).collect()
}

fn everything() -> DescribeAclsRequest {
    DescribeAclsRequest {
        resource_type_filter: 1,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..DescribeAclsRequest::default()
    }
}

/// Answers the error, and each entry as resource, principal, operation and permission.
async fn told(client: &mut Kafka, version: i16) -> (i16, Vec<(String, String, i8, i8)>) {
    let told: DescribeAclsResponse = client.call(Api::DescribeAcls, version, &everything()).await;
    let entries = told.resources.iter().flat_map(|resource| {
        resource.acls.iter().map(|acl| {
            let name = resource.resource_name.clone();
            (name, acl.principal.clone(), acl.operation, acl.permission_type)
        })
    });
    (told.error_code, entries.collect())
}

/// Answers the error, and how many went.
async fn delete(client: &mut Kafka, operation: i8) -> (i16, usize) {
    let filter = DeleteAclsFilter {
        resource_type_filter: 2,
        resource_name_filter: Some("t".to_owned()),
        pattern_type_filter: 2,
        operation,
        permission_type: 1,
        ..DeleteAclsFilter::default()
    };
    let request = DeleteAclsRequest { filters: vec![filter] };
    let told: DeleteAclsResponse = client.call(Api::DeleteAcls, 3, &request).await;
    let result = &told.filter_results[0];
    (result.error_code, result.matching_acls.len())
}

async fn produced(client: &mut Kafka) -> i16 {
    client.produce("t", 0, batch(&[("k", "v")], AT, None)).await.error_code
}

#[tokio::test]
async fn what_is_created_holds_at_once_for_everybody_and_is_gone_when_deleted() {
    let stand = stand("write").await;
    stand.topic("t", 1).await;
    begin(&stand).await;
    let admin = stand.server.admin();
    let other = admin.key(&stand.room, &["events:publish", "events:subscribe"]).await;
    let mut client = stand.client().await;
    let mut bounded = Kafka::signed_in(&stand.server.kafka, &other).await;
    assert_eq!(produced(&mut bounded).await, 0);
    let (write, read) = (creation(&other, 4, 2), creation(&other, 3, 2));
    let cluster = AclCreation { resource_type: 4, ..read.clone() };
    let made = create(&mut client, &[write.clone(), cluster, read]).await;
    assert_eq!(made, [0, INVALID_REQUEST, 0]);
    assert_eq!(produced(&mut bounded).await, TOPIC_AUTHORIZATION_FAILED);
    assert_eq!(bounded.fetch("t", 0, 0).await.error_code, TOPIC_AUTHORIZATION_FAILED);
    assert_eq!(produced(&mut client).await, 0, "of him nothing was said");
    let of = |operation| ("t".to_owned(), format!("User:{}", other.id), operation, 2);
    for version in Api::DescribeAcls.versions() {
        assert_eq!(told(&mut client, version).await, (0, vec![of(3), of(4)]), "{version}");
    }
    // The admin API sees the same, and who made it.
    let list = admin.done(Method::GET, &list_path(&stand), &Value::Null).await;
    assert_eq!(list["version"], 2);
    let entry = &list["list"]["entries"][0];
    assert_eq!(entry["operations"], json!(["publish", "read", "subscribe"]));
    assert_eq!(entry["principals"], json!([format!("key:{}", other.id)]));
    let path = format!("/v1/audit?tenant={}&action=acl.update", stand.room.tenant);
    let trail = admin.done(Method::GET, &path, &Value::Null).await;
    assert_eq!(trail["records"][0]["actor"], format!("key:{}", stand.key.id));
    assert_eq!(trail["records"][0]["details"]["note"], "CreateAcls of Kafka");
    // The same again is nothing new.
    assert_eq!(create(&mut client, &[write]).await, [0]);
    let list = admin.done(Method::GET, &list_path(&stand), &Value::Null).await;
    assert_eq!(list["version"], 2);
    assert_eq!(delete(&mut client, 4).await, (0, 1));
    assert_eq!(produced(&mut bounded).await, 0);
    assert_eq!(bounded.fetch("t", 0, 0).await.error_code, TOPIC_AUTHORIZATION_FAILED);
    assert_eq!(delete(&mut client, 1).await, (0, 1));
    assert_eq!(bounded.fetch("t", 0, 0).await.error_code, 0);
    assert_eq!(told(&mut client, 3).await, (0, vec![]));
}

#[tokio::test]
async fn a_listener_says_who_administers_and_scopes_do() {
    for (security, listed, made) in [
        ("none", SECURITY_DISABLED, SECURITY_DISABLED),
        ("read", 0, CLUSTER_AUTHORIZATION_FAILED),
        ("write", 0, 0),
    ] {
        let stand = stand(security).await;
        let mut client = stand.client().await;
        let entry = creation(&stand.key, 3, 3);
        if security == "write" {
            // Without any list nothing is decided by one.
            assert_eq!(told(&mut client, 3).await, (SECURITY_DISABLED, vec![]));
            let made = create(&mut client, std::slice::from_ref(&entry)).await;
            assert_eq!(made, [SECURITY_DISABLED]);
        }
        begin(&stand).await;
        assert_eq!(told(&mut client, 3).await.0, listed, "{security}");
        let result = create(&mut client, std::slice::from_ref(&entry)).await;
        assert_eq!(result, [made], "{security}");
        assert_eq!(delete(&mut client, 1).await.0, made, "{security}");
        let plain = stand.server.admin().key(&stand.room, &["events:publish"]).await;
        let mut plain = Kafka::signed_in(&stand.server.kafka, &plain).await;
        let refused = if listed == 0 { CLUSTER_AUTHORIZATION_FAILED } else { listed };
        assert_eq!(told(&mut plain, 3).await, (refused, vec![]), "{security}");
        assert_eq!(create(&mut plain, &[entry]).await, [refused], "{security}");
        assert_eq!(delete(&mut plain, 1).await, (refused, 0), "{security}");
    }
}

/// Answers each user with its error and mechanisms.
async fn users(client: &mut Kafka, names: &[&str]) -> (i16, Vec<(String, i16, Vec<i8>)>) {
    let users = names.iter().map(|name| UserName { name: name.to_string() }).collect();
    let request = DescribeUserScramCredentialsRequest { users: Some(users) };
    let told: DescribeUserScramCredentialsResponse =
        client.call(Api::DescribeUserScramCredentials, 0, &request).await;
    let user = |it: DescribeUserScramCredentialsResult| {
        assert!(it.credential_infos.iter().all(|info| info.iterations == 4_096));
        let mechanisms = it.credential_infos.iter().map(|info| info.mechanism).collect();
        (it.user, it.error_code, mechanisms)
    };
    (told.error_code, told.results.into_iter().map(user).collect())
}

async fn altered(
    client: &mut Kafka,
    made: &[(&str, i8)],
    deleted: &[(&str, i8)],
) -> Vec<(String, i16)> {
    let request = AlterUserScramCredentialsRequest {
        upsertions: made
            .iter()
            .map(|(name, mechanism)| ScramCredentialUpsertion {
                name: name.to_string(),
                mechanism: *mechanism,
                iterations: 4_096,
                ..ScramCredentialUpsertion::default()
            })
            .collect(),
        deletions: deleted
            .iter()
            .map(|(name, mechanism)| ScramCredentialDeletion {
                name: name.to_string(),
                mechanism: *mechanism,
            })
            .collect(),
    };
    let told: AlterUserScramCredentialsResponse =
        client.call(Api::AlterUserScramCredentials, 0, &request).await;
    told.results.into_iter().map(|result| (result.user, result.error_code)).collect()
}

#[tokio::test]
async fn users_of_scram_are_keys_and_not_made_by_clients() {
    let stand = stand("write").await;
    let admin = stand.server.admin();
    let other = admin.key(&stand.room, &["events:publish"]).await;
    let (_, foreign) = admin.furnished().await;
    let mut client = stand.client().await;
    let both = |key: &Key| (key.id.clone(), 0, vec![1, 2]);
    let mut expected = vec![both(&stand.key), both(&other)];
    expected.sort();
    assert_eq!(users(&mut client, &[]).await, (0, expected));
    let named = [&*other.id, &*foreign.id, "admin"];
    let mut expected = vec![
        both(&other),
        (foreign.id.clone(), RESOURCE_NOT_FOUND, vec![]),
        ("admin".to_owned(), RESOURCE_NOT_FOUND, vec![]),
    ];
    expected.sort();
    assert_eq!(users(&mut client, &named).await, (0, expected));
    let (_, twice) = users(&mut client, &[&other.id, &other.id]).await;
    assert_eq!(twice, [(other.id.clone(), DUPLICATE_RESOURCE, vec![])]);
    let check = |told: Vec<(String, i16)>, expected: &[(&str, i16)]| {
        let mut expected: Vec<(String, i16)> =
            expected.iter().map(|(name, error)| (name.to_string(), *error)).collect();
        expected.sort();
        assert_eq!(told, expected);
    };
    let made = [("alice", 1), ("bob", 9)];
    let deleted = [(&*other.id, 2), (&*foreign.id, 1), ("eve", 1), ("eve", 2)];
    let told = altered(&mut client, &made, &deleted).await;
    check(
        told,
        &[
            ("alice", UNACCEPTABLE_CREDENTIAL),
            ("bob", UNSUPPORTED_SASL_MECHANISM),
            (&other.id, UNACCEPTABLE_CREDENTIAL),
            (&foreign.id, RESOURCE_NOT_FOUND),
            ("eve", DUPLICATE_RESOURCE),
        ],
    );
    // Who may not is not told which there are.
    let mut plain = Kafka::signed_in(&stand.server.kafka, &other).await;
    assert_eq!(users(&mut plain, &[]).await, (CLUSTER_AUTHORIZATION_FAILED, vec![]));
    let told = altered(&mut plain, &[], &[(&stand.key.id, 1), (STRANGER, 1)]).await;
    check(
        told,
        &[(&stand.key.id, CLUSTER_AUTHORIZATION_FAILED), (STRANGER, CLUSTER_AUTHORIZATION_FAILED)],
    );
}

#[tokio::test]
async fn quotas_of_kafkas_kinds_are_none() {
    let stand = stand("write").await;
    let mut client = stand.client().await;
    for version in Api::DescribeClientQuotas.versions() {
        for (kind, match_type, error) in
            [("user", 2, 0), ("user", 0, INVALID_REQUEST), ("x", 2, INVALID_REQUEST)]
        {
            let component =
                ComponentData { entity_type: kind.to_owned(), match_type, r#match: None };
            let request =
                DescribeClientQuotasRequest { components: vec![component], strict: false };
            let told: DescribeClientQuotasResponse =
                client.call(Api::DescribeClientQuotas, version, &request).await;
            assert_eq!(told.error_code, error, "{kind} {match_type}");
            assert_eq!(told.entries.map_or(0, |entries| entries.len()), 0);
        }
        let entity = EntityData { entity_type: "user".to_owned(), entity_name: None };
        let op = OpData { key: "producer_byte_rate".to_owned(), value: 1e6, remove: false };
        let entry = AlterEntryData { entity: vec![entity.clone()], ops: vec![op] };
        let request = AlterClientQuotasRequest { entries: vec![entry], validate_only: false };
        let told: AlterClientQuotasResponse =
            client.call(Api::AlterClientQuotas, version, &request).await;
        assert_eq!(told.entries[0].error_code, INVALID_REQUEST);
        assert_eq!(told.entries[0].entity, [entity]);
        let why = told.entries[0].error_message.clone().unwrap_or_default();
        assert!(why.contains("publish_per_second_max"), "{why}");
    }
}

/// As `kafka-acls --consumer` and `--producer` make them: whose group and id they are then.
#[tokio::test]
async fn groups_and_transactional_ids_belong_to_whom_entries_give_them() {
    const GROUP: &str = "billing";
    const ID: &str = "payments-1";
    let stand = stand("write").await;
    stand.topic("t", 1).await;
    let path = list_path(&stand);
    let all = json!({
        "id": "all", "effect": "allow", "principals": ["*"], "operations": ["all"],
        "topic": { "filter": "#" },
    });
    let list = json!({ "list": { "entries": [all] } });
    stand.server.admin().done(Method::PUT, &path, &list).await;
    let admin = stand.server.admin();
    let scopes = ["events:publish", "events:subscribe"];
    let (owner, other) =
        (admin.key(&stand.room, &scopes).await, admin.key(&stand.room, &scopes).await);
    let mut client = stand.client().await;
    let mut owner_client = Kafka::signed_in(&stand.server.kafka, &owner).await;
    let mut stranger = Kafka::signed_in(&stand.server.kafka, &other).await;
    // A name that nobody was given is everybody's.
    assert_eq!(joined(&mut stranger, GROUP).await, MEMBER_ID_REQUIRED);
    assert_eq!(signed_in(&mut stranger, ID).await, 0);
    let of_group =
        AclCreation { resource_type: 3, resource_name: GROUP.to_owned(), ..creation(&owner, 3, 3) };
    let of_id = AclCreation {
        resource_type: 5,
        resource_name: "payments-".to_owned(),
        resource_pattern_type: 4,
        ..creation(&owner, 4, 3)
    };
    assert_eq!(create(&mut client, &[of_group, of_id]).await, [0, 0]);
    assert_eq!(joined(&mut owner_client, GROUP).await, MEMBER_ID_REQUIRED);
    assert_eq!(signed_in(&mut owner_client, ID).await, 0);
    assert_eq!(joined(&mut stranger, GROUP).await, GROUP_AUTHORIZATION_FAILED);
    assert_eq!(joined(&mut stranger, "another").await, MEMBER_ID_REQUIRED);
    assert_eq!(signed_in(&mut stranger, ID).await, TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_eq!(signed_in(&mut stranger, "another").await, 0);
    // Nor does he learn that they are there, where they stand, or end them.
    for (who, is_theirs) in [(&mut owner_client, true), (&mut stranger, false)] {
        let told: OffsetCommitResponse = who.call(Api::OffsetCommit, 8, &commit(GROUP)).await;
        let error = told.topics[0].partitions[0].error_code;
        assert_eq!(error, if is_theirs { 0 } else { GROUP_AUTHORIZATION_FAILED });
        let told: ListGroupsResponse =
            who.call(Api::ListGroups, 4, &ListGroupsRequest::default()).await;
        let is_told = |name: &str| told.groups.iter().any(|group| group.group_id == name);
        assert_eq!((is_told(GROUP), is_told("another")), (is_theirs, true), "{told:?}");
    }
    let keys = vec![GROUP.to_owned(), "another".to_owned()];
    let request = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
    let told: FindCoordinatorResponse = stranger.call(Api::FindCoordinator, 4, &request).await;
    let errors: Vec<i16> = told.coordinators.iter().map(|it| it.error_code).collect();
    assert_eq!(errors, [GROUP_AUTHORIZATION_FAILED, 0]);
    // To delete a group is another right than to be in it.
    let request = DeleteGroupsRequest { groups_names: vec![GROUP.to_owned()] };
    for who in [&mut stranger, &mut owner_client] {
        let told: DeleteGroupsResponse = who.call(Api::DeleteGroups, 2, &request).await;
        assert_eq!(told.results[0].error_code, GROUP_AUTHORIZATION_FAILED);
    }
    // The admin API explains it.
    let explain =
        format!("/v1/acl/explain?tenant={}&project={}", stand.room.tenant, stand.room.project);
    for (key, is_allowed) in [(&owner, true), (&other, false)] {
        let asked = json!({
            "principal": format!("key:{}", key.id), "operation": "read", "consumer_group": GROUP,
        });
        let told = admin.done(Method::POST, &explain, &asked).await;
        assert_eq!(told["is_allowed"], is_allowed, "{told}");
    }
}

/// Answers the error.
async fn joined(client: &mut Kafka, group: &str) -> i16 {
    let request = JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            ..Default::default()
        }],
        ..JoinGroupRequest::default()
    };
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 5, &request).await;
    told.error_code
}

/// Answers the error.
async fn signed_in(client: &mut Kafka, id: &str) -> i16 {
    let request = InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: 10_000,
        ..InitProducerIdRequest::default()
    };
    let told: InitProducerIdResponse = client.call(Api::InitProducerId, 4, &request).await;
    told.error_code
}

fn commit(group: &str) -> OffsetCommitRequest {
    let partition =
        OffsetCommitRequestPartition { committed_leader_epoch: -1, ..Default::default() };
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..OffsetCommitRequest::default()
    }
}
