//! Compaction and the collector: what stays, what goes, and that nothing else changes for anybody.

use super::*;
use crate::End;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::{Clock, Disk};
use types::{Cleanup, Producer};

const HOUR: Duration = Duration::from_secs(3_600);
const TOMBSTONE: Duration = HOUR;

fn compacted(id: TopicId, cleanup: Cleanup) -> TopicSpec {
    let mut spec = spec(id, 1, Durability::Durable);
    spec.config.cleanup = cleanup;
    spec.config.tombstone_ms = TOMBSTONE.as_millis() as u64;
    spec
}

fn used_bytes(hands: &Hands) -> u64 {
    let space = hands.bed.disk.space(&hands.bed.options.dir).expect("known");
    space.total_bytes - space.free_bytes
}

fn padded(name: &str, text: &str, bytes: usize) -> Record {
    keyed(name, &format!("{text:_<bytes$}"))
}

fn bed(topics: Vec<TopicSpec>) -> Bed {
    let mut bed = Bed::new().without_tail().with(topics);
    bed.options.store.pool_extents = 0;
    bed.options.collect.clusters = false;
    bed
}

#[tokio::test]
async fn the_newest_record_of_each_key_stays_and_space_comes_back() {
    let mut hands = Hands::open(bed(vec![compacted(TOPIC, Cleanup::Compact)]));
    for turn in 0..200u64 {
        let name = format!("k{}", turn % 10);
        assert_eq!(hands.append(TOPIC, padded(&name, &turn.to_string(), 50_000)).await, turn);
    }
    let (used, stored) = (used_bytes(&hands), hands.log.stored_bytes(TOPIC));
    assert!(hands.collect() > 0);
    let (used_after, stored_after) = (used_bytes(&hands), hands.log.stored_bytes(TOPIC));
    assert!(used_after < used / 3, "{used} bytes on disk before, {used_after} after");
    assert!(stored_after < stored / 3, "{stored} bytes stored before, {stored_after} after");
    assert!(hands.log.collected().freed_bytes > used / 2);
    for _ in 0..2 {
        let bounds = hands.log.bounds(TOPIC, 0).expect("known");
        assert_eq!((bounds.start, bounds.end), (0, 200));
        let rows = hands.rows(TOPIC, 0).await;
        assert!(rows.is_sorted_by(|left, right| left.0 < right.0));
        for turn in 190..200 {
            let name = format!("k{}", turn % 10);
            let newest = (turn, Some(name.clone()), turn.to_string());
            assert!(rows.contains(&newest), "{newest:?} is missing");
            let found = hands.log.latest(TOPIC, 0, key(&name)).await.expect("reads");
            assert_eq!(found.map(|found| found.offset), Some(turn));
        }
        assert_eq!(hands.rows(TOPIC, 195).await, rows[rows.len() - 5..]);
        hands = hands.reopen();
    }
    assert_eq!(hands.append(TOPIC, padded("k0", "next", 10)).await, 200);
}

#[tokio::test]
async fn a_tombstone_stays_its_time_and_takes_its_key_along() {
    let mut hands = Hands::open(bed(vec![compacted(TOPIC, Cleanup::Compact)]));
    hands.append(TOPIC, padded("gone", "1", 10)).await;
    hands.append(TOPIC, padded("stays", "2", 10)).await;
    hands.append(TOPIC, tombstone("gone")).await;
    for turn in 0..100 {
        hands.append(TOPIC, padded("noise", &turn.to_string(), 50_000)).await;
    }
    let listed = hands.log.keys(TOPIC, None, 10).await.expect("reads");
    assert_eq!(listed, (vec![key("noise"), key("stays")], false));
    hands.collect();
    let offsets = |rows: Vec<(Offset, Option<String>, String)>| {
        rows.into_iter().map(|row| row.0).filter(|offset| *offset < 3).collect::<Vec<_>>()
    };
    assert_eq!(offsets(hands.rows(TOPIC, 0).await), [1, 2], "the tombstone, not what it deleted");
    hands.bed.clock.advance(TOMBSTONE + Duration::from_secs(1));
    for turn in 0..100 {
        hands.append(TOPIC, padded("noise", &turn.to_string(), 50_000)).await;
    }
    hands.collect();
    let rows = offsets(hands.rows(TOPIC, 0).await);
    assert!(rows.contains(&1), "{rows:?}");
    assert_eq!(hands.log.latest(TOPIC, 0, key("gone")).await, Ok(None));
    let listed = hands.log.keys(TOPIC, None, 10).await.expect("reads");
    assert_eq!(listed, (vec![key("noise"), key("stays")], false));
}

