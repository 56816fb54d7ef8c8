//! What consumers ask, and what they get.

use super::Stand;
use super::client::{FETCH, Kafka, batch, fetch, only, read};
use crate::stand::ws::Client;
use kafka::messages::Api;
use kafka::messages::fetch::{FetchRequest, FetchResponse};
use kafka::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use kafka::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};
use std::time::{Duration, Instant};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
const NOW: i64 = 1_700_000_000_000;

async fn three(stand: &Stand) -> Kafka {
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let records = [("a", "one"), ("b", "two"), ("c", "three")];
    client.produce("t", 0, batch(&records, NOW, None)).await;
    client
}

/// Gotcha 5: whole batches, and the first one however large it is.
#[tokio::test]
async fn an_offset_inside_a_batch_brings_the_batch_whole() {
    let stand = Stand::new().await;
    let mut client = three(&stand).await;
    let found = client.fetch("t", 0, 2).await;
    assert_eq!((found.error_code, found.high_watermark, found.log_start_offset), (0, 3, 0));
    assert_eq!(read(&found).len(), 3, "from the batch's base");
    let mut small = fetch("t", 0, 0, 0);
    small.max_bytes = 1;
    small.topics[0].partitions[0].partition_max_bytes = 1;
    let told: FetchResponse = client.call(Api::Fetch, FETCH, &small).await;
    assert_eq!(read(&only(told)).len(), 3);
}

#[tokio::test]
async fn beyond_the_end_is_out_of_range_and_the_end_is_not() {
    let stand = Stand::new().await;
    let mut client = three(&stand).await;
    let at_end = client.fetch("t", 0, 3).await;
    assert_eq!((at_end.error_code, read(&at_end).len()), (0, 0));
    assert_eq!(client.fetch("t", 0, 4).await.error_code, OFFSET_OUT_OF_RANGE);
    assert_eq!(client.fetch("t", 0, -5).await.error_code, OFFSET_OUT_OF_RANGE);
}

/// Gotcha 7: whoever asks for a session gets none, and one that we never gave is unknown.
#[tokio::test]
async fn a_fetch_session_is_answered_with_none() {
    let stand = Stand::new().await;
    let mut client = three(&stand).await;
    let first = FetchRequest { session_epoch: 0, ..fetch("t", 0, 0, 0) };
    let told: FetchResponse = client.call(Api::Fetch, FETCH, &first).await;
    assert_eq!((told.error_code, told.session_id), (0, 0));
    let later = FetchRequest { session_id: 5, session_epoch: 1, ..FetchRequest::default() };
    let told: FetchResponse = client.call(Api::Fetch, FETCH, &later).await;
    assert_eq!(told.error_code, FETCH_SESSION_ID_NOT_FOUND);
}

/// Gotcha 8: a record wakes whoever waits for it, at once, whatever protocol brought it.
#[tokio::test]
async fn a_waiting_fetch_is_woken_by_a_record() {
    let stand = Stand::new().await;
    let mut waiting = three(&stand).await;
    let asked = waiting.ask(Api::Fetch, FETCH, &fetch("t", 0, 3, 25_000)).await;
    let began = Instant::now();
    let mut socket = Client::open(&stand.server.url, &stand.key.secret).await;
    let publish =
        serde_json::json!({ "type": "publish", "topic": "t", "key": "d", "data": "four" });
    socket.done(publish).await;
    let told: FetchResponse = waiting.answer(Api::Fetch, FETCH, asked).await;
    assert_eq!(read(&only(told)), [(3, "\"four\"".to_owned())]);
    assert!(began.elapsed() < Duration::from_secs(20), "it did not wait to the end");
    // And who waits in vain is answered at the end.
    let told: FetchResponse = waiting.call(Api::Fetch, FETCH, &fetch("t", 0, 4, 50)).await;
    assert!(read(&only(told)).is_empty());
}

async fn offset_at(client: &mut Kafka, timestamp: i64) -> (i64, i64) {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t".to_owned(),
            partitions: vec![ListOffsetsPartition { timestamp, ..Default::default() }],
        }],
        ..ListOffsetsRequest::default()
    };
    let told: ListOffsetsResponse = client.call(Api::ListOffsets, 6, &request).await;
    let found = &told.topics[0].partitions[0];
    assert_eq!(found.error_code, 0);
    (found.offset, found.timestamp)
}

/// Gotcha 9: by time, inside the batch.
#[tokio::test]
async fn a_time_finds_the_record_inside_its_batch() {
    let stand = Stand::new().await;
    let mut client = three(&stand).await;
    assert_eq!(offset_at(&mut client, -2).await, (0, -1));
    assert_eq!(offset_at(&mut client, -1).await, (3, -1));
    assert_eq!(offset_at(&mut client, NOW - 1).await, (0, NOW));
    assert_eq!(offset_at(&mut client, NOW + 1).await, (1, NOW + 1_000));
    assert_eq!(offset_at(&mut client, NOW + 2_000).await, (2, NOW + 2_000));
    assert_eq!(offset_at(&mut client, NOW + 2_001).await, (-1, -1), "none is so young");
}

/// Gotcha 10: there was one leader, and a client that knows of a later one is told so.
#[tokio::test]
async fn epochs_of_leaders_that_never_were_are_unknown() {
    let stand = Stand::new().await;
    let mut client = three(&stand).await;
    let mut ahead = fetch("t", 0, 0, 0);
    ahead.topics[0].partitions[0].current_leader_epoch = 9;
    let told: FetchResponse = client.call(Api::Fetch, FETCH, &ahead).await;
    assert_eq!(only(told).error_code, UNKNOWN_LEADER_EPOCH);
    let ask = |leader_epoch| OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic {
            topic: "t".to_owned(),
            partitions: vec![OffsetForLeaderPartition { leader_epoch, ..Default::default() }],
        }],
        ..OffsetForLeaderEpochRequest::default()
    };
    let told: OffsetForLeaderEpochResponse =
        client.call(Api::OffsetForLeaderEpoch, 4, &ask(0)).await;
    let end = &told.topics[0].partitions[0];
    assert_eq!((end.error_code, end.leader_epoch, end.end_offset), (0, 0, 3));
    let told: OffsetForLeaderEpochResponse =
        client.call(Api::OffsetForLeaderEpoch, 4, &ask(3)).await;
    assert_eq!(told.topics[0].partitions[0].end_offset, -1);
}
