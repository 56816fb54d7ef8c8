//! The same topic by Kafka and by everything else.

use super::Stand;
use super::client::{batch, fetch, only, read};
use crate::stand::ws::Client;
use bytes::Bytes;
use kafka::messages::Api;
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};
use testkit::packed::packed;
use types::Batch;
use types::batch::Packing;

#[tokio::test]
async fn a_produce_reaches_who_follows_by_web_socket_and_counts_once() {
    let stand = Stand::new().await;
    stand.topic("orders", 3).await;
    let mut follower = Client::open(&stand.server.url, &stand.key.secret).await;
    follower.subscribe(1, "orders/eu", "latest".into()).await;
    let mut client = stand.client().await;
    // The partition of the key by Kafka's rule: where we would have put it ourselves.
    let published = json!({ "type": "publish", "topic": "orders", "key": "eu", "data": "first" });
    let placed = follower.done(published).await;
    let partition = placed["records"][0]["partition"].as_i64().expect("a partition");
    assert_eq!(follower.record().await.data(), json!("first"));
    let records = [("eu", r#"{"total":99}"#), ("us", "1")];
    let at = 1_700_000_000_000;
    let placed = client.produce("orders", partition as i32, batch(&records, at, None)).await;
    assert_eq!((placed.error_code, placed.base_offset), (0, 1));
    let record = follower.record().await;
    assert_eq!(record.data(), json!({ "total": 99 }));
    let latest: Value = Http::new()
        .get(format!("{}/v1/topics/orders/latest?key=eu", stand.server.url))
        .bearer_auth(&stand.key.secret)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert!(latest.to_string().contains("99"), "{latest}");
    // One from the socket and two from Kafka.
    let deadline = std::time::Instant::now() + crate::stand::PATIENCE;
    while stand.server.admin().used(&stand.room, "events_published").await != 3 {
        assert!(std::time::Instant::now() < deadline, "it is not counted");
        tokio::time::sleep(crate::stand::LOOK_EVERY).await;
    }
    let found = read(&client.fetch("orders", partition as i32, 0).await);
    assert_eq!(found.len(), 3, "both ways");
}

#[tokio::test]
async fn compressed_batches_stay_as_they_came_and_everybody_reads_them() {
    let stand = Stand::new().await;
    stand.topic("orders", 1).await;
    let mut follower = Client::open(&stand.server.url, &stand.key.secret).await;
    follower.subscribe(1, "orders/eu", "latest".into()).await;
    let mut client = stand.client().await;
    let records: Vec<(&str, String)> =
        (0..100).map(|total| ("eu", format!(r#"{{"total":{total}}}"#))).collect();
    let records: Vec<(&str, &str)> = records.iter().map(|(key, it)| (*key, it.as_str())).collect();
    let open = Batch::parse(batch(&records, 1_700_000_000_000, None)).expect("a batch");
    for (index, packing) in
        [Packing::Gzip, Packing::Snappy, Packing::Lz4, Packing::Zstd].into_iter().enumerate()
    {
        let sent = packed(&open, packing).bytes().clone();
        assert!(sent.len() < open.bytes().len() / 2, "{packing:?}");
        let offset = 100 * index as i64;
        let placed = client.produce("orders", 0, sent.clone()).await;
        assert_eq!((placed.error_code, placed.base_offset), (0, offset), "{packing:?}");
        for total in 0..100 {
            assert_eq!(follower.record().await.data(), json!({ "total": total }), "{packing:?}");
        }
        let found = client.fetch("orders", 0, offset).await;
        let found = found.records.expect("records").0.concat();
        assert_eq!(found[8..], sent[8..], "{packing:?}: all but the offset");
        // Clients of these versions may not know zstd.
        let request = fetch("orders", 0, offset, 0);
        let found = only(client.call(Api::Fetch, 9, &request).await);
        let codec = found.records.as_ref().expect("records").0.concat()[22] & 7;
        assert_eq!(codec == 0, packing == Packing::Zstd);
        assert_eq!(read(&found).len(), 100);
    }
    let told = client.produce("orders", 0, broken(packed(&open, Packing::Zstd).bytes())).await;
    assert_eq!(told.error_code, 2, "{told:?}");
}

/// The batch with records that do not decompress, under a right checksum.
fn broken(batch: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[61..70].fill(0);
    let checksum = crc_fast::crc32_iscsi(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes.into()
}

/// Schemas and rights hold for Kafka too.
#[tokio::test]
async fn what_the_topic_asks_of_values_and_keys_is_asked_of_batches() {
    let stand = Stand::new().await;
    let admin = stand.server.admin();
    let schema = json!({ "schema": { "type": "object", "required": ["total"] } });
    admin.done(Method::PUT, &stand.room.path("topics/strict"), &schema).await;
    let mut client = stand.client().await;
    let at = 1_700_000_000_000;
    let told = client.produce("strict", 0, batch(&[("k", "{}")], at, None)).await;
    assert_eq!(told.error_code, 87, "{told:?}");
    let fine = batch(&[("k", r#"{"total":1}"#)], at, None);
    assert_eq!(client.produce("strict", 0, fine).await.error_code, 0);
    // A key that may publish to one address only.
    let body = json!({
        "name": "narrow", "scopes": ["events:publish", "events:subscribe"],
        "grants": [{ "effect": "allow", "access": "publish", "filter": "open/mine" }],
    });
    admin.topic(&stand.room, "open", 1).await;
    let narrow = admin.key_as(&stand.room, &body).await;
    let mut client = super::Kafka::signed_in(&stand.server.kafka, &narrow).await;
    let mine = batch(&[("mine", "1")], at, None);
    assert_eq!(client.produce("open", 0, mine).await.error_code, 0);
    let theirs = batch(&[("mine", "1"), ("theirs", "2")], at, None);
    assert_eq!(client.produce("open", 0, theirs).await.error_code, 29);
    assert_eq!(client.fetch("open", 0, 0).await.error_code, 29, "and may not read");
}