async fn begin(hands: &mut Hands, text: &str) -> Producer {
    let producer = hands.log.new_producer();
    hands.log.begin(producer, Duration::from_secs(60)).expect("begins");
    let pending = hands.log.append_in(producer, TOPIC, 0, vec![keyed("k", text)]);
    hands.run();
    pending.await.expect("is stored");
    producer
}

/// Whoever reads up to the end of what is visible must come there.
#[tokio::test]
async fn what_readers_see_last_stays_before_an_open_transaction() {
    for is_given_up in [false, true] {
        let other = TopicId(8);
        let topics = vec![compacted(TOPIC, Cleanup::Compact), spec(other, 1, Durability::Durable)];
        let mut hands = Hands::open(bed(topics));
        hands.append(TOPIC, tombstone("gone")).await;
        if is_given_up {
            let producer = begin(&mut hands, "given up").await;
            hands.log.end(producer, End::Abort).await.expect("is given up");
        }
        hands.bed.clock.advance(TOMBSTONE + Duration::from_secs(1));
        begin(&mut hands, "open").await;
        let dropped = TopicId(9);
        hands.log.put_topic(spec(dropped, 1, Durability::Durable)).expect("is made");
        for turn in 0..60 {
            hands.append(dropped, padded("noise", &turn.to_string(), 50_000)).await;
            hands.append(other, padded("noise", &turn.to_string(), 10)).await;
        }
        hands.log.drop_topic(dropped).expect("is dropped");
        assert!(hands.collect() > 0);
        let end = hands.log.bounds(TOPIC, 0).expect("known").end;
        assert_eq!(end, if is_given_up { 2 } else { 1 });
        for from in 0..end {
            let read = hands.log.read(TOPIC, 0, from, 1_000).await;
            assert!(read.is_ok(), "from {from}, given up: {is_given_up}: {read:?}");
        }
    }
}

#[tokio::test]
async fn one_topic_shares_extents_with_another_that_keeps_everything() {
    let topics = vec![compacted(TOPIC, Cleanup::Compact), spec(TopicId(8), 1, Durability::Durable)];
    let mut hands = Hands::open(bed(topics));
    for turn in 0..150u64 {
        hands.append(TOPIC, padded("k", &turn.to_string(), 40_000)).await;
        hands.append(TopicId(8), padded("k", &turn.to_string(), 10)).await;
    }
    let before = hands.rows(TopicId(8), 0).await;
    assert!(hands.collect() > 0);
    assert_eq!(hands.rows(TopicId(8), 0).await, before);
    let hands = hands.crash();
    assert_eq!(hands.rows(TopicId(8), 0).await, before);
    assert!(hands.rows(TOPIC, 0).await.iter().any(|row| row.0 == 149));
}

#[tokio::test]
async fn what_was_dropped_or_trimmed_leaves_mixed_extents() {
    let mut bed = bed([7, 8, 9].map(|id| spec(TopicId(id), 1, Durability::Durable)).into());
    bed.topics[1] = kept(bed.topics[1].clone(), None, Some(200_000));
    let mut hands = Hands::open(bed);
    for turn in 0..60u64 {
        hands.append(TopicId(7), padded("k", &turn.to_string(), 2_000)).await;
        hands.append(TopicId(8), padded("k", &turn.to_string(), 40_000)).await;
        hands.append(TopicId(9), padded("k", &turn.to_string(), 40_000)).await;
    }
    hands.log.maintain();
    hands.log.drop_topic(TopicId(9)).expect("known");
    let used = used_bytes(&hands);
    let kept = (hands.rows(TopicId(7), 0).await, hands.log.bounds(TopicId(8), 0).expect("known"));
    assert!(hands.collect() > 0);
    assert!(used_bytes(&hands) < used / 2, "{} of {used} bytes are left", used_bytes(&hands));
    assert_eq!(hands.rows(TopicId(7), 0).await, kept.0);
    hands.bed.topics.pop();
    let hands = hands.crash();
    assert_eq!(hands.rows(TopicId(7), 0).await, kept.0);
    assert_eq!(hands.log.bounds(TopicId(8), 0), Ok(kept.1));
    assert_eq!(hands.rows(TopicId(8), kept.1.start).await.len() as u64, kept.1.end - kept.1.start);
}

