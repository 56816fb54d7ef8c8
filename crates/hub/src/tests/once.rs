//! Published again, and several topics at once: stored once, counted once, all or nothing.

use super::{name, on_shard, record};
use port::{Code, Hub, Live};
use types::{Durability, Header, Record, TopicConfig};

fn with_id(key: &str, id: &'static str) -> Record {
    let name = bytes::Bytes::from_static(types::record::header::ID.as_bytes());
    let header = Header { name, value: bytes::Bytes::from_static(id.as_bytes()) };
    Record { headers: std::iter::once(header).collect(), ..record(key, "1") }
}

#[test]
fn a_duplicate_is_answered_and_not_counted() {
    on_shard(async |site| {
        let who = site.owner().await;
        let config = TopicConfig { partitions: 4, ..TopicConfig::default() };
        site.node.put_topic(&who, &name("t"), config).await.expect("is made");
        let first = site.publish(&who, "t", vec![with_id("a", "x"), with_id("b", "y")]).await;
        assert!(first.iter().all(|placed| !placed.is_duplicate));
        let again = site.publish(&who, "t", vec![with_id("c", "y"), with_id("a", "z")]).await;
        let (placed, first) = (again[0], first[1]);
        assert!(placed.is_duplicate);
        assert_eq!((placed.partition, placed.offset), (first.partition, first.offset));
        assert!(!again[1].is_duplicate);
        let used = site.node.take_usage();
        let published = used.iter().map(|(_, _, usage)| usage.events_published).sum::<u64>();
        assert_eq!(published, 3);
    });
}

#[test]
fn a_transaction_checks_all_before_it_stores_any() {
    on_shard(async |site| {
        let who = site.owner().await;
        let config = TopicConfig { durability: Durability::Ephemeral, ..TopicConfig::default() };
        site.node.put_topic(&who, &name("gone"), config).await.expect("is made");
        let parts = |other: &str| {
            vec![
                (name("orders"), vec![record("a", "1"), record("b", "2")]),
                (name(other), vec![record("c", "3")]),
            ]
        };
        let refused = site.node.transact(&who, parts("gone")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unsupported);
        let placed = site.node.transact(&who, parts("audit")).await.expect("is stored");
        let offsets = placed.iter().map(|part| part.iter().map(|it| it.offset).collect::<Vec<_>>());
        assert_eq!(offsets.collect::<Vec<_>>(), [vec![0, 1], vec![0]]);
    });
}
