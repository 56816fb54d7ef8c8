//! Reading by key: the newest records of one, and all keys there are.

use super::*;
use crate::Found;
use crate::embedded::draft::key_hash;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn texts(found: &[Found]) -> Vec<(Offset, String)> {
    found.iter().map(|found| (found.offset, text(&found.record))).collect()
}

#[tokio::test]
async fn the_newest_records_of_a_key_are_found_wherever_they_are() {
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let log = bed.open();
        // Over several extents, the key now and then.
        for turn in 0..60u64 {
            let mut records = vec![large(60_000)];
            if turn % 7 == 0 {
                records.push(keyed("a", &format!("a{turn}")));
            }
            if turn == 3 {
                records.push(keyed("old", "once"));
            }
            append(&log, records).await;
        }
        let newest = log.latest(TOPIC, 0, key("a")).await.expect("reads").expect("is there");
        assert_eq!((text(&newest.record), newest.timestamp), ("a56".to_owned(), NOW_MS));
        let last = log.last_of_key(TOPIC, 0, key("a"), 3).await.expect("reads");
        let values: Vec<String> = texts(&last).into_iter().map(|(_, text)| text).collect();
        assert_eq!(values, ["a42", "a49", "a56"]);
        let all = log.last_of_key(TOPIC, 0, key("a"), 100).await.expect("reads");
        assert_eq!(all.len(), 9);
        assert!(all.is_sorted_by_key(|found| found.offset));
        let old = log.latest(TOPIC, 0, key("old")).await.expect("reads").expect("is there");
        assert_eq!(text(&old.record), "once");
        assert_eq!(log.latest(TOPIC, 0, key("none")).await, Ok(None));
        assert_eq!(log.last_of_key(TOPIC, 0, key("a"), 0).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn a_tombstone_ends_a_key_and_stays_in_its_history() {
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let log = bed.open();
        append(&log, vec![keyed("a", "1"), keyed("b", "2")]).await;
        append(&log, vec![tombstone("a")]).await;
        assert_eq!(log.latest(TOPIC, 0, key("a")).await, Ok(None));
        let history = log.last_of_key(TOPIC, 0, key("a"), 9).await.expect("reads");
        assert_eq!(texts(&history), [(0, "1".to_owned()), (2, String::new())]);
        assert_eq!(log.keys(TOPIC, None, 10).await, Ok((vec![key("b")], false)));
        append(&log, vec![keyed("a", "3")]).await;
        assert_eq!(log.keys(TOPIC, None, 10).await, Ok((vec![key("a"), key("b")], false)));
    }
}

#[tokio::test]
async fn keys_of_all_partitions_come_in_pages() {
    let mut bed = Bed::new().with(vec![spec(TOPIC, 3, Durability::Durable)]);
    // A window of some ten keys.
    bed.options.key_directory_bytes_max = 1_400;
    let log = bed.open();
    for number in 0..100u32 {
        let name = format!("k{:02}", (number * 37) % 100);
        log.append(TOPIC, number % 3, vec![keyed(&name, "x")]).await.expect("is stored");
    }
    for limit in [1, 7, 64] {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let (page, has_more) = log.keys(TOPIC, after.clone(), limit).await.expect("lists");
            assert!(page.len() <= limit);
            all.extend(page);
            after = all.last().cloned();
            if !has_more {
                break;
            }
        }
        let want: Vec<Key> = (0..100).map(|number| key(&format!("k{number:02}"))).collect();
        assert_eq!(all, want, "pages of {limit}");
    }
}

/// Two keys with one hash: the keys themselves decide, in memory and on disk.
#[tokio::test]
async fn keys_with_one_hash_are_told_apart() {
    let [left, right] = ["8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"];
    assert_eq!(key_hash(left.as_bytes()), key_hash(right.as_bytes()));
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let log = bed.open();
        append(&log, vec![keyed(left, "first")]).await;
        append(&log, vec![keyed(left, "second"), large(200_000)]).await;
        for _ in 0..90 {
            append(&log, vec![keyed(right, "other"), large(20_000)]).await;
        }
        let found = log.last_of_key(TOPIC, 0, key(left), 2).await.expect("reads");
        assert_eq!(texts(&found), [(0, "first".to_owned()), (1, "second".to_owned())]);
        let newest = log.latest(TOPIC, 0, key(left)).await.expect("reads").expect("is there");
        assert_eq!(newest.offset, 1);
        let both = vec![key(left), key(right)];
        assert_eq!(log.keys(TOPIC, None, 10).await, Ok((both, false)));
    }
}

#[tokio::test]
async fn an_answer_by_key_is_bounded_in_bytes_and_has_the_newest() {
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let log = bed.open();
        for _ in 0..50 {
            append(&log, vec![Record { key: Some(key("a")), ..large(200_000) }]).await;
        }
        let found = log.last_of_key(TOPIC, 0, key("a"), 50).await.expect("reads");
        assert_eq!(found.len(), 42, "the last one reaches the bound");
        assert_eq!(found.last().map(|found| found.offset), Some(49));
        assert!(found.is_sorted_by_key(|found| found.offset));
    }
}

