//! Durable consumers on the real engine: leases, retries, dead letters, resets, restarts.

mod crash;
mod keys;
mod letters;
mod streaming;
mod together;

use super::{Base, Site, make_project, name, record};
use port::consumers::{
    ConsumerAddress, ConsumerInfo, Fetch, Leased, ResetTo, Settled, Settlement, Verdict,
};
use port::{Code, Consumers, Hub, Identity, Refusal};
use std::rc::Rc;
use std::time::Duration;
use types::consumer::{Backoff, Start};
use types::{ConsumerConfig, ConsumerName, Limits, Scope, TopicConfig};

const WAIT_MS: u64 = 1_000;

/// Somebody who consumes one topic.
struct Worker<'a> {
    site: &'a Site,
    who: Identity,
    at: ConsumerAddress,
}

fn address(topic: &str, consumer: &str) -> ConsumerAddress {
    ConsumerAddress { topic: name(topic), name: ConsumerName::parse(consumer).expect("a name") }
}

/// Short and without jitter, so that tests can tell what is due when.
fn config() -> ConsumerConfig {
    ConsumerConfig {
        ack_wait_ms: WAIT_MS,
        deliveries_max: 3,
        backoff: Backoff { delays_ms: vec![100, 200], jitter_percent: 0, ..Backoff::default() },
        ..ConsumerConfig::default()
    }
}

impl<'a> Worker<'a> {
    async fn new(site: &'a Site, partitions: u32, config: ConsumerConfig) -> Worker<'a> {
        let who = site.owner().await;
        let topic = TopicConfig { partitions, ..TopicConfig::default() };
        site.node.put_topic(&who, &name("orders"), topic).await.expect("a topic");
        let worker = Worker { site, who, at: address("orders", "mail") };
        let (_, is_new) = worker.all().put(&worker.who, &worker.at, config).await.expect("put");
        assert!(is_new);
        worker
    }

    fn all(&self) -> &dyn Consumers {
        self.site.node.consumers().expect("the hub has consumers")
    }

    async fn publish(&self, values: &[&str]) {
        let records = values.iter().map(|value| record("k", value)).collect();
        self.site.publish(&self.who, "orders", records).await;
    }

    async fn fetch(&self, records_max: usize) -> Vec<Leased> {
        let fetch = Fetch { records_max, bytes_max: 1 << 20, wait: Duration::ZERO };
        self.all().fetch(&self.who, &self.at, fetch).await.expect("a fetch")
    }

    async fn settle_all(
        &self,
        leased: &[Leased],
        verdict: Verdict,
    ) -> Vec<Result<Settled, Refusal>> {
        let settlement =
            |one: &Leased| Settlement { token: one.token.clone(), verdict: verdict.clone() };
        let settlements = leased.iter().map(settlement).collect();
        self.all().settle(&self.who, &self.at, settlements).await.expect("settled")
    }

    async fn acknowledge(&self, leased: &[Leased]) {
        for outcome in self.settle_all(leased, Verdict::Acknowledge).await {
            assert_eq!(outcome, Ok(Settled::Acknowledged));
        }
    }

    async fn info(&self) -> ConsumerInfo {
        self.all().get(&self.who, &self.at).await.expect("info")
    }

    fn pass_ms(&self, ms: u64) {
        self.site.clock.advance(Duration::from_millis(ms));
    }
}

fn seen(leased: &[Leased]) -> Vec<(String, u32)> {
    let value = |one: &Leased| {
        let value = one.delivery.record.value.as_deref().unwrap_or_default();
        (String::from_utf8_lossy(value).into_owned(), one.deliveries)
    };
    leased.iter().map(value).collect()
}

fn texts(leased: &[Leased]) -> Vec<String> {
    seen(leased).into_iter().map(|(text, _)| text).collect()
}

fn retry() -> Verdict {
    Verdict::Retry { delay: None, reason: Some("the mail server is down".to_owned()) }
}

/// A node whose disk and clock outlive it.
struct Plant {
    runtime: tokio::runtime::Runtime,
    base: Option<Rc<Base>>,
}

impl Plant {
    fn new() -> Plant {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let base = runtime.block_on(Base::open());
        Plant { runtime, base: Some(Rc::new(base)) }
    }

