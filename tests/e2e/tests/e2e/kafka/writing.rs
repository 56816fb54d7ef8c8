//! What producers send, and what becomes of it.

use super::Stand;
use super::client::{PRODUCE, batch, produce, read};
use bytes::BytesMut;
use kafka::messages::Api;
use kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use kafka::messages::produce::ProduceResponse;
use reqwest::Method;
use serde_json::json;

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC: i16 = 3;
const INVALID_REQUIRED_ACKS: i16 = 21;
const INVALID_TIMESTAMP: i16 = 32;
const INVALID_RECORD: i16 = 87;

const NOW: i64 = 1_700_000_000_000;

/// Gotcha 4: the offset stands outside of the checksum and is the log's; a wrong checksum is told.
#[tokio::test]
async fn offsets_are_the_logs_and_a_wrong_checksum_is_refused() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let sent = batch(&[("k", "a"), ("k", "b")], NOW, None);
    assert_eq!(client.produce("t", 0, sent.clone()).await.base_offset, 0);
    assert_eq!(client.produce("t", 0, sent.clone()).await.base_offset, 2);
    let mut broken = BytesMut::from(&sent[..]);
    broken[64] ^= 1;
    let told = client.produce("t", 0, broken.freeze()).await;
    assert_eq!((told.error_code, told.base_offset), (CORRUPT_MESSAGE, -1));
    assert!(told.error_message.unwrap_or_default().contains("checksum"));
    let found = read(&client.fetch("t", 0, 0).await);
    assert_eq!(found.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

/// Gotchas 12 and 16: no answer without `acks`; keyless records where keys are needed; limits.
#[tokio::test]
async fn what_cannot_be_taken_is_refused_record_by_record() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let path = stand.room.path("topics/compact");
    stand.server.admin().done(Method::PUT, &path, &json!({ "cleanup": "compact" })).await;
    let mut client = stand.client().await;
    let told = client.produce("compact", 0, batch(&[("", "a")], NOW, None)).await;
    assert_eq!((told.error_code, told.record_errors.len()), (INVALID_RECORD, 1));
    let future = batch(&[("k", "a")], 99_999_999_999_999, None);
    assert_eq!(client.produce("t", 0, future).await.error_code, INVALID_TIMESTAMP);
    let fine = batch(&[("k", "a")], NOW, None);
    assert_eq!(client.produce("t", 9, fine.clone()).await.error_code, UNKNOWN_TOPIC);
    assert_eq!(client.produce("nowhere", 0, fine.clone()).await.error_code, UNKNOWN_TOPIC);
    let strange = produce("t", 0, fine.clone(), 7);
    let told: ProduceResponse = client.call(Api::Produce, PRODUCE, &strange).await;
    let error = told.responses[0].partition_responses[0].error_code;
    assert_eq!(error, INVALID_REQUIRED_ACKS);
    // Nothing is answered, and what follows is.
    client.ask(Api::Produce, PRODUCE, &produce("t", 0, fine.clone(), 0)).await;
    assert_eq!(client.produce("t", 0, fine).await.base_offset, 1);
}

/// Gotcha 14: requests are answered in their order, however many are under way.
#[tokio::test]
async fn requests_are_pipelined_and_answered_in_order() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let mut asked = Vec::new();
    for index in 0..200 {
        let one = batch(&[("k", &index.to_string())], NOW, None);
        asked.push(client.ask(Api::Produce, PRODUCE, &produce("t", 0, one, -1)).await);
    }
    for (index, correlation) in asked.into_iter().enumerate() {
        let told: ProduceResponse = client.answer(Api::Produce, PRODUCE, correlation).await;
        let placed = &told.responses[0].partition_responses[0];
        assert_eq!((placed.error_code, placed.base_offset), (0, index as i64));
    }
    let found = read(&client.fetch("t", 0, 0).await);
    assert!(found.iter().all(|(offset, value)| *value == offset.to_string()));
    assert_eq!(found.len(), 200);
}

/// Gotcha 17: a topic comes into being when somebody asks for it, if he lets it.
#[tokio::test]
async fn asking_for_a_topic_makes_it_unless_told_not_to() {
    let stand = Stand::new().await;
    let mut client = stand.client().await;
    let ask = |may_create| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("new".to_owned()),
            ..Default::default()
        }]),
        allow_auto_topic_creation: may_create,
        ..MetadataRequest::default()
    };
    let told: MetadataResponse = client.call(Api::Metadata, 9, &ask(false)).await;
    assert_eq!(told.topics[0].error_code, UNKNOWN_TOPIC);
    let told: MetadataResponse = client.call(Api::Metadata, 9, &ask(true)).await;
    assert_eq!((told.topics[0].error_code, told.topics[0].partitions.len()), (0, 1));
}