#[tokio::test]
async fn small_batches_of_cold_extents_are_laid_together() {
    let mut bed = bed((0..8).map(|id| spec(TopicId(id), 1, Durability::Durable)).collect());
    bed.options.collect.clusters = true;
    let mut hands = Hands::open(bed);
    for group in 0..100u64 {
        let records = (0..80).map(|turn| padded("k", &(group * 80 + turn).to_string(), 300));
        let log = Arc::clone(&hands.log);
        let topics = (0..8).cycle();
        let waiting =
            records.zip(topics).map(|(it, topic)| log.append(TopicId(topic), 0, vec![it]));
        let waiting = waiting.collect::<Vec<_>>();
        hands.run();
        for appended in waiting {
            appended.await.expect("is stored");
        }
    }
    let before = hands.rows(TopicId(3), 0).await;
    assert_eq!(hands.collect(), 0, "nothing is cold yet");
    hands.bed.clock.advance(HOUR);
    assert!(hands.collect() > 0);
    assert_eq!(hands.rows(TopicId(3), 0).await, before);
    let batches = hands.log.read(TopicId(3), 0, 0, 1 << 20).await.expect("reads");
    assert!(batches[0].count() > 20, "{:?}", batches[0]);
    let found = hands.log.offset_at(TopicId(3), 0, NOW_MS).await;
    assert_eq!(found, Ok(0));
    let hands = hands.reopen();
    assert_eq!(hands.rows(TopicId(3), 0).await, before);
}