    fn base(&self) -> Rc<Base> {
        Rc::clone(self.base.as_ref().expect("a base until it is taken down"))
    }

    /// Power fails, and the node is started again.
    fn crash(&mut self) {
        let base = self.base.take().expect("a base");
        let base = Rc::into_inner(base).expect("no test holds the node");
        let Base { node, tenancy, authenticator, clock, disk, dir } = base;
        disk.crash();
        drop((node, authenticator, tenancy));
        disk.restart();
        let base = self.runtime.block_on(Base::open_on(disk, clock, dir));
        self.base = Some(Rc::new(base));
    }

    fn run<T>(&self, test: impl AsyncFnOnce(Rc<Base>) -> T) -> T {
        self.runtime.block_on(test(self.base()))
    }
}

/// Runs a test in a project of its own, on a runtime of its own.
fn on_node<T>(test: impl AsyncFnOnce(&Site) -> T) -> T {
    Plant::new().run(async |base| {
        let (tenant, project) = make_project(&base.tenancy, Limits::default()).await;
        test(&Site { base, tenant, project }).await
    })
}

#[test]
fn what_is_acknowledged_never_comes_again_and_the_rest_does() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        worker.publish(&["a", "b", "c", "d"]).await;
        let first = worker.fetch(3).await;
        assert_eq!(seen(&first), [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]);
        assert_eq!(seen(&worker.fetch(9).await), [("d".into(), 1)]);
        assert!(worker.fetch(9).await.is_empty(), "all of it is in somebody's hands");
        worker.acknowledge(&first[1..2]).await;
        let info = worker.info().await;
        assert_eq!((info.partitions[0].committed, info.partitions[0].next), (0, 4));
        assert_eq!((info.lag, info.pending, info.retrying), (3, 3, 0));
        worker.acknowledge(&first[..1]).await;
        assert_eq!(worker.info().await.partitions[0].committed, 2);
        // The leases end, and then the first step of the backoff.
        worker.pass_ms(WAIT_MS);
        assert!(worker.fetch(9).await.is_empty());
        assert_eq!(worker.info().await.retrying, 2);
        worker.pass_ms(100);
        assert_eq!(seen(&worker.fetch(9).await), [("c".into(), 2), ("d".into(), 2)]);
        // Whose lease is lost may still say that the work is done, but nothing else.
        let stale = worker.settle_all(&first[2..], retry()).await;
        assert_eq!(stale[0].as_ref().unwrap_err().code(), Code::Conflict);
        assert_eq!(stale[0].as_ref().unwrap_err().field_name(), Some("settlements[0].token"));
        worker.acknowledge(&first[2..]).await;
        assert_eq!(worker.info().await.lag, 1);
        worker.acknowledge(&first).await;
    });
}

#[test]
fn failures_are_put_off_extended_and_asked_for() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        worker.publish(&["a", "b"]).await;
        let got = worker.fetch(9).await;
        let outcome = worker.settle_all(&got[..1], retry()).await;
        assert_eq!(outcome, [Ok(Settled::Retries { delay: Duration::from_millis(100) })]);
        worker.pass_ms(WAIT_MS - 1);
        let outcome = worker.settle_all(&got[1..], Verdict::Extend).await;
        assert_eq!(outcome, [Ok(Settled::Extended { lease: Duration::from_millis(WAIT_MS) })]);
        let again = worker.fetch(9).await;
        assert_eq!(seen(&again), [("a".into(), 2)]);
        let delay = Some(Duration::from_millis(50));
        worker.settle_all(&again, Verdict::Retry { delay, reason: None }).await;
        worker.pass_ms(50);
        assert_eq!(seen(&worker.fetch(9).await), [("a".into(), 3)]);
        worker.pass_ms(WAIT_MS - 51);
        assert!(worker.fetch(9).await.is_empty(), "the extended lease still runs");
    });
}

