//! What producers send, and what becomes of it.

use super::Stand;
use super::client::{Kafka, PRODUCE, batch, produce, read};
use super::library::cluster;
use bytes::BytesMut;
use kafka::messages::Api;
use kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use kafka::messages::produce::ProduceResponse;
use kafka_client::admin::Admin;
use reqwest::Method;
use serde_json::json;
use types::Batch;

const OFFSET_OUT_OF_RANGE: i16 = 1;
const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_REQUIRED_ACKS: i16 = 21;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const INVALID_TIMESTAMP: i16 = 32;
const INVALID_REQUEST: i16 = 42;
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

#[tokio::test]
async fn a_topic_says_how_large_a_batch_may_be() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let (small, large) = ("v".repeat(10), "v".repeat(2_000));
    let admin = Admin::new(cluster(&stand).await);
    let setting = async || {
        let all = admin.settings("t").await.expect("settings");
        let found = all.into_iter().find(|it| it.name == "max.message.bytes").expect("it");
        (found.value.expect("shown"), found.is_own)
    };
    assert_eq!(setting().await, ("16777216".to_owned(), false));
    let change = |value: Option<&str>| [("max.message.bytes".to_owned(), value.map(str::to_owned))];
    for bad in ["0", "-1", "many"] {
        assert!(admin.change_settings("t", &change(Some(bad))).await.is_err(), "{bad}");
    }
    admin.change_settings("t", &change(Some("1000"))).await.expect("set");
    assert_eq!(setting().await, ("1000".to_owned(), true));
    assert_eq!(client.produce("t", 0, batch(&[("k", &small)], NOW, None)).await.error_code, 0);
    let told = client.produce("t", 0, batch(&[("k", &large)], NOW, None)).await;
    assert_eq!(told.error_code, MESSAGE_TOO_LARGE, "{told:?}");
    // By other protocols it is a record that counts, and the same setting.
    let path = stand.room.path("topics/t");
    let topic = stand.server.admin().done(Method::GET, &path, &json!(null)).await;
    assert_eq!(topic["message_bytes_max"], 1_000);
    admin.change_settings("t", &change(None)).await.expect("set back");
    assert_eq!(setting().await, ("16777216".to_owned(), false));
    let told = client.produce("t", 0, batch(&[("k", &large)], NOW, None)).await;
    assert_eq!((told.error_code, told.base_offset), (0, 1));
}

/// Gotchas 12 and 16: no answer without `acks`; keyless records where keys are needed; limits.
#[tokio::test]
async fn what_cannot_be_taken_is_refused_record_by_record() {
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let path = stand.room.path("topics/compact");
    stand.server.admin().done(Method::PUT, &path, &json!({ "cleanup": "compact" })).await;
    let mut client = stand.client().await;
    // Which ones it was is told, since the others may be sent again.
    let mixed = [("k", "a"), ("", "b"), ("k", "c"), ("", "d")];
    let told = client.produce("compact", 0, batch(&mixed, NOW, None)).await;
    let wrong: Vec<i32> = told.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!((told.error_code, wrong), (INVALID_RECORD, vec![1, 3]));
    let many = vec![("", ""); 10_001];
    let told = client.produce("compact", 0, batch(&many, NOW, None)).await;
    assert_eq!((told.error_code, told.record_errors.len()), (MESSAGE_TOO_LARGE, 0), "{told:?}");
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

/// Copies of a topic keep the offsets of their source.
#[tokio::test]
async fn records_lie_where_a_copier_says_that_may_manage_the_topic() {
    let mut stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let put = |text: &str, at| {
        let mut request = produce("t", 0, batch(&[("k", text)], NOW, None), -1);
        request.topic_data[0].partition_data[0].at_offset = at;
        request
    };
    let place = |told: ProduceResponse| {
        let told = &told.responses[0].partition_responses[0];
        (told.error_code, told.base_offset)
    };
    let told = client.call(Api::Produce, 12, &put("a", 1_000)).await;
    assert_eq!(place(told), (0, 1_000));
    let told = client.call(Api::Produce, 12, &put("a", 1_000)).await;
    assert_eq!(place(told), (OFFSET_OUT_OF_RANGE, -1), "it is taken");
    let told = client.call(Api::Produce, 12, &put("b", 1_005)).await;
    assert_eq!(place(told), (0, 1_005));
    let told = client.call(Api::Produce, 12, &put("b", -2)).await;
    assert_eq!(place(told), (INVALID_REQUEST, -1));
    // As compaction has left it at the source.
    let three = Batch::parse(batch(&[("k", "x"), ("k", "y"), ("k", "z")], NOW, None));
    let thinned = three.expect("a batch").thinned(|view| view.offset != 1).expect("records");
    let mut request = put("", 1_010);
    request.topic_data[0].partition_data[0].records = Some(thinned.bytes().clone());
    assert_eq!(place(client.call(Api::Produce, 12, &request).await), (0, 1_010));
    let publisher = stand.server.admin().key(&stand.room, &["events:publish"]).await;
    let mut publisher = Kafka::signed_in(&stand.server.kafka, &publisher).await;
    let told = publisher.call(Api::Produce, 12, &put("x", 2_000)).await;
    assert_eq!(place(told), (TOPIC_AUTHORIZATION_FAILED, -1));
    let told = publisher.call(Api::Produce, 12, &put("c", -1)).await;
    assert_eq!(place(told), (0, 1_013));
    stand.server.kill();
    stand.server = stand.home.start();
    let mut client = stand.client().await;
    let found = read(&client.fetch("t", 0, 1_001).await);
    let expected = [(1_005, "b"), (1_010, "x"), (1_012, "z"), (1_013, "c")];
    assert_eq!(found, expected.map(|(offset, text)| (offset, text.to_owned())));
    let url = format!("{}/v1/topics/t/records?from=earliest", stand.server.url);
    let told = reqwest::Client::new().get(url).bearer_auth(&stand.key.secret).send().await;
    let told = told.expect("an answer").text().await.expect("a text");
    assert!(told.contains(r#""offset":1000"#) && told.contains(r#""offset":1013"#), "{told}");
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
