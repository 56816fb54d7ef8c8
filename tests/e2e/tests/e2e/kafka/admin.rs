//! What administrators ask of topics and partitions, message by message.

use super::Stand;
use super::client::{Kafka, batch, read};
use kafka::messages::Api;
use kafka::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};
use kafka::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use kafka::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use kafka::messages::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use kafka::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, TopicRequest as ProducersAsked,
};
use kafka::messages::describe_topic_partitions::{
    CursorAsked, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use kafka::messages::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse, TopicPartitions};
use kafka::messages::list_config_resources::{
    ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use kafka::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use kafka::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use types::{Producer, Stamp};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const LOG_DIR_NOT_FOUND: i16 = 57;
const ELECTION_NOT_NEEDED: i16 = 84;
const NO_REASSIGNMENT_IN_PROGRESS: i16 = 85;
const AT: i64 = 1_700_000_000_000;

/// Answers where the partition begins, and an error.
async fn delete_before(client: &mut Kafka, topic: &str, index: i32, offset: i64) -> (i64, i16) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.to_owned(),
            partitions: vec![DeleteRecordsPartition { partition_index: index, offset }],
        }],
        timeout_ms: 10_000,
    };
    let told: DeleteRecordsResponse = client.call(Api::DeleteRecords, 2, &request).await;
    let found = &told.topics[0].partitions[0];
    (found.low_watermark, found.error_code)
}

/// Answers an offset and a timestamp.
async fn offset_of(client: &mut Kafka, topic: &str, timestamp: i64) -> (i64, i64) {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.to_owned(),
            partitions: vec![ListOffsetsPartition { timestamp, ..Default::default() }],
        }],
        ..ListOffsetsRequest::default()
    };
    let told: ListOffsetsResponse = client.call(Api::ListOffsets, 10, &request).await;
    let found = &told.topics[0].partitions[0];
    assert_eq!(found.error_code, 0);
    (found.offset, found.timestamp)
}

