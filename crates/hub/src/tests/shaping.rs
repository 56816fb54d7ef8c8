//! Subscriptions that ask for more: conditions, conflation, batches, differences and credits. What
//! holds for plain ones holds for them: nothing chosen is lost or doubled, in order per partition.

use super::{Outlet, SHARD, Site, collect, follow, name, on_shard, record, values};
use port::delivery::Delta;
use port::{Code, Credits, Hub, Identity, Sent, Shaping, Subscription};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use types::{From, Header, Partition, Record, TopicConfig};

async fn shaped(
    site: &Site,
    who: &Identity,
    from: From,
    shaping: Shaping,
    outlet: &Arc<Outlet>,
) -> Subscription {
    let mut wanted = follow("t", from);
    wanted.shaping = Some(Box::new(shaping));
    let following = site.node.follow(who, wanted, SHARD, outlet.clone());
    following.await.expect("a subscription")
}

fn condition(text: &str) -> Shaping {
    Shaping { condition: Some(text.to_owned()), ..Shaping::default() }
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Waits until the outlet was told so.
async fn heard(outlet: &Outlet, news: &str) {
    while !outlet.news().iter().any(|told| told == news) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_condition_chooses_in_history_and_live() {
    on_shard(async |site| {
        let who = site.owner().await;
        let numbered = |number: u32| record("k", &format!(r#"{{"n":{number}}}"#));
        site.publish(&who, "t", (0..50).map(numbered).collect()).await;
        let outlet = Outlet::new(100);
        let wanted = condition("data.n in (3, 47, 60)");
        let _subscription = shaped(site, &who, From::Earliest, wanted, &outlet).await;
        assert_eq!(values(&collect(&outlet, 2).await), [r#"{"n":3}"#, r#"{"n":47}"#]);
        heard(&outlet, "caught up").await;
        site.publish(&who, "t", (50..70).map(numbered).collect()).await;
        assert_eq!(values(&collect(&outlet, 1).await), [r#"{"n":60}"#]);
        // What was passed over moves the reader on: it need not be read again.
        let told = loop {
            match outlet.progress().pop() {
                Some(told) => break told,
                None => tokio::task::yield_now().await,
            }
        };
        let next: Vec<u64> = told.positions.iter().map(|position| position.next).collect();
        assert_eq!(next, [70]);
        let again = Outlet::new(100);
        let from = From::Cursors(vec![told.cursor]);
        let _again = shaped(site, &who, from, condition("exists data.n"), &again).await;
        site.publish(&who, "t", vec![numbered(70)]).await;
        assert_eq!(values(&collect(&again, 1).await), [r#"{"n":70}"#]);
    });
}

#[test]
fn a_condition_looks_at_headers() {
    on_shard(async |site| {
        let who = site.owner().await;
        let outlet = Outlet::new(100);
        let wanted = condition("header.region = 'eu'");
        let _subscription = shaped(site, &who, From::Latest, wanted, &outlet).await;
        for region in ["us", "eu", "asia"] {
            let mut record = record("k", region);
            record.headers.push(Header { name: "region".into(), value: region.into() });
            site.publish(&who, "t", vec![record]).await;
        }
        assert_eq!(values(&collect(&outlet, 1).await), ["eu"]);
    });
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    on_shard(async |site| {
        let who = site.owner().await;
        let second = Some(Duration::from_secs(1));
        let long = Some(Duration::from_secs(61));
        let cases = [
            (condition("data.n ="), Code::InvalidFilter, "where"),
            (Shaping { conflate: long, ..Shaping::default() }, Code::InvalidRequest, "conflate_ms"),
            (
                Shaping { conflate: Some(Duration::ZERO), batch: second, ..Shaping::default() },
                Code::InvalidRequest,
                "conflate_ms",
            ),
            (Shaping { batch: long, ..Shaping::default() }, Code::InvalidRequest, "batch_ms"),
        ];
        for (shaping, code, field) in cases {
            let mut wanted = follow("t", From::Latest);
            wanted.shaping = Some(Box::new(shaping));
            let refused = site.node.follow(&who, wanted, SHARD, Outlet::new(1)).await;
            let refused = refused.map(|_| ()).expect_err(field);
            assert_eq!((refused.code(), refused.field_name()), (code, Some(field)));
        }
    });
}

#[test]
fn conditions_are_shared_and_bounded() {
    on_shard(async |site| {
        let most = crate::conditions::CONDITIONS_PER_PROJECT_MAX;
        let get = |text: &str| site.node.conditions.get(site.project, text);
        let held: Vec<_> =
            (0..most).map(|n| get(&format!("data.n = {n}")).expect("room")).collect();
        assert!(Arc::ptr_eq(&held[3], &get("data . n=3").expect("the same")));
        let refused = get("data.n = -1").map(|_| ()).expect_err("too many");
        assert_eq!(refused.code(), Code::ProjectLimitExceeded);
        drop(held);
        get("data.n = -1").expect("room again");
    });
}

/// Of each key: order kept, the final value last, and every record told or counted as left out.
fn check_conflated(sent: &[Sent], published: &HashMap<String, Vec<u64>>) {
    let mut told: HashMap<String, (u64, u64)> = HashMap::new();
    for Sent { delivery, left_out } in sent {
        let key = delivery.record.key.as_ref().and_then(|key| key.as_str()).unwrap().to_owned();
        let (count, last) = told.entry(key).or_insert((0, 0));
        assert!(*count == 0 || delivery.offset > *last, "order is kept");
        *count += 1 + u64::from(*left_out);
        *last = delivery.offset;
    }
    for (key, offsets) in published {
        let (count, last) = told.get(key).copied().unwrap_or_default();
        assert_eq!((count, Some(&last)), (offsets.len() as u64, offsets.last()), "{key}");
    }
}

#[test]
fn conflation_sends_the_newest_of_each_key() {
    on_shard(async |site| {
        let who = site.owner().await;
        let mut published: HashMap<String, Vec<u64>> = HashMap::new();
        let mut publish = async |count: usize| {
            for number in 0..count {
                let key = format!("k{}", number % 3);
                let placed = site.publish(&who, "t", vec![record(&key, "v")]).await;
                published.entry(key).or_default().push(placed[0].offset);
            }
        };
        publish(40).await;
        let outlet = Outlet::new(10_000);
        let conflate = Some(Duration::from_millis(40));
        let wanted = Shaping { conflate, ..Shaping::default() };
        let _subscription = shaped(site, &who, From::Earliest, wanted, &outlet).await;
        heard(&outlet, "caught up").await;
        publish(60).await;
        let last: u64 = 99;
        let mut sent: Vec<Sent> = Vec::new();
        while !sent.iter().any(|sent| sent.delivery.offset == last) {
            sent.extend(outlet.frames().into_iter().flatten());
            tokio::task::yield_now().await;
        }
        assert!(sent.len() < 100, "some were left out: {}", sent.len());
        check_conflated(&sent, &published);
    });
}

#[test]
fn a_batch_gathers_for_its_time() {
    on_shard(async |site| {
        let who = site.owner().await;
        let outlet = Outlet::new(10_000);
        let batch = Some(Duration::from_millis(100));
        let wanted = Shaping { batch, ..Shaping::default() };
        let _subscription = shaped(site, &who, From::Latest, wanted, &outlet).await;
        for number in 0..20 {
            site.publish(&who, "t", vec![record("k", &number.to_string())]).await;
        }
        let got = values(&collect(&outlet, 20).await);
        assert_eq!(got, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
        // The first comes at once, the others together.
        let frames = outlet.frames();
        assert!(frames.len() < 20, "{} frames", frames.len());
        assert!(frames.iter().all(|frame| !frame.is_empty()));
    });
}

#[test]
fn credits_are_what_a_reader_gets() {
    on_shard(async |site| {
        let who = site.owner().await;
        let numbers = |range: std::ops::Range<u32>| range.map(|n| n.to_string());
        let publish = async |range: std::ops::Range<u32>| {
            for value in numbers(range) {
                site.publish(&who, "t", vec![record("k", &value)]).await;
            }
        };
        publish(0..5).await;
        let outlet = Outlet::new(1_000);
        let credits = Credits::new(3);
        let wanted = Shaping { credits: Some(Arc::clone(&credits)), ..Shaping::default() };
        let _subscription = shaped(site, &who, From::Earliest, wanted, &outlet).await;
        assert_eq!(values(&collect(&outlet, 3).await), ["0", "1", "2"]);
        turns(50).await;
        assert!(outlet.empty().is_empty());
        assert_eq!(credits.add(4), Some(4));
        publish(5..20).await;
        assert_eq!(values(&collect(&outlet, 4).await), ["3", "4", "5", "6"]);
        turns(50).await;
        assert!(outlet.empty().is_empty());
        credits.add(100);
        let rest: Vec<String> = numbers(7..20).collect();
        assert_eq!(values(&collect(&outlet, 13).await), rest);
        heard(&outlet, "caught up").await;
        // Live again, until the last of the 87 is used.
        publish(20..110).await;
        let rest: Vec<String> = numbers(20..107).collect();
        assert_eq!(values(&collect(&outlet, 87).await), rest);
        turns(50).await;
        assert!(outlet.empty().is_empty());
        credits.add(3);
        assert_eq!(values(&collect(&outlet, 3).await), ["107", "108", "109"]);
    });
}

/// A reader of differences: what it has of each key, as a client keeps it.
#[derive(Default)]
struct Reader(HashMap<String, (u64, Vec<u8>)>);

impl Reader {
    fn read(&mut self, delivery: &port::Delivery) -> Vec<u8> {
        let key = delivery.record.key.as_ref().and_then(|key| key.as_str()).unwrap().to_owned();
        let told = delivery.record.value.as_deref().unwrap();
        let value = match delivery.delta {
            None | Some(Delta::Whole) => told.to_vec(),
            Some(Delta::From(offset)) => {
                let (held, base) = self.0.get(&key).expect("a base was sent before");
                assert_eq!(*held, offset, "the base is the value before");
                stdx::patch::apply(base, told, 1 << 20).expect("a patch that fits")
            }
        };
        self.0.insert(key, (delivery.offset, value.clone()));
        value
    }
}

#[test]
fn differences_are_of_the_value_before() {
    on_shard(async |site| {
        let who = site.owner().await;
        let config = TopicConfig { delta: true, ..TopicConfig::default() };
        site.node.put_topic(&who, &name("t"), config).await.expect("a topic");
        let text = |number: u32| format!("{}{number}{}", "a".repeat(200), "b".repeat(200));
        site.publish(&who, "t", vec![record("x", &text(0))]).await;
        let (one, two) = (Outlet::new(1_000), Outlet::new(1_000));
        let wanted = || Shaping { delta: true, ..Shaping::default() };
        let _one = shaped(site, &who, From::Earliest, wanted(), &one).await;
        let _two = shaped(site, &who, From::Latest, wanted(), &two).await;
        heard(&one, "caught up").await;
        heard(&two, "caught up").await;
        for number in 1..10 {
            let key = if number % 3 == 0 { "y" } else { "x" };
            site.publish(&who, "t", vec![record(key, &text(number))]).await;
        }
        let got = collect(&one, 10).await;
        let mut reader = Reader::default();
        for (delivery, number) in got.iter().zip(0..) {
            assert_eq!(reader.read(delivery), text(number).into_bytes());
        }
        let patches = got.iter().filter(|it| matches!(it.delta, Some(Delta::From(_))));
        let length = |it: &Arc<port::Delivery>| it.record.value.as_deref().unwrap().len();
        let lengths: Vec<usize> = patches.map(length).collect();
        assert!(lengths.len() >= 6 && lengths.iter().all(|&it| it < 40), "{lengths:?}");
        // Worked out once, whatever the number of readers.
        let other = collect(&two, 9).await;
        assert!(Arc::ptr_eq(&got[9], &other[8]));
    });
}

/// What happens between the publishes of one run.
#[derive(Debug, Clone)]
enum Move {
    Publish(u8, u8),
    Empty,
    Turn(u8),
    Credit(u8),
    Reconnect,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0u8..4, 1u8..8).prop_map(|(key, count)| Move::Publish(key, count)),
        2 => Just(Move::Empty),
        2 => (1u8..20).prop_map(Move::Turn),
        2 => (1u8..6).prop_map(Move::Credit),
        1 => Just(Move::Reconnect),
    ];
    prop::collection::vec(one, 1..30)
}

/// One more record, with a number that conditions look at.
fn next_of(key: u8, published: &mut Vec<(usize, String)>) -> Record {
    let number = published.len();
    let n = number % 10;
    let value = format!(r#"{{"n":{n},"id":"{number}-{}"}}"#, "long enough ".repeat(5));
    published.push((n, value.clone()));
    record(&format!("k{key}"), &value)
}

fn counted(plain: &Shaping, counts: bool, credits: &Arc<Credits>) -> Shaping {
    Shaping { credits: counts.then(|| Arc::clone(credits)), ..plain.clone() }
}

/// Several partitions have no order among them.
fn assert_same(mut got: Vec<String>, mut expected: Vec<String>, partitions: u32) {
    if partitions > 1 {
        expected.sort();
        got.sort();
    }
    assert_eq!(got, expected);
}

/// What a reader is to get, with or without the condition.
fn chosen(published: Vec<(usize, String)>, chooses: bool) -> Vec<String> {
    let is_chosen = |n: usize| !chooses || [0, 3, 4, 7].contains(&n);
    published.into_iter().filter(|(n, _)| is_chosen(*n)).map(|(_, value)| value).collect()
}

/// Shapes that leave nothing out but what their condition does.
fn shapes() -> impl Strategy<Value = (bool, Option<u64>, bool, bool)> {
    let batch = prop::option::of(prop_oneof![Just(0u64), Just(1)]);
    (any::<bool>(), batch, any::<bool>(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 7: every connected WebSocket subscribed to a
    /// topic gets each event of it in real time** (here: what its condition chooses, at the pace
    /// of its credits, batched or as differences, across reconnects with the cursors it was told).
    #[test]
    fn nothing_chosen_is_lost_or_doubled(
        moves in moves(),
        (chooses, batch, is_delta, counts) in shapes(),
        room in 1usize..8,
        partitions in 1u32..3,
    ) {
        on_shard(async |site| {
            let who = site.owner().await;
            let config = TopicConfig { partitions, delta: true, ..TopicConfig::default() };
            site.node.put_topic(&who, &name("t"), config).await.expect("a topic");
            let mut credits = Credits::new(2);
            let plain = Shaping {
                condition: chooses.then(|| "data.n in (0, 3, 4, 7)".to_owned()),
                batch: batch.map(Duration::from_millis),
                delta: is_delta,
                ..Shaping::default()
            };
            let wanted = |credits: &Arc<Credits>| counted(&plain, counts, credits);
            let mut outlet = Outlet::new(room);
            let start = wanted(&credits);
            let mut subscription = shaped(site, &who, From::Earliest, start, &outlet).await;
            let mut cursors: Vec<String> = vec![subscription.cursor.clone()];
            let (mut published, mut got) = (Vec::new(), Vec::new());
            let mut reader = Reader::default();
            let mut take = |outlet: &Outlet, cursors: &mut Vec<String>, reader: &mut Reader| {
                for delivery in outlet.empty() {
                    cursors.push(delivery.cursor());
                    let value = reader.read(&delivery);
                    got.push(String::from_utf8(value).unwrap());
                }
                cursors.extend(outlet.progress().into_iter().map(|told| told.cursor));
                got.len()
            };
            for step in moves {
                match step {
                    Move::Publish(key, count) => {
                        let batch = (0..count).map(|_| next_of(key, &mut published)).collect();
                        site.publish(&who, "t", batch).await;
                    }
                    Move::Empty => {
                        take(&outlet, &mut cursors, &mut reader);
                    }
                    Move::Turn(count) => turns(count.into()).await,
                    Move::Credit(count) => {
                        credits.add(count.into());
                    }
                    Move::Reconnect => {
                        drop(subscription);
                        outlet = Outlet::new(room);
                        credits = Credits::new(2);
                        reader = Reader::default();
                        let from = From::Cursors(cursors.clone());
                        let again = wanted(&credits);
                        subscription = shaped(site, &who, from, again, &outlet).await;
                    }
                }
            }
            let expected = chosen(published, chooses);
            while take(&outlet, &mut cursors, &mut reader) < expected.len() {
                credits.add(1);
                tokio::task::yield_now().await;
            }
            credits.add(100);
            turns(50).await;
            take(&outlet, &mut cursors, &mut reader);
            assert_same(got, expected, partitions);
        });
    }

    #[test]
    fn conflation_keeps_order_and_the_final_value(
        moves in moves(),
        room in 1usize..8,
        partitions in 1u32..3,
    ) {
        on_shard(async |site| {
            let who = site.owner().await;
            let config = TopicConfig { partitions, ..TopicConfig::default() };
            site.node.put_topic(&who, &name("t"), config).await.expect("a topic");
            let outlet = Outlet::new(room);
            let conflate = Some(Duration::from_millis(10));
            let wanted = Shaping { conflate, ..Shaping::default() };
            let _subscription = shaped(site, &who, From::Earliest, wanted, &outlet).await;
            let mut published: HashMap<String, (Partition, u64)> = HashMap::new();
            let mut told: HashMap<String, (Partition, u64)> = HashMap::new();
            let mut take = |outlet: &Outlet| {
                for delivery in outlet.empty() {
                    let key = delivery.record.key.as_ref().unwrap().as_str().unwrap().to_owned();
                    let at = (delivery.partition, delivery.offset);
                    let before = told.insert(key, at);
                    assert!(before.is_none_or(|before| before < at));
                }
                told.clone()
            };
            for step in moves {
                match step {
                    Move::Publish(key, count) => {
                        let key = format!("k{key}");
                        let batch = (0..count).map(|_| record(&key, "v")).collect();
                        let placed = site.publish(&who, "t", batch).await;
                        let last = placed.last().unwrap();
                        published.insert(key, (last.partition, last.offset));
                    }
                    Move::Turn(count) => turns(count.into()).await,
                    _ => {
                        take(&outlet);
                    }
                }
            }
            while take(&outlet) != published {
                tokio::task::yield_now().await;
            }
        });
    }
}
