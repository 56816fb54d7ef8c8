//! Producers that number their batches: gotcha 11.

use super::Stand;
use super::client::{Kafka, batch, read};
use kafka::messages::Api;
use kafka::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use types::{Producer, Stamp};

const OUT_OF_ORDER: i16 = 45;
const NOW: i64 = 1_700_000_000_000;

async fn producer(client: &mut Kafka) -> Producer {
    let request = InitProducerIdRequest { transaction_timeout_ms: -1, ..Default::default() };
    let told: InitProducerIdResponse = client.call(Api::InitProducerId, 4, &request).await;
    assert_eq!(told.error_code, 0);
    Producer { id: told.producer_id, epoch: told.producer_epoch }
}

fn numbered(producer: Producer, sequence: i32) -> Option<Stamp> {
    Some(Stamp { producer, sequence: Some(sequence), is_transactional: false })
}

#[tokio::test]
async fn a_batch_sent_twice_has_its_first_place_over_a_kill_too() {
    let mut stand = Stand::new().await;
    stand.topic("t", 1).await;
    let mut client = stand.client().await;
    let own = producer(&mut client).await;
    let other = producer(&mut client).await;
    assert_ne!(own.id, other.id, "no two are the same");
    let first = batch(&[("k", "a"), ("k", "b")], NOW, numbered(own, 0));
    let second = batch(&[("k", "c")], NOW, numbered(own, 2));
    assert_eq!(client.produce("t", 0, first.clone()).await.base_offset, 0);
    assert_eq!(client.produce("t", 0, second.clone()).await.base_offset, 2);
    assert_eq!(client.produce("t", 0, first.clone()).await.base_offset, 0, "its first place");
    let gap = batch(&[("k", "x")], NOW, numbered(own, 9));
    assert_eq!(client.produce("t", 0, gap).await.error_code, OUT_OF_ORDER);
    stand.server.kill();
    stand.server = stand.home.start();
    let mut client = stand.client().await;
    assert_eq!(client.produce("t", 0, second).await.base_offset, 2, "known after the kill");
    let third = batch(&[("k", "d")], NOW, numbered(own, 3));
    assert_eq!(client.produce("t", 0, third).await.base_offset, 3);
    let found = read(&client.fetch("t", 0, 0).await);
    let values: Vec<&str> = found.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["a", "b", "c", "d"]);
    assert!(producer(&mut client).await.id > other.id, "numbers are never given twice");
}