#[tokio::test]
async fn records_are_deleted_up_to_an_offset_and_stay_so_over_a_kill() {
    let mut stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let three = batch(&[("a", "0"), ("b", "1"), ("c", "2")], AT, None);
    client.produce("t", 0, three).await;
    client.produce("t", 0, batch(&[("d", "3")], AT, None)).await;
    assert_eq!(delete_before(&mut client, "t", 0, 5).await, (-1, OFFSET_OUT_OF_RANGE));
    assert_eq!(delete_before(&mut client, "t", 0, -7).await, (-1, OFFSET_OUT_OF_RANGE));
    let unknown = (-1, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(delete_before(&mut client, "t", 1, 1).await, unknown);
    assert_eq!(delete_before(&mut client, "nothing", 0, 1).await, unknown);
    assert_eq!(delete_before(&mut client, "t", 0, 2).await, (2, 0), "within a batch");
    assert_eq!(delete_before(&mut client, "t", 0, 1).await, (2, 0), "they are gone already");
    stand.server.kill();
    stand.server = stand.home.start();
    let mut client = stand.client().await;
    assert_eq!(client.fetch("t", 0, 1).await.error_code, OFFSET_OUT_OF_RANGE);
    assert_eq!(offset_of(&mut client, "t", -2).await.0, 2);
    assert_eq!(offset_of(&mut client, "t", 0).await, (2, AT + 2_000));
    let found = read(&client.fetch("t", 0, 2).await);
    // The batch comes whole: clients leave out what lies before where they asked (gotcha 5).
    let kept: Vec<(u64, String)> = found.into_iter().filter(|(offset, _)| *offset >= 2).collect();
    assert_eq!(kept, [(2, "2".to_owned()), (3, "3".to_owned())]);
    // No other protocol shows what is gone.
    let url = format!("{}/v1/topics/t/records?from=earliest", stand.server.url);
    let told = reqwest::Client::new().get(url).bearer_auth(&stand.key.secret).send().await;
    let told = told.expect("an answer").text().await.expect("a text");
    assert!(!told.contains(r#""offset":1"#) && told.contains(r#""offset":2"#), "{told}");
    let writer = stand.server.admin().key(&stand.room, &["events:publish"]).await;
    let mut writer = Kafka::signed_in(&stand.server.kafka, &writer).await;
    assert_eq!(delete_before(&mut writer, "t", 0, -1).await, (-1, TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(delete_before(&mut client, "t", 0, -1).await, (4, 0), "all there are");
    assert_eq!(client.produce("t", 0, batch(&[("e", "4")], AT, None)).await.base_offset, 4);
}

#[tokio::test]
async fn the_newest_record_is_found_and_nothing_is_elsewhere() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    assert_eq!(offset_of(&mut client, "t", -3).await, (-1, -1));
    client.produce("t", 0, batch(&[("a", "0"), ("b", "1")], AT + 60_000, None)).await;
    client.produce("t", 0, batch(&[("c", "2")], AT, None)).await;
    assert_eq!(offset_of(&mut client, "t", -3).await, (1, AT + 61_000));
    assert_eq!(offset_of(&mut client, "t", -4).await.0, 0);
    assert_eq!(offset_of(&mut client, "t", -5).await.0, -1);
}

#[tokio::test]
async fn partitions_are_described_page_by_page_with_what_they_hold() {
    let stand = Stand::new().await;
    for (name, partitions) in [("a", 3), ("b", 2)] {
        stand.topic(name, partitions).await;
    }
    let mut client = stand.client().await;
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let request = DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor,
            ..DescribeTopicPartitionsRequest::default()
        };
        let told: DescribeTopicPartitionsResponse =
            client.call(Api::DescribeTopicPartitions, 0, &request).await;
        let partitions: Vec<i32> = told
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|it| it.partition_index))
            .collect();
        assert!(partitions.len() <= 2);
        seen.extend(partitions);
        cursor = match told.next_cursor {
            Some(next) => Some(CursorAsked {
                topic_name: next.topic_name,
                partition_index: next.partition_index,
            }),
            None => break,
        };
    }
    assert_eq!(seen, [0, 1, 2, 0, 1]);
    let stamp = Stamp {
        producer: Producer { id: 7, epoch: 2 },
        sequence: Some(0),
        is_transactional: false,
    };
    let two = batch(&[("k", "v"), ("l", "w")], AT, Some(stamp));
    assert_eq!(client.produce("a", 1, two).await.error_code, 0);
    let all = DescribeLogDirsRequest::default();
    let told: DescribeLogDirsResponse = client.call(Api::DescribeLogDirs, 4, &all).await;
    let sizes: Vec<i64> =
        told.results[0].topics[0].partitions.iter().map(|it| it.partition_size).collect();
    assert!(sizes[1] > 0 && sizes[0] == 0 && sizes[2] == 0, "{sizes:?}");
    let asked = ProducersAsked { name: "a".to_owned(), partition_indexes: vec![0, 1, 9] };
    let request = DescribeProducersRequest { topics: vec![asked] };
    let told: DescribeProducersResponse = client.call(Api::DescribeProducers, 0, &request).await;
    let parts = &told.topics[0].partitions;
    assert!(parts[0].active_producers.is_empty());
    let known = &parts[1].active_producers[0];
    assert_eq!((known.producer_id, known.producer_epoch, known.last_sequence), (7, 2, 1));
    assert_eq!(known.current_txn_start_offset, -1);
    assert_eq!(parts[2].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    let all = ListConfigResourcesRequest::default();
    let told: ListConfigResourcesResponse = client.call(Api::ListConfigResources, 1, &all).await;
    let names: Vec<(i8, &str)> = told
        .config_resources
        .iter()
        .map(|it| (it.resource_type, it.resource_name.as_str()))
        .collect();
    assert_eq!(names, [(2, "a"), (2, "b"), (4, "1")]);
}

/// Gotcha 17: CreatePartitions echoes its topics.
#[tokio::test]
async fn what_a_cluster_of_one_cannot_do_is_told_by_kafkas_errors() {
    let stand = Stand::new().await;
    stand.topic("t", 2).await;
    let mut client = stand.client().await;
    let more = |count| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: "t".to_owned(), count, assignments: None }],
        ..CreatePartitionsRequest::default()
    };
    for count in [1, 2, 3] {
        let told: CreatePartitionsResponse =
            client.call(Api::CreatePartitions, 3, &more(count)).await;
        let told = &told.results[0];
        assert_eq!((&*told.name, told.error_code), ("t", INVALID_PARTITIONS), "{told:?}");
        assert!(told.error_message.as_ref().is_some_and(|message| message.contains('2')));
    }
    let elect = ElectLeadersRequest {
        topic_partitions: Some(vec![TopicPartitions {
            topic: "t".to_owned(),
            partitions: vec![0, 5],
        }]),
        ..ElectLeadersRequest::default()
    };
    let told: ElectLeadersResponse = client.call(Api::ElectLeaders, 2, &elect).await;
    let errors: Vec<i16> = told.replica_election_results[0]
        .partition_result
        .iter()
        .map(|result| result.error_code)
        .collect();
    assert_eq!(errors, [ELECTION_NOT_NEEDED, UNKNOWN_TOPIC_OR_PARTITION]);
    let place = |partition_index, replicas| ReassignablePartition { partition_index, replicas };
    let reassign = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic {
            name: "t".to_owned(),
            partitions: vec![place(0, Some(vec![1])), place(0, Some(vec![1, 2])), place(1, None)],
        }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let told: AlterPartitionReassignmentsResponse =
        client.call(Api::AlterPartitionReassignments, 1, &reassign).await;
    let errors: Vec<i16> =
        told.responses[0].partitions.iter().map(|result| result.error_code).collect();
    assert_eq!(errors, [0, INVALID_REPLICA_ASSIGNMENT, NO_REASSIGNMENT_IN_PROGRESS]);
    let list = ListPartitionReassignmentsRequest::default();
    let told: ListPartitionReassignmentsResponse =
        client.call(Api::ListPartitionReassignments, 0, &list).await;
    assert_eq!((told.error_code, told.topics.len()), (0, 0));
    let move_to = |path: &str| AlterReplicaLogDirsRequest {
        dirs: vec![AlterReplicaLogDir {
            path: path.to_owned(),
            topics: vec![AlterReplicaLogDirTopic { name: "t".to_owned(), partitions: vec![0] }],
        }],
    };
    for (path, error) in [("/elsewhere", LOG_DIR_NOT_FOUND), ("/mainstem", 0)] {
        let told: AlterReplicaLogDirsResponse =
            client.call(Api::AlterReplicaLogDirs, 2, &move_to(path)).await;
        assert_eq!(told.results[0].partitions[0].error_code, error, "{path}");
    }
    let reader = stand.server.admin().key(&stand.room, &["events:subscribe"]).await;
    let mut reader = Kafka::signed_in(&stand.server.kafka, &reader).await;
    let told: ElectLeadersResponse = reader.call(Api::ElectLeaders, 2, &elect).await;
    assert_eq!(told.error_code, CLUSTER_AUTHORIZATION_FAILED);
    let told: CreatePartitionsResponse = reader.call(Api::CreatePartitions, 3, &more(3)).await;
    assert_eq!(told.results[0].error_code, TOPIC_AUTHORIZATION_FAILED);
}