#[test]
fn pending_is_bounded_and_filters_hold() {
    on_node(async |site| {
        let config = ConsumerConfig { pending_max: 2, filter: Some("eu/#".to_owned()), ..config() };
        let worker = Worker::new(site, 1, config).await;
        let records = ["eu/1", "us/1", "eu/2", "us/2", "eu/3", "us/3"];
        let records = records.iter().map(|key| record(key, key)).collect();
        site.publish(&worker.who, "orders", records).await;
        let got = worker.fetch(9).await;
        assert_eq!(texts(&got), ["eu/1", "eu/2"]);
        assert!(worker.fetch(9).await.is_empty(), "no room");
        worker.acknowledge(&got[1..]).await;
        assert_eq!(texts(&worker.fetch(9).await), ["eu/3"]);
        worker.acknowledge(&got[..1]).await;
        assert!(worker.fetch(9).await.is_empty());
        assert_eq!(worker.info().await.partitions[0].next, 6, "what does not fit is passed");
    });
}

#[test]
fn fetches_are_bounded_in_bytes_and_wait_for_records() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        let large = "x".repeat(600);
        worker.publish(&[&large, &large, &large]).await;
        let fetch = Fetch { records_max: 9, bytes_max: 1_000, wait: Duration::ZERO };
        let got = worker.all().fetch(&worker.who, &worker.at, fetch).await.expect("a fetch");
        assert_eq!(got.len(), 1);
        assert_eq!(worker.fetch(9).await.len(), 2);
        let fetch = Fetch { wait: Duration::from_secs(30), ..fetch };
        let waiting = worker.all().fetch(&worker.who, &worker.at, fetch);
        let publish = async {
            tokio::task::yield_now().await;
            worker.publish(&["new"]).await;
        };
        let (got, ()) = tokio::join!(waiting, publish);
        assert_eq!(texts(&got.expect("a fetch")), ["new"]);
    });
}

#[test]
fn a_reset_goes_anywhere_and_forgets_what_was_under_way() {
    on_node(async |site| {
        let worker = Worker::new(site, 2, config()).await;
        let records = (0..8).map(|n| record(&n.to_string(), &n.to_string())).collect();
        site.publish(&worker.who, "orders", records).await;
        let got = worker.fetch(9).await;
        assert_eq!(got.len(), 8);
        worker.acknowledge(&got[..4]).await;
        let reset = |to| worker.all().reset(&worker.who, &worker.at, to);
        let info = reset(ResetTo::Start(Start::Earliest)).await.expect("a reset");
        assert_eq!((info.lag, info.pending), (8, 0));
        let outcome = worker.settle_all(&got[4..5], Verdict::Acknowledge).await;
        assert_eq!(outcome[0].as_ref().unwrap_err().code(), Code::Conflict, "of before");
        assert_eq!(worker.fetch(9).await.len(), 8);
        assert_eq!(reset(ResetTo::Start(Start::Latest)).await.expect("a reset").lag, 0);
        let end = worker.info().await.partitions[1].end;
        let info = reset(ResetTo::Positions(vec![(1, 1)])).await.expect("a reset");
        assert_eq!(info.lag, end - 1, "the other partition stays");
        for positions in [vec![(7, 0)], vec![(0, 99)], vec![(0, 0), (0, 1)]] {
            let refused = reset(ResetTo::Positions(positions)).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidRequest);
            assert!(refused.field_name().unwrap_or_default().starts_with("positions["));
        }
        let filter = tenancy::AuditFilter::default();
        let trail = site.tenancy.audit(site.tenant, &filter, 1).await.expect("a trail");
        assert_eq!(trail.items[0].action, "consumer.reset");
        assert_eq!(trail.items[0].details["to"], serde_json::json!({"1": 1}));
    });
}

