//! Acknowledged and published together: what was made of a record is there once, whatever happens.

use super::{Plant, Worker, config, on_node, texts};
use crate::tests::{Site, make_project, name, record};
use port::consumers::{Settled, Verdict};
use port::{Code, Placed, Refusal};
use std::collections::BTreeMap;
use types::{ConsumerConfig, Limits, Record};

impl Worker<'_> {
    async fn settle_with(
        &self,
        tokens: Vec<String>,
        records: Vec<Record>,
    ) -> Result<Vec<Vec<Placed>>, Refusal> {
        let publishes = vec![(name("made"), records)];
        self.all().settle_with(&self.who, &self.at, tokens, publishes).await
    }
}

#[test]
fn both_or_neither() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        worker.publish(&["a", "b"]).await;
        let got = worker.fetch(9).await;
        let token = |index: usize| got[index].token.clone();
        let made = |text: &str| vec![record("k", text)];
        let placed = worker.settle_with(vec![token(0)], made("A")).await.expect("together");
        assert_eq!((placed.len(), placed[0].len()), (1, 1));
        assert_eq!(worker.read("made").await, ["A"]);
        // Twice is refused as a whole, also beside one that would do.
        let refused = worker.settle_with(vec![token(1), token(0)], made("AB")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
        assert_eq!(refused.field_name(), Some("acknowledge.tokens[1]"));
        assert_eq!(worker.read("made").await, ["A"]);
        // What is wrong with a record leaves the delivery where it was.
        let large = vec![record("k", &"x".repeat(types::limits::RECORD_BYTES_MAX + 1))];
        let refused = worker.settle_with(vec![token(1)], large).await.unwrap_err();
        assert_eq!(refused.code(), Code::PayloadTooLarge);
        // Whose lease was lost publishes nothing.
        worker.pass_ms(super::WAIT_MS + 100);
        let again = worker.fetch(9).await;
        assert_eq!(texts(&again), ["b"]);
        let refused = worker.settle_with(vec![token(1)], made("B")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
        worker.settle_with(vec![again[0].token.clone()], made("B")).await.expect("together");
        assert_eq!(worker.read("made").await, ["A", "B"]);
        assert_eq!(worker.info().await.lag, 0);
        let outcome = worker.settle_all(&again, Verdict::Acknowledge).await;
        assert_eq!(outcome, [Ok(Settled::Acknowledged)]);
    });
}

/// Power fails during every change of the disk in turn while a worker moves records over.
#[test]
fn each_record_is_made_once_whenever_the_power_fails() {
    const RECORDS: usize = 12;
    let mut plant = Plant::new();
    let (scope, key) = plant.run(async |base| {
        let scope = make_project(&base.tenancy, Limits::default()).await;
        let site = Site { base, tenant: scope.0, project: scope.1 };
        let config = ConsumerConfig { deliveries_max: 1_000, ..config() };
        let worker = Worker::new(&site, 2, config).await;
        let text = |n: usize| record(&n.to_string(), &n.to_string());
        site.publish(&worker.who, "orders", (0..RECORDS).map(text).collect()).await;
        // Made before the power fails, so that only its records are at stake.
        site.publish(&worker.who, "made", vec![record("k", "first")]).await;
        (scope, site.key(scope, types::Scopes::all()).await)
    });
    for crash_after in 1..40 {
        plant.run(async |base| {
            base.disk.crash_at(base.disk.changes() + crash_after % 7 + 1);
            let site = Site { base, tenant: scope.0, project: scope.1 };
            let who = site.prove(&key).await.expect("a good key");
            let worker = Worker { site: &site, who, at: super::address("orders", "mail") };
            worker.pass_ms(super::WAIT_MS + 200);
            let fetch = port::consumers::Fetch {
                records_max: 2,
                bytes_max: 1 << 20,
                wait: std::time::Duration::ZERO,
            };
            let Ok(got) = worker.all().fetch(&worker.who, &worker.at, fetch).await else {
                return;
            };
            for one in got {
                let text = texts(std::slice::from_ref(&one)).remove(0);
                // Whether it went well is not known when the power fails: that is the point.
                let _ = worker.settle_with(vec![one.token], vec![record(&text, &text)]).await;
            }
        });
        plant.crash();
    }
    plant.run(async |base| {
        let site = Site { base, tenant: scope.0, project: scope.1 };
        let who = site.prove(&key).await.expect("a good key");
        let worker = Worker { site: &site, who, at: super::address("orders", "mail") };
        for _ in 0..RECORDS {
            worker.pass_ms(super::WAIT_MS + 200);
            for one in worker.fetch(100).await {
                let text = texts(std::slice::from_ref(&one)).remove(0);
                let made = vec![record(&text, &text)];
                worker.settle_with(vec![one.token], made).await.expect("together");
            }
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in worker.read("made").await {
            *counts.entry(text).or_default() += 1;
        }
        counts.remove("first");
        assert_eq!(counts.len(), RECORDS, "all are made");
        assert!(counts.values().all(|&count| count == 1), "and once: {counts:?}");
    });
}
