//! Bounded reads: pages join without gap, times and keys are found, the long poll wakes.

use super::{name, on_shard, record, values};
use port::{Code, Hub, ReadRequest};
use proptest::prelude::*;
use std::time::Duration;
use testkit::packed::packed;
use types::batch::Packing;
use types::{BatchBuilder, From, Key, TopicConfig};

fn read(from: From, limit: usize) -> ReadRequest {
    ReadRequest { topic: name("t"), from, key: None, last: None, limit, wait: Duration::ZERO }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 30: replay by cursor starts at the given
    /// timestamp or sequence**
    #[test]
    fn pages_and_times_start_where_they_should(
        steps in prop::collection::vec((0u64..3, 0u8..5), 1..40),
        partitions in 1u32..4, limit in 1usize..9, pick in any::<prop::sample::Index>(),
    ) {
        on_shard(async |site| {
            let who = site.owner().await;
            let config = TopicConfig { partitions, ..TopicConfig::default() };
            site.node.put_topic(&who, &name("t"), config).await.unwrap();
            let mut times = Vec::new();
            for (index, (wait_ms, key)) in steps.iter().enumerate() {
                site.clock.advance(Duration::from_millis(*wait_ms));
                let one = record(&format!("k{key}"), &index.to_string());
                let placed = site.publish(&who, "t", vec![one]).await;
                times.push(placed[0].timestamp);
            }
            let (mut all, mut from) = (Vec::new(), From::Earliest);
            loop {
                let answer = site.node.read(&who, read(from, limit)).await.unwrap();
                assert!(answer.records.len() <= limit);
                all.extend(answer.records);
                if answer.is_end {
                    break;
                }
                from = From::Cursors(vec![answer.next_cursor]);
            }
            assert_eq!(all.len(), steps.len());
            let mut sorted = values(&all);
            sorted.sort_by_key(|value| value.parse::<usize>().unwrap());
            let wanted: Vec<String> = (0..steps.len()).map(|index| index.to_string()).collect();
            assert_eq!(sorted, wanted);

            let time = times[pick.index(times.len())];
            let later = site.node.read(&who, read(From::Time(time), 1000)).await.unwrap();
            let expected = times.iter().filter(|&&stamp| stamp >= time).count();
            assert_eq!(later.records.len(), expected);
            assert!(later.records.iter().all(|it| it.timestamp >= time));
        });
    }
}

/// A few bytes that grow to more than one of many lanes holds: taken apart in several reads.
#[test]
fn batches_that_grow_are_read_whole() {
    on_shard(async |site| {
        let who = site.owner().await;
        let config = TopicConfig { partitions: 256, ..TopicConfig::default() };
        site.node.put_topic(&who, &name("t"), config).await.unwrap();
        let batches = site.node.batches().expect("whole batches");
        for partition in 0..2 {
            let mut builder = BatchBuilder::new(0, 0);
            for index in 0..60 {
                let value = format!("{} {}", 60 * partition + index, "x".repeat(5_000));
                let key = if index % 2 == 0 { "even" } else { "odd" };
                builder.push(&record(key, &value), 1_000 + i64::from(index)).unwrap();
            }
            let batch = packed(&builder.finish().unwrap(), Packing::Zstd);
            assert!(batch.bytes().len() < 5_000 && batch.memory_bytes() > 300_000);
            batches.append_batch(&who, &name("t"), partition, batch, None).await.unwrap();
        }
        let (mut seen, mut from) = (Vec::new(), From::Earliest);
        loop {
            let answer = site.node.read(&who, read(from, 50)).await.unwrap();
            let number = |value: String| value.split(' ').next().unwrap().parse::<u32>().unwrap();
            seen.extend(values(&answer.records).into_iter().map(number));
            if answer.is_end {
                break;
            }
            from = From::Cursors(vec![answer.next_cursor]);
        }
        let by_time = (0..60).flat_map(|index| [index, 60 + index]).collect::<Vec<_>>();
        assert_eq!(seen, by_time, "in the order of time, each once");
    });
}

#[test]
fn a_key_s_history_is_its_own() {
    on_shard(async |site| {
        let who = site.owner().await;
        for index in 0..10 {
            let key = if index % 3 == 0 { "a" } else { "b" };
            site.publish(&who, "t", vec![record(key, &index.to_string())]).await;
        }
        let key = Key::new("a").unwrap();
        let mut request = read(From::Earliest, 1000);
        request.key = Some(key.clone());
        let answer = site.node.read(&who, request.clone()).await.unwrap();
        assert_eq!(values(&answer.records), ["0", "3", "6", "9"]);
        request.last = Some(2);
        let answer = site.node.read(&who, request).await.unwrap();
        assert_eq!(values(&answer.records), ["6", "9"]);
        let latest = site.node.latest(&who, &name("t"), &key).await.unwrap();
        assert_eq!(values(&[latest.unwrap()]), ["9"]);
        let mut request = read(From::Earliest, 10);
        request.last = Some(1);
        assert_eq!(site.node.read(&who, request).await.unwrap_err().code(), Code::InvalidRequest);
    });
}

#[test]
fn a_waiting_read_wakes_on_append() {
    on_shard(async |site| {
        let who = site.owner().await;
        site.publish(&who, "t", vec![record("k", "1")]).await;
        let mut request = read(From::Latest, 10);
        request.wait = Duration::from_secs(30);
        let (reading, _) = tokio::join!(site.node.read(&who, request), async {
            tokio::task::yield_now().await;
            site.publish(&who, "t", vec![record("k", "2")]).await
        });
        assert_eq!(values(&reading.unwrap().records), ["2"]);
    });
}

#[test]
fn waiting_for_a_key_leaves_other_partitions_alone() {
    on_shard(async |site| {
        let who = site.owner().await;
        let config = TopicConfig { partitions: 8, ..TopicConfig::default() };
        site.node.put_topic(&who, &name("t"), config).await.unwrap();
        for number in 0..20 {
            site.publish(&who, "t", vec![record(&number.to_string(), "other")]).await;
        }
        let mut request = read(From::Earliest, 10);
        request.key = Some(Key::new("wanted").unwrap());
        request.wait = Duration::from_secs(30);
        let (reading, _) = tokio::join!(site.node.read(&who, request), async {
            tokio::task::yield_now().await;
            site.publish(&who, "t", vec![record("wanted", "here")]).await
        });
        assert_eq!(values(&reading.unwrap().records), ["here"]);
    });
}

#[test]
fn a_missing_topic_is_not_found() {
    on_shard(async |site| {
        let who = site.owner().await;
        let refused = site.node.read(&who, read(From::Earliest, 1)).await.unwrap_err();
        assert_eq!(refused.code(), Code::TopicNotFound);
    });
}