#[test]
fn who_may_not_is_refused_and_other_tenants_see_nothing() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        worker.publish(&["a"]).await;
        let got = worker.fetch(1).await;
        let scope = (site.tenant, site.project);
        let reader = site.caller(scope, [Scope::EventsSubscribe].into_iter().collect()).await;
        let publisher = site.caller(scope, [Scope::EventsPublish].into_iter().collect()).await;
        let all = worker.all();
        let put = all.put(&reader, &address("orders", "x"), config()).await.unwrap_err();
        assert_eq!(put.code(), Code::InsufficientScope);
        let to = ResetTo::Start(Start::Earliest);
        let reset = all.reset(&reader, &worker.at, to).await.unwrap_err();
        assert_eq!(reset.code(), Code::InsufficientScope);
        let fetch = Fetch { records_max: 1, bytes_max: 1, wait: Duration::ZERO };
        let refused = all.fetch(&publisher, &worker.at, fetch).await.unwrap_err();
        assert_eq!(refused.code(), Code::InsufficientScope);
        assert!(all.fetch(&reader, &worker.at, fetch).await.is_ok());
        let elsewhere = make_project(&site.tenancy, Limits::default()).await;
        let stranger = site.caller(elsewhere, types::Scopes::all()).await;
        let refused = all.fetch(&stranger, &worker.at, fetch).await.unwrap_err();
        assert_eq!(refused.code(), Code::TopicNotFound);
        // Even with a topic and consumer of the same names, tokens belong to their project.
        site.node.put_topic(&stranger, &name("orders"), TopicConfig::default()).await.unwrap();
        all.put(&stranger, &worker.at, config()).await.unwrap();
        let settlement = Settlement { token: got[0].token.clone(), verdict: Verdict::Acknowledge };
        let outcome = all.settle(&stranger, &worker.at, vec![settlement]).await.unwrap();
        assert_eq!(outcome[0].as_ref().unwrap_err().code(), Code::InvalidRequest);
        assert_eq!(worker.info().await.lag, 1);
    });
}

#[test]
fn definitions_are_checked_changed_and_gone() {
    on_node(async |site| {
        let worker = Worker::new(site, 1, config()).await;
        let all = worker.all();
        let put = |config: ConsumerConfig| all.put(&worker.who, &worker.at, config);
        let bad = [
            ("ack_wait_ms", ConsumerConfig { ack_wait_ms: 1, ..config() }),
            ("deliveries_max", ConsumerConfig { deliveries_max: 0, ..config() }),
            ("pending_max", ConsumerConfig { pending_max: 0, ..config() }),
            ("filter", ConsumerConfig { filter: Some("a/#/b".to_owned()), ..config() }),
            (
                "dead_letter_topic",
                ConsumerConfig { dead_letter_topic: Some(name("orders")), ..config() },
            ),
        ];
        for (field, config) in bad {
            let refused = put(config).await.unwrap_err();
            assert_eq!((refused.code(), refused.field_name()), (Code::InvalidRequest, Some(field)));
        }
        let moved = ConsumerConfig { start: Start::Latest, ..config() };
        let refused = put(moved).await.unwrap_err();
        assert_eq!((refused.code(), refused.field_name()), (Code::Conflict, Some("start")));
        let wider = ConsumerConfig { pending_max: 7, ..config() };
        let (info, is_new) = put(wider.clone()).await.unwrap();
        assert_eq!((info.config, is_new), (wider, false));
        let topics = site.node.topics(&worker.who, None, 10).await.unwrap();
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, ["orders", "orders.mail.dead"], "the states' topic is nobody's to see");
        worker.publish(&["a"]).await;
        let got = worker.fetch(1).await;
        worker.acknowledge(&got).await;
        all.delete(&worker.who, &worker.at).await.unwrap();
        assert_eq!(all.get(&worker.who, &worker.at).await.unwrap_err().code(), Code::NotFound);
        put(config()).await.unwrap();
        assert_eq!(worker.fetch(1).await.len(), 1, "a new one of the same name begins anew");
        site.node.delete_topic(&worker.who, &name("orders")).await.unwrap();
        let refused = all.get(&worker.who, &worker.at).await.unwrap_err();
        assert_eq!(refused.code(), Code::TopicNotFound);
    });
}
