//! Records that failed for good: where they go, what they carry, and how they come back.

use super::{Worker, config, on_node, retry, seen, texts};
use crate::tests::{name, on_shard, record};
use port::consumers::{ReplayTo, Settled, Verdict, Which};
use port::{Code, Hub, ReadRequest};
use proptest::prelude::*;
use std::time::Duration;
use types::{ConsumerConfig, From};

impl Worker<'_> {
    async fn letters(&self) -> Vec<port::consumers::DeadLetter> {
        let found = self.all().dead_letters(&self.who, &self.at, None, 100).await;
        found.expect("dead letters").letters
    }

    pub(super) async fn read(&self, topic: &str) -> Vec<String> {
        let request = ReadRequest {
            topic: name(topic),
            from: From::Earliest,
            key: None,
            last: None,
            limit: 1_000,
            wait: Duration::ZERO,
        };
        let answer = self.site.node.read(&self.who, request).await.expect("a read");
        super::super::values(&answer.records)
    }
}

#[test]
fn after_the_last_delivery_a_record_is_a_dead_letter_with_all_that_is_known() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        worker.publish(&["good", "bad"]).await;
        let got = worker.fetch(9).await;
        worker.acknowledge(&got[..1]).await;
        worker.settle_all(&got[1..], retry()).await;
        worker.pass_ms(100);
        let got = worker.fetch(9).await;
        worker.settle_all(&got, retry()).await;
        worker.pass_ms(200);
        let got = worker.fetch(9).await;
        assert_eq!(seen(&got), [("bad".into(), 3)]);
        assert_eq!(worker.settle_all(&got, retry()).await, [Ok(Settled::Dead)]);
        let info = worker.info().await;
        assert_eq!((info.lag, info.dead_letters, info.partitions[0].committed), (0, 1, 2));
        let letters = worker.letters().await;
        let letter = &letters[0];
        assert_eq!(letter.reason, "the mail server is down");
        assert_eq!((letter.deliveries, letter.partition, letter.offset), (3, 0, 1));
        assert_eq!(letter.topic, "orders");
        assert_eq!(letter.timestamp, got[0].delivery.timestamp);
        let buried = &letter.delivery.record;
        assert_eq!(buried.key, got[0].delivery.record.key);
        assert_eq!(buried.value, got[0].delivery.record.value);
        let header = buried.header("dead-letter-consumer").expect("a header readers see");
        assert_eq!(&header[..], b"mail");
        assert_eq!(worker.read("orders.mail.dead").await, ["bad"]);
    });
}

#[test]
fn leases_that_end_lead_there_too_also_while_nobody_fetches() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, ConsumerConfig { deliveries_max: 1, ..config() }).await;
        worker.publish(&["bad"]).await;
        assert_eq!(worker.fetch(9).await.len(), 1);
        worker.pass_ms(super::WAIT_MS);
        site.node.sweep_consumers().await;
        let letters = worker.letters().await;
        assert_eq!(letters[0].reason, "delivered once, and not acknowledged in time");
        assert!(worker.fetch(9).await.is_empty());
    });
}

#[test]
fn letters_are_replayed_to_the_topic_to_the_consumer_or_purged_once() {
    on_node(async |site| {
        let worker = Worker::new(site, 2, config()).await;
        let records = ["a", "b", "c", "d"].map(|key| record(key, key)).to_vec();
        site.publish(&worker.who, "orders", records).await;
        let got = worker.fetch(9).await;
        worker.settle_all(&got, Verdict::Reject { reason: None }).await;
        let letters = worker.letters().await;
        assert_eq!(letters.len(), 4);
        let all = worker.all();
        let place = |index: usize| {
            let delivery = &letters[index].delivery;
            Which::At(vec![(delivery.partition, delivery.offset)])
        };
        let value = |index: usize| {
            let value = letters[index].delivery.record.value.as_deref().unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let count = all.replay(&worker.who, &worker.at, place(0), ReplayTo::Consumer).await;
        assert_eq!(count.unwrap(), 1);
        let again = worker.fetch(9).await;
        assert_eq!(seen(&again), [(value(0), 1)], "counted anew");
        assert_eq!(worker.read("orders").await.len(), 4, "nobody else sees it");
        worker.acknowledge(&again).await;
        let count = all.replay(&worker.who, &worker.at, place(1), ReplayTo::Topic).await;
        assert_eq!(count.unwrap(), 1);
        assert_eq!(worker.read("orders").await.len(), 5);
        let again = worker.fetch(9).await;
        assert_eq!(texts(&again), [value(1)]);
        let replayed = &again[0].delivery.record;
        assert_eq!(replayed.key, letters[1].delivery.record.key);
        assert!(replayed.header("dead-letter-reason").is_none());
        let gone = all.replay(&worker.who, &worker.at, place(1), ReplayTo::Topic).await;
        assert_eq!(gone.unwrap_err().code(), Code::NotFound, "once is enough");
        assert_eq!(all.purge(&worker.who, &worker.at, place(2)).await.unwrap(), 1);
        assert_eq!(worker.info().await.dead_letters, 1);
        assert_eq!(all.purge(&worker.who, &worker.at, Which::Oldest(100)).await.unwrap(), 1);
        assert!(worker.letters().await.is_empty());
        assert_eq!(all.purge(&worker.who, &worker.at, Which::Oldest(100)).await.unwrap(), 0);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property 32: an event whose processing failed lands in
    /// the dead-letter queue**
    #[test]
    fn every_failed_record_is_a_dead_letter_and_no_other(
        fails in prop::collection::vec(any::<bool>(), 1..20),
        is_rejected in any::<bool>(),
        partitions in 1..4u32,
    ) {
        on_shard(async |site| {
            let worker = Worker::new(site, partitions, config()).await;
            let text = |index: usize| format!("{index}");
            let records = (0..fails.len()).map(|index| record(&text(index), &text(index)));
            site.publish(&worker.who, "orders", records.collect()).await;
            // More rounds than any record may be delivered.
            for _ in 0..6 {
                for one in worker.fetch(100).await {
                    let index: usize = texts(std::slice::from_ref(&one))[0].parse().expect("ours");
                    let verdict = match (fails[index], is_rejected) {
                        (false, _) => Verdict::Acknowledge,
                        (true, true) => Verdict::Reject { reason: Some(text(index)) },
                        (true, false) => retry(),
                    };
                    worker.settle_all(&[one], verdict).await[0].as_ref().expect("settled");
                }
                worker.pass_ms(1_000);
            }
            let failed = (0..fails.len()).filter(|&index| fails[index]).map(text);
            let mut found = worker.read("orders.mail.dead").await;
            found.sort_by_key(|text| text.parse::<usize>().expect("ours"));
            prop_assert_eq!(found, failed.collect::<Vec<_>>());
            prop_assert_eq!(worker.info().await.lag, 0);
            Ok(())
        })?;
    }
}