/// What was joined may begin before what memory still holds and end in it.
#[tokio::test]
async fn keys_are_found_where_memory_ends_amid_what_was_joined() {
    for tail_bytes_max in (1..12).map(|step| step * 125_000) {
        let mut bed = bed(vec![compacted(TOPIC, Cleanup::Compact)]);
        bed.options.tail_bytes_max = tail_bytes_max;
        let mut hands = Hands::open(bed);
        for turn in 0..400u64 {
            let name = if turn % 4 == 0 { format!("k{turn}") } else { "noise".to_owned() };
            hands.append(TOPIC, padded(&name, &turn.to_string(), 4_000)).await;
        }
        assert!(hands.collect() > 0);
        for turn in (0..400).step_by(4) {
            let found = hands.log.latest(TOPIC, 0, key(&format!("k{turn}"))).await;
            let offset = found.expect("reads").map(|found| found.offset);
            assert_eq!(offset, Some(turn), "with {tail_bytes_max} bytes of memory");
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_collection_loses_nothing() {
    let topics =
        || vec![compacted(TOPIC, Cleanup::Compact), spec(TopicId(8), 1, Durability::Durable)];
    let filled = async |seed: u64| {
        let mut bed = bed(topics());
        bed.disk = SimDisk::shared(seed);
        let mut hands = Hands::open(bed);
        for turn in 0..60u64 {
            let name = format!("k{}", turn % 3);
            hands.append(TOPIC, padded(&name, &turn.to_string(), 60_000)).await;
            hands.append(TopicId(8), padded("k", &turn.to_string(), 10)).await;
        }
        hands
    };
    let mut hands = filled(1).await;
    let before = hands.bed.disk.changes();
    assert!(hands.collect() > 0);
    let changes = hands.bed.disk.changes() - before;
    let whole = hands.rows(TopicId(8), 0).await;
    for change in 1..=changes {
        let mut hands = filled(change + 1).await;
        hands.bed.disk.crash_at(hands.bed.disk.changes() + change);
        while hands.driver.collect() {}
        let mut hands = hands.crash();
        assert_eq!(hands.rows(TopicId(8), 0).await, whole, "crash at change {change}");
        let rows = hands.rows(TOPIC, 0).await;
        assert!(rows.is_sorted_by(|left, right| left.0 < right.0), "crash at change {change}");
        for turn in 57..60 {
            assert!(rows.iter().any(|row| row.0 == turn), "crash at change {change}: {rows:?}");
        }
        assert_eq!(hands.append(TOPIC, padded("k0", "next", 10)).await, 60);
        hands.collect();
        assert_eq!(hands.rows(TopicId(8), 0).await, whole, "crash at change {change}");
    }
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Act {
    Put(u8),
    Delete(u8),
    Wait,
    Collect,
    Reopen,
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..6u8).prop_map(Act::Put),
        3 => (0..6u8).prop_map(Act::Delete),
        1 => Just(Act::Wait),
        2 => Just(Act::Collect),
        1 => Just(Act::Reopen),
        1 => Just(Act::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_compacted_topic_always_tells_the_newest_of_each_key(
        acts in proptest::collection::vec(act(), 15..50), seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(live(acts, seed));
    }
}

/// Does all that, and looks at the log after each step that could have broken it.
async fn live(acts: Vec<Act>, seed: u64) {
    let mut bed = bed(vec![compacted(TOPIC, Cleanup::Compact)]);
    bed.disk = SimDisk::shared(seed);
    let mut hands = Hands::open(bed);
    // By offset: key, value, when.
    let mut model: Vec<(String, Option<String>, i64)> = Vec::new();
    for act in acts {
        match act {
            Act::Put(key) | Act::Delete(key) => {
                let name = format!("k{key}");
                let value = matches!(act, Act::Put(_)).then(|| model.len().to_string());
                let record = match &value {
                    Some(value) => padded(&name, value, 60_000),
                    None => tombstone(&name),
                };
                assert_eq!(hands.append(TOPIC, record).await, model.len() as u64);
                model.push((name, value, hands.bed.clock.now_ms()));
                continue;
            }
            Act::Wait => hands.bed.clock.advance(TOMBSTONE * 2 / 3),
            Act::Collect => {
                hands.log.maintain();
                hands.collect();
            }
            Act::Reopen => hands = hands.reopen(),
            Act::Crash => hands = hands.crash(),
        }
        check(&hands, &model).await;
    }
    hands.collect();
    check(&hands, &model).await;
}

async fn check(hands: &Hands, model: &[(String, Option<String>, i64)]) {
    let rows = hands.rows(TOPIC, 0).await;
    assert!(rows.is_sorted_by(|left, right| left.0 < right.0), "none twice, in order");
    for (offset, name, value) in &rows {
        let (expected, kept, _) = &model[*offset as usize];
        assert_eq!((name.as_ref(), value), (Some(expected), &kept.clone().unwrap_or_default()));
    }
    let newest = model.iter().enumerate().map(|(at, row)| (row.0.clone(), at));
    let newest: BTreeMap<String, usize> = newest.collect();
    for (name, at) in &newest {
        let (_, value, written) = &model[*at];
        let is_there = rows.iter().any(|row| row.0 == *at as u64);
        let age = hands.bed.clock.now_ms() - written;
        assert!(is_there || value.is_none() && age > TOMBSTONE.as_millis() as i64, "{name} {at}");
        let found = hands.log.latest(TOPIC, 0, key(name)).await.expect("reads");
        assert_eq!(found.is_some(), value.is_some(), "{name} {at}");
        assert!(found.is_none_or(|found| found.offset == *at as u64), "{name} {at}");
    }
    let living = newest.iter().filter(|(_, at)| model[**at].1.is_some());
    let living = living.map(|(name, _)| key(name)).collect::<Vec<_>>();
    assert_eq!(hands.log.keys(TOPIC, None, 100).await, Ok((living, false)));
    assert_eq!(hands.log.bounds(TOPIC, 0).map(|bounds| bounds.end), Ok(model.len() as u64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property 31: reaching a storage limit applies retention
    /// and cleanup**
    #[test]
    fn reaching_a_storage_limit_applies_retention_and_cleanup(
        sizes in proptest::collection::vec(1_000..60_000usize, 20..60),
        records_max in 5..40u64,
        bytes_max in 100_000..600_000u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(fill_to_the_limit(sizes, records_max, bytes_max));
    }
}

/// Fills a bounded topic beside one that is compacted, both far beyond what may stay.
async fn fill_to_the_limit(sizes: Vec<usize>, records_max: u64, bytes_max: u64) {
    let (bounded, state) = (TopicId(8), TOPIC);
    let mut topics =
        vec![compacted(state, Cleanup::Compact), spec(bounded, 1, Durability::Durable)];
    topics[1].config.retention.records_max = Some(records_max);
    let mut hands = Hands::open(bed(topics));
    let limits = Retention { bytes_max: Some(bytes_max), ..Retention::default() };
    hands.log.set_project_retention(ProjectId(uuid::Uuid::from_u128(1)), limits);
    let count = sizes.len() as u64;
    for (turn, bytes) in sizes.iter().enumerate() {
        // No publish is refused: what is oldest makes room.
        hands.append(bounded, padded("k", &turn.to_string(), *bytes)).await;
        hands.append(state, padded(&format!("k{}", turn % 2), &turn.to_string(), 40_000)).await;
        hands.log.maintain();
    }
    hands.collect();
    hands.log.maintain();
    let bounds = hands.log.bounds(bounded, 0).expect("known");
    assert_eq!(bounds.end, count);
    assert!(bounds.end - bounds.start <= records_max, "{bounds:?}");
    let kept_bytes = hands.log.stored_bytes(bounded);
    let state_bytes = hands.log.stored_bytes(state);
    assert!(kept_bytes <= bytes_max.saturating_sub(state_bytes), "{kept_bytes} + {state_bytes}");
    // What stays is the newest, whole and in order.
    let rows = hands.rows(bounded, bounds.start).await;
    let offsets = rows.iter().map(|row| row.0).collect::<Vec<_>>();
    assert_eq!(offsets, (bounds.start..bounds.end).collect::<Vec<_>>());
    // The compacted topic gave what had been replaced, and nothing else.
    let rows = hands.rows(state, 0).await;
    for newest in [count - 2, count - 1] {
        assert!(rows.iter().any(|row| row.0 == newest), "{newest} is missing");
    }
    // At most an extent of it waits to be sealed, and the rest was compacted.
    assert!(state_bytes < 1_500_000, "{state_bytes} bytes of two keys");
}
