//! Following: history first, then live, at the pace of the reader, without gap or duplicate.

use super::{Outlet, SHARD, collect, follow, name, on_shard, record, values};
use port::{Hub, ShardId};
use proptest::prelude::*;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use types::{From, Partition, TopicConfig};

#[test]
fn history_comes_before_live() {
    on_shard(async |site| {
        let who = site.owner().await;
        site.publish(&who, "t", vec![record("a", "1"), record("a", "2")]).await;
        let outlet = Outlet::new(100);
        let following = site.node.follow(&who, follow("t", From::Earliest), SHARD, outlet.clone());
        let _subscription = following.await.expect("a subscription");
        assert_eq!(values(&collect(&outlet, 2).await), ["1", "2"]);
        site.publish(&who, "t", vec![record("a", "3")]).await;
        assert_eq!(values(&collect(&outlet, 1).await), ["3"]);
        assert_eq!(outlet.news(), ["caught up"]);
    });
}

#[test]
fn takers_of_the_same_records_are_given_them_as_one_run() {
    on_shard(async |site| {
        let who = site.owner().await;
        site.publish(&who, "t", vec![record("a", "0")]).await;
        let filters = ["t", "t", "t/a", "t/a", "t/+", "t/b"];
        let outlets: Vec<_> = filters.iter().map(|_| Runs::new()).collect();
        let mut held = Vec::new();
        for (filter, outlet) in filters.iter().zip(&outlets) {
            let wanted = follow(filter, From::Latest);
            let following = site.node.follow(&who, wanted, SHARD, Arc::clone(outlet) as _);
            held.push(following.await.expect("a subscription"));
        }
        while !outlets.iter().all(|outlet| outlet.0.lock().is_live) {
            tokio::task::yield_now().await;
        }
        let records = vec![record("a", "4"), record("b", "5"), record("a", "6")];
        site.publish(&who, "t", records).await;
        let expect: [&[&str]; 6] = [
            &["4", "5", "6"],
            &["4", "5", "6"],
            &["4", "6"],
            &["4", "6"],
            &["4", "5", "6"],
            &["5"],
        ];
        for (outlet, expect) in outlets.iter().zip(expect) {
            let mut runs = outlet.take();
            while runs.is_empty() {
                tokio::task::yield_now().await;
                runs = outlet.take();
            }
            assert_eq!(runs, [expect], "one run");
        }
    });
}

/// A connection that keeps runs apart.
struct Runs(parking_lot::Mutex<Told>);

#[derive(Default)]
struct Told {
    runs: Vec<Vec<String>>,
    is_live: bool,
}

impl Runs {
    fn new() -> Arc<Runs> {
        Arc::new(Runs(parking_lot::Mutex::default()))
    }

    fn take(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.0.lock().runs)
    }
}

impl port::Sink for Runs {
    fn push(&self, tag: types::SubscriptionTag, event: port::Event<'_>) -> port::Room {
        match event {
            port::Event::Delivery(delivery) => {
                let run = port::Run::new(vec![Arc::clone(delivery)]);
                self.push_run(tag, &run).room
            }
            port::Event::CaughtUp => {
                self.0.lock().is_live = true;
                port::Room::Free
            }
            _ => port::Room::Free,
        }
    }

    fn push_run(&self, _: types::SubscriptionTag, run: &port::Run) -> port::Taken {
        self.0.lock().runs.push(values(run.deliveries()));
        port::Taken { records: run.deliveries().len(), room: port::Room::Free }
    }