#[tokio::test]
async fn a_record_found_on_disk_keeps_no_read_in_memory() {
    let log = Bed::new().without_tail().open();
    let mut record = keyed("a", "small");
    record.headers.push(types::Header { name: "n".into(), value: "v".into() });
    append(&log, vec![large(50_000), record.clone(), large(50_000)]).await;
    let found = log.latest(TOPIC, 0, key("a")).await.expect("reads").expect("is there").record;
    assert_eq!(found, Record { timestamp: found.timestamp, ..record });
    assert!(found.key.as_ref().is_some_and(|key| key.bytes().is_unique()));
    assert!(found.value.as_ref().is_some_and(Bytes::is_unique));
    assert!(found.headers.iter().all(|it| it.name.is_unique() && it.value.is_unique()));
}

#[tokio::test]
async fn a_search_of_a_long_tail_lets_others_go_on() {
    let log = Bed::new().with(vec![spec(TOPIC, 1, Durability::Relaxed)]).open();
    append(&log, vec![keyed("first", "1")]).await;
    for _ in 0..3_000 {
        append(&log, vec![keyed("other", "x")]).await;
    }
    let mut search = log.latest(TOPIC, 0, key("first"));
    let mut turns = 0;
    let found = std::future::poll_fn(|context| {
        turns += 1;
        search.as_mut().poll(context)
    });
    assert_eq!(found.await.expect("reads").map(|found| found.offset), Some(0));
    assert!(turns > 2, "looked at {turns} times");
}

#[tokio::test]
async fn searches_leave_places_for_other_reads() {
    let mut bed = Bed::new().without_tail();
    (bed.options.disk_reads_max, bed.options.disk_scans_max) = (1, 1);
    let log = bed.open();
    append(&log, vec![keyed("a", "1")]).await;
    let scan = Arc::clone(&log.core.disk_scans).acquire_owned().await.expect("is free");
    let mut keys = log.keys(TOPIC, None, 1);
    let mut latest = log.latest(TOPIC, 0, key("a"));
    let is_waiting = std::future::poll_fn(|context| {
        let is_waiting =
            keys.as_mut().poll(context).is_pending() && latest.as_mut().poll(context).is_pending();
        std::task::Poll::Ready(is_waiting)
    });
    assert!(is_waiting.await);
    assert_eq!(read_all(&log, TOPIC, 0, 0).await, Ok(vec![(0, "1".to_owned())]));
    drop(scan);
    assert_eq!(keys.await, Ok((vec![key("a")], false)));
    assert!(latest.await.expect("reads").is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Remove(u8),
    Large,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        1 => (0..6u8).prop_map(Step::Remove),
        2 => Just(Step::Large),
    ]
}

async fn check_against_model(steps: Vec<Step>, tail_bytes_max: usize) -> Result<(), TestCaseError> {
    let mut bed = Bed::new();
    bed.options.tail_bytes_max = tail_bytes_max;
    let log = bed.open();
    let mut model: BTreeMap<String, Vec<(Offset, Option<String>)>> = BTreeMap::new();
    for step in steps {
        let (record, entry) = match step {
            Step::Put(name, number) => {
                let (name, number) = (format!("k{name}"), number.to_string());
                (keyed(&name, &number), Some((name, Some(number))))
            }
            Step::Remove(name) => {
                let name = format!("k{name}");
                (tombstone(&name), Some((name, None)))
            }
            Step::Large => (large(100_000), None),
        };
        let offset = append(&log, vec![record]).await;
        if let Some((name, value)) = entry {
            model.entry(name).or_default().push((offset, value));
        }
    }
    for (name, history) in &model {
        let newest = log.latest(TOPIC, 0, key(name)).await.expect("reads");
        let want = history.last().and_then(|(offset, value)| Some((*offset, value.clone()?)));
        prop_assert_eq!(newest.map(|found| (found.offset, text(&found.record))), want);
        let last = log.last_of_key(TOPIC, 0, key(name), 3).await.expect("reads");
        let want = &history[history.len().saturating_sub(3)..];
        let want: Vec<(Offset, String)> = want
            .iter()
            .map(|(offset, value)| (*offset, value.clone().unwrap_or_default()))
            .collect();
        prop_assert_eq!(texts(&last), want);
    }
    let live = model.iter().filter(|(_, history)| history.last().is_some_and(|(_, v)| v.is_some()));
    let live: Vec<Key> = live.map(|(name, _)| key(name)).collect();
    prop_assert_eq!(log.keys(TOPIC, None, 10).await, Ok((live, false)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn keys_agree_with_a_map(
        steps in prop::collection::vec(step(), 1..60),
        tail_bytes_max in prop_oneof![Just(0), Just(150_000), Just(1 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("builds");
        runtime.block_on(check_against_model(steps, tail_bytes_max))?;
    }
}
