//! A client that loses its connection anywhere and comes back with the cursors it kept.

use super::stage::{Client, World};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use types::TopicConfig;

/// What one client knows: its cursors and what it has seen.
#[derive(Default)]
struct Reader {
    start: Option<String>,
    last_of_partition: BTreeMap<u64, String>,
    seen: Vec<(u64, u64)>,
}

impl Reader {
    /// Everything kept, presented together: the server merges.
    fn from(&self) -> Value {
        match &self.start {
            None => json!("earliest"),
            Some(start) => {
                let cursors = std::iter::once(start).chain(self.last_of_partition.values());
                json!(cursors.collect::<Vec<_>>())
            }
        }
    }

    async fn subscribe(&mut self, client: &mut Client) {
        let request = json!({"type":"subscribe","id":1,"filter":"a","from":self.from()});
        let answer = client.ask(&request.to_string(), r#"{"type":"subscribed"}"#).await;
        let cursor = answer["cursor"].as_str().expect("a cursor").to_owned();
        self.start.get_or_insert(cursor);
    }

    /// Reads until `count` records have come.
    async fn read(&mut self, client: &mut Client, count: usize) {
        let mut left = count;
        while left > 0 {
            let frame = client.frame().await;
            if frame["type"] != "record" {
                assert_eq!(frame["type"], "caught_up", "{frame}");
                continue;
            }
            let place = (frame["partition"].as_u64(), frame["offset"].as_u64());
            let (Some(partition), Some(offset)) = place else { panic!("no place: {frame}") };
            let cursor = frame["cursor"].as_str().expect("a cursor").to_owned();
            self.last_of_partition.insert(partition, cursor);
            self.seen.push((partition, offset));
            left -= 1;
        }
    }
}

async fn publish(client: &mut Client, keys: &[u8]) {
    let records: Vec<_> =
        keys.iter().map(|key| json!({"topic":"a","key":key.to_string(),"data":1})).collect();
    if !records.is_empty() {
        let frame = json!({"type":"publish","id":1,"records":records}).to_string();
        client.ask(&frame, r#"{"type":"published"}"#).await;
    }
}

/// Rounds of: publish these keys, connect, read this share of what is there, lose the connection.
async fn run(partitions: u32, rounds: &[(Vec<u8>, u8)]) {
    let world = World::new();
    let config = TopicConfig { partitions, ..TopicConfig::default() };
    world.hub.topic(world.place, "a", config);
    let mut publisher = world.client().await;
    let mut reader = Reader::default();
    let mut published = 0;
    for (keys, share) in rounds {
        publish(&mut publisher, keys).await;
        published += keys.len();
        let mut client = world.client().await;
        reader.subscribe(&mut client).await;
        let there = published - reader.seen.len();
        reader.read(&mut client, there * usize::from(*share) / 255).await;
    }
    let mut client = world.client().await;
    reader.subscribe(&mut client).await;
    reader.read(&mut client, published - reader.seen.len()).await;
    let distinct: BTreeSet<_> = reader.seen.iter().copied().collect();
    assert_eq!(distinct.len(), published, "a record is missing");
    assert_eq!(reader.seen.len(), published, "a record came twice");
    let mut next = BTreeMap::new();
    for (partition, offset) in reader.seen {
        let expected = next.entry(partition).or_insert(0);
        assert_eq!(offset, *expected, "partition {partition} is in order");
        *expected += 1;
    }
}

/// Keys to publish, and the share of what is there that is read before the connection is lost.
fn round() -> impl Strategy<Value = (Vec<u8>, u8)> {
    (prop::collection::vec(any::<u8>(), 0..20), any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// **Feature: realtime-saas-platform, Property 9: after a network drop, reconnecting works and
    /// errors are reported properly** - here: from any point of disconnection, any number of
    /// times, a client that presents the cursors it kept gets every record once and in order.
    #[test]
    fn any_disconnection_leaves_no_gap_and_no_duplicate(
        partitions in 1u32..5,
        rounds in prop::collection::vec(round(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(run(partitions, &rounds));
    }
}
