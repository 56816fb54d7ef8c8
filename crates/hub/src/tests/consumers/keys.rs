//! The order of keys: a record that is not acknowledged holds the later ones of its key back.

use super::{Worker, config, on_node, retry, texts};
use crate::tests::record;
use port::consumers::Verdict;
use types::ConsumerConfig;
use types::consumer::Ordering;

#[test]
fn a_key_waits_for_its_earliest_record_and_others_do_not() {
    on_node(async |site| {
        let config = ConsumerConfig { ordering: Ordering::Key, ..config() };
        let worker = Worker::new(site, 2, config).await;
        let records = [("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("a", "a3")];
        let records = records.map(|(key, value)| record(key, value)).to_vec();
        site.publish(&worker.who, "orders", records).await;
        let mut got = worker.fetch(9).await;
        got.sort_by_key(|one| texts(std::slice::from_ref(one)));
        assert_eq!(texts(&got), ["a1", "b1"]);
        assert_eq!(worker.info().await.held, 3);
        worker.acknowledge(&got[1..]).await;
        let next = worker.fetch(9).await;
        assert_eq!(texts(&next), ["b2"]);
        worker.settle_all(&got[..1], retry()).await;
        assert!(worker.fetch(9).await.is_empty(), "a1 waits, and a2 behind it");
        worker.pass_ms(100);
        let again = worker.fetch(9).await;
        assert_eq!(texts(&again), ["a1"]);
        worker.settle_all(&again, Verdict::Reject { reason: None }).await;
        let next = worker.fetch(9).await;
        assert_eq!(texts(&next), ["a2"], "a dead letter holds nobody back");
        worker.acknowledge(&next).await;
        assert_eq!(texts(&worker.fetch(9).await), ["a3"]);
    });
}