    fn poll_room(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

#[test]
fn latest_first_brings_the_key_s_value_once() {
    on_shard(async |site| {
        let who = site.owner().await;
        site.publish(&who, "t", vec![record("a", "1"), record("a", "2"), record("b", "3")]).await;
        let outlet = Outlet::new(100);
        let mut wanted = follow("t/a", From::Latest);
        wanted.latest_first = true;
        let _subscription =
            site.node.follow(&who, wanted, SHARD, outlet.clone()).await.expect("a subscription");
        assert_eq!(values(&collect(&outlet, 1).await), ["2"]);
        site.publish(&who, "t", vec![record("a", "4"), record("b", "5")]).await;
        assert_eq!(values(&collect(&outlet, 1).await), ["4"]);
    });
}

#[test]
fn own_records_can_be_left_out() {
    on_shard(async |site| {
        let (one, two) = (site.owner().await, site.owner().await);
        let outlet = Outlet::new(100);
        let mut wanted = follow("t", From::Latest);
        wanted.exclude_own = true;
        let _subscription =
            site.node.follow(&one, wanted, SHARD, outlet.clone()).await.expect("a subscription");
        site.publish(&one, "t", vec![record("a", "mine")]).await;
        site.publish(&two, "t", vec![record("a", "yours")]).await;
        assert_eq!(values(&collect(&outlet, 1).await), ["yours"]);
    });
}

#[test]
fn any_topic_covers_those_to_come() {
    on_shard(async |site| {
        let who = site.owner().await;
        site.publish(&who, "old", vec![record("a", "1")]).await;
        let outlet = Outlet::new(100);
        let following = site.node.follow(&who, follow("+/a", From::Latest), SHARD, outlet.clone());
        let _subscription = following.await.expect("a subscription");
        site.publish(&who, "new", vec![record("a", "2"), record("b", "3")]).await;
        site.publish(&who, "old", vec![record("a", "4")]).await;
        let mut got = values(&collect(&outlet, 2).await);
        got.sort();
        assert_eq!(got, ["2", "4"]);
    });
}

#[test]
fn a_deleted_topic_ends_its_followers() {
    on_shard(async |site| {
        let who = site.owner().await;
        let outlet = Outlet::new(100);
        let following = site.node.follow(&who, follow("t", From::Latest), SHARD, outlet.clone());
        let _subscription = following.await.expect("a subscription");
        site.node.delete_topic(&who, &name("t")).await.expect("a deletion");
        let mut news = Vec::new();
        while news.len() < 2 {
            news.extend(outlet.news());
            tokio::task::yield_now().await;
        }
        assert_eq!(news, ["caught up", "ended TOPIC_NOT_FOUND"]);
    });
}

#[test]
fn a_shard_that_falls_behind_reads_the_log() {
    on_shard(async |site| {
        let who = site.owner().await;
        // A shard that only turns when told to.
        let mut shard = site.node.shard(ShardId(1));
        let mut turn = |cx: &mut Context<'_>| {
            while shard.poll_turn(cx, 1_000).is_ready() {}
            Poll::<()>::Pending
        };
        let outlet = Outlet::new(1_000);
        let attach =
            site.node.follow(&who, follow("t", From::Earliest), ShardId(1), outlet.clone());
        let turning = std::future::poll_fn(&mut turn);
        let subscription = tokio::select! {
            subscription = attach => subscription,
            () = turning => unreachable!("a turn never ends"),
        };
        let _subscription = subscription.expect("a subscription");
        for number in 0..100 {
            site.publish(&who, "t", vec![record("k", &number.to_string())]).await;
        }
        let got = tokio::select! {
            got = collect(&outlet, 100) => got,
            () = std::future::poll_fn(&mut turn) => unreachable!("a turn never ends"),
        };
        check_once_in_order(&got, 100);
    });
}

#[test]
fn a_topic_deleted_while_it_is_followed_for_the_first_time_is_told() {
    on_shard(async |site| {
        let who = site.owner().await;
        site.publish(&who, "t", vec![record("k", "1")]).await;
        let topic = site.node.catalogue.get(site.project, &name("t")).expect("the topic");
        let outlet = Outlet::new(10);
        let following = site.node.follow(&who, follow("t", From::Earliest), SHARD, outlet.clone());
        // As if the deletion's news had overtaken the subscription.
        site.node.catalogue.remove(&topic);
        site.node.catalogue.insert(Arc::clone(&topic));
        let mut following = Box::pin(following);
        let first = std::future::poll_fn(|cx| Poll::Ready(following.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        site.node.catalogue.remove(&topic);
        let _subscription = following.await.expect("a subscription");
        let mut news = Vec::new();
        while !news.iter().any(|told| told == "ended TOPIC_NOT_FOUND") {
            news.extend(outlet.news());
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_subscription_nobody_takes_over_ends() {
    on_shard(async |site| {
        let who = site.owner().await;
        let outlet = Outlet::new(10);
        let mut following =
            site.node.follow(&who, follow("t", From::Latest), SHARD, outlet.clone());
        let first = std::future::poll_fn(|cx| Poll::Ready(following.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        drop(following);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        site.publish(&who, "t", vec![record("k", "1")]).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(outlet.empty().is_empty());
    });
}

/// What happens between the publishes of one run.
#[derive(Debug, Clone)]
enum Move {
    Publish(u8, u8),
    Empty,
    Turn(u8),
    /// Drop the subscription and come back with the cursors of what was read.
    Reconnect,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0u8..6, 1u8..5).prop_map(|(key, count)| Move::Publish(key, count)),
        2 => Just(Move::Empty),
        2 => (1u8..20).prop_map(Move::Turn),
        1 => Just(Move::Reconnect),
    ];
    prop::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 7: every connected WebSocket subscribed to a
    /// topic gets each event of it in real time** (here: every sink, however slow, whatever the
    /// interleaving, across reconnects, in order per partition, once).
    #[test]
    fn nothing_is_lost_or_doubled(moves in moves(), room in 1usize..8, partitions in 1u32..4) {
        on_shard(async |site| {
            let who = site.owner().await;
            let config = TopicConfig { partitions, ..TopicConfig::default() };
            site.node.put_topic(&who, &name("t"), config).await.expect("a topic");
            let mut outlet = Outlet::new(room);
            let all = follow("t", From::Earliest);
            let following = site.node.follow(&who, all, SHARD, outlet.clone());
            let mut subscription = following.await.expect("a subscription");
            let mut cursors: HashMap<Partition, String> = HashMap::new();
            let start = subscription.cursor.clone();
            let (mut published, mut got) = (0, Vec::new());
            for step in moves {
                match step {
                    Move::Publish(key, count) => {
                        let batch = (0..count).map(|_| {
                            published += 1;
                            record(&format!("k{key}"), &published.to_string())
                        });
                        site.publish(&who, "t", batch.collect()).await;
                    }
                    Move::Empty => {
                        for delivery in outlet.empty() {
                            cursors.insert(delivery.partition, delivery.cursor());
                            got.push(delivery);
                        }
                    }
                    Move::Turn(turns) => {
                        for _ in 0..turns {
                            tokio::task::yield_now().await;
                        }
                    }
                    Move::Reconnect => {
                        drop(subscription);
                        outlet = Outlet::new(room);
                        let mut held: Vec<String> = cursors.values().cloned().collect();
                        held.push(start.clone());
                        let again = follow("t", From::Cursors(held));
                        let following = site.node.follow(&who, again, SHARD, outlet.clone());
                        subscription = following.await.expect("a subscription");
                    }
                }
            }
            got.extend(collect(&outlet, published - got.len()).await);
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            got.extend(outlet.empty());
            check_once_in_order(&got, published);
        });
    }
}

fn check_once_in_order(got: &[Arc<port::Delivery>], published: usize) {
    let mut next: HashMap<Partition, u64> = HashMap::new();
    for delivery in got {
        let next = next.entry(delivery.partition).or_default();
        assert_eq!(delivery.offset, *next, "partition {}", delivery.partition);
        *next += 1;
    }
    assert_eq!(got.len(), published);
}
