//! Windows, sessions and joins against what a look at all records at once says, and stores that are
//! restored.

use super::{JoinSide, Sessions, Store, StreamJoin, Table, Windows};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

const ENTRIES_MAX: usize = 100_000;
const PATIENT: u32 = 1_000_000;

fn count(aggregate: Option<&Bytes>) -> u64 {
    let bytes = aggregate.and_then(|bytes| bytes.first_chunk::<8>());
    bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn counted(count: u64) -> Bytes {
    Bytes::copy_from_slice(&count.to_be_bytes())
}

fn events() -> impl Strategy<Value = Vec<(String, i64)>> {
    prop::collection::vec(("[ab]", -200..200i64), 1..60)
}

/// All that can still be open is over by then.
fn end_of_time(store: &mut Store) {
    store.advance(10_000_000).expect("there is room");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// **Feature: realtime-saas-platform, Property KAFKA-CLIENT-02: every record counts once in
    /// each window that it is in and in no other, in whatever order records come within the
    /// grace.**
    #[test]
    fn windows_count_what_is_in_them(
        events in events(),
        size in 1..60u32,
        step in 1..60u32,
    ) {
        let step = step.min(size);
        let windows = Windows::hopping("w", size, step).with_grace(PATIENT);
        let mut store = Store::new(ENTRIES_MAX);
        let mut expected: BTreeMap<(i64, String), u64> = BTreeMap::new();
        for (key, at) in &events {
            let folded = windows.fold(&mut store, (key.as_bytes(), *at), |old| {
                counted(count(old) + 1)
            });
            prop_assert!(folded.expect("there is room").is_ok());
            let (size, step) = (i64::from(size), i64::from(step));
            for start in (at - size + 1)..=*at {
                if start.rem_euclid(step) == 0 {
                    *expected.entry((start, key.clone())).or_default() += 1;
                }
            }
        }
        prop_assert!(windows.close(&mut store).is_empty(), "all are open yet");
        end_of_time(&mut store);
        let found: BTreeMap<(i64, String), u64> = windows
            .close(&mut store)
            .into_iter()
            .map(|(key, window, aggregate)| {
                assert_eq!(window.end_ms - window.start_ms, i64::from(size));
                let key = String::from_utf8_lossy(&key).into_owned();
                ((window.start_ms, key), count(Some(&aggregate)))
            })
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(store.len(), 1, "but for the time nothing is left");
    }

    /// **Feature: realtime-saas-platform, Property KAFKA-CLIENT-03: sessions are the records of a
    /// key that are no further apart than the gap, in whatever order they come within the grace.**
    #[test]
    fn sessions_hold_what_is_near(events in events(), gap in 0..40u32) {
        let sessions = Sessions::new("s", gap).with_grace(PATIENT);
        let mut store = Store::new(ENTRIES_MAX);
        for (key, at) in &events {
            let merge = |one: &Bytes, other: &Bytes| counted(count(Some(one)) + count(Some(other)));
            let place = (key.as_bytes(), *at);
            let folded = sessions.fold(&mut store, place, counted(1), merge);
            prop_assert!(folded.expect("there is room").is_ok());
        }
        let mut expected: Vec<(String, i64, i64, u64)> = Vec::new();
        let mut sorted = events.clone();
        sorted.sort();
        for (key, at) in sorted {
            match expected.last_mut() {
                Some(last) if last.0 == key && at - last.2 <= i64::from(gap) => {
                    last.2 = at;
                    last.3 += 1;
                }
                _ => expected.push((key, at, at, 1)),
            }
        }
        prop_assert!(sessions.close(&mut store).is_empty(), "all are open yet");
        end_of_time(&mut store);
        let closed = sessions.close(&mut store).into_iter().map(|(key, session, aggregate)| {
            let key = String::from_utf8_lossy(&key).into_owned();
            (key, session.first_ms, session.last_ms, count(Some(&aggregate)))
        });
        let mut found: Vec<_> = closed.collect();
        found.sort();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(store.len(), 1, "but for the time nothing is left");
    }

    /// **Feature: realtime-saas-platform, Property KAFKA-CLIENT-04: a join of two streams has each
    /// pair that is near enough once and no other, in whatever order records come within the
    /// grace, and whenever what is over is forgotten.**
    #[test]
    fn joins_have_each_pair_once(
        events in prop::collection::vec((any::<bool>(), "[ab]", 0..100i64), 1..60),
        before in 0..30u32,
        after in 0..30u32,
        grace in 0..60u32,
    ) {
        let join = StreamJoin::new("j", before, after).with_grace(grace);
        let mut store = Store::new(ENTRIES_MAX);
        let (mut found, mut taken) = (Vec::new(), Vec::new());
        let mut time = i64::MIN;
        for (index, (is_left, key, at)) in events.iter().enumerate() {
            time = time.max(*at);
            let side = if *is_left { JoinSide::Left } else { JoinSide::Right };
            let value = Bytes::from(index.to_string());
            let place = (key.as_bytes(), *at);
            match join.push(&mut store, side, place, &value).expect("there is room") {
                Ok(pairs) => {
                    found.extend(pairs);
                    taken.push((*is_left, key, *at, value));
                }
                Err(_) => prop_assert!(at + i64::from(grace) < time, "it is late"),
            }
            join.close(&mut store);
        }
        let mut expected = Vec::new();
        for (_, key, at, left) in taken.iter().filter(|it| it.0) {
            for (_, other, then, right) in taken.iter().filter(|it| !it.0) {
                let range = at - i64::from(before)..=at + i64::from(after);
                if key == other && range.contains(then) {
                    expected.push((left.clone(), right.clone()));
                }
            }
        }
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
        end_of_time(&mut store);
        join.close(&mut store);
        prop_assert_eq!(store.len(), 1, "but for the time nothing is left");
    }

    /// **Feature: realtime-saas-platform, Property KAFKA-CLIENT-05: a store that is restored from
    /// its changes is the store as it was, wherever they were cut into commits.**
    #[test]
    fn a_store_is_its_changes(
        acts in prop::collection::vec(
            ("[a-c]", "[a-d]", prop::option::of(any::<u8>()), any::<bool>()),
            0..60,
        ),
    ) {
        let mut store = Store::new(ENTRIES_MAX);
        let mut log = Vec::new();
        for (space, key, value, is_commit) in acts {
            match value {
                Some(value) => store.put(&space, key.as_bytes(), vec![value]).expect("room"),
                None => drop(store.remove(&space, key.as_bytes())),
            }
            if is_commit {
                log.extend(store.changes());
            }
        }
        log.extend(store.changes());
        let mut again = Store::new(ENTRIES_MAX);
        for (key, value) in log {
            again.restore(key, value).expect("room");
        }
        for space in ["a", "b", "c"] {
            let all = |store: &Store| -> Vec<(Vec<u8>, Bytes)> {
                let entries = store.scan(space, b"", b"");
                entries.map(|(key, value)| (key.to_vec(), value.clone())).collect()
            };
            prop_assert_eq!(all(&store), all(&again));
        }
        prop_assert!(again.changes().is_empty());
    }
}

#[test]
fn what_comes_after_the_grace_is_late() {
    let mut store = Store::new(ENTRIES_MAX);
    let windows = Windows::tumbling("w", 10).with_grace(5);
    let fold = |store: &mut Store, at| {
        let folded = windows.fold(store, (b"k", at), |old| counted(count(old) + 1));
        folded.expect("there is room").is_ok()
    };
    assert!(fold(&mut store, 3) && fold(&mut store, 14) && fold(&mut store, 9));
    assert!(fold(&mut store, 15), "the first window is over now");
    assert!(!fold(&mut store, 9));
    assert_eq!(windows.close(&mut store).len(), 1);
    let sessions = Sessions::new("s", 2);
    let merge = |one: &Bytes, _: &Bytes| one.clone();
    let mut push = |at| sessions.fold(&mut store, (b"k", at), Bytes::new(), merge);
    assert!(push(20).expect("room").is_ok());
    assert!(push(17).expect("room").is_err());
    assert!(push(18).expect("room").is_ok(), "the session of 20 is open, and it is near");
}

#[test]
fn a_full_store_says_so_and_a_table_forgets_what_is_gone() {
    let mut store = Store::new(1);
    let table = Table::new("t");
    table.update(&mut store, b"k", Some("v".into())).expect("there is room");
    assert!(table.update(&mut store, b"other", Some("v".into())).is_err());
    table.update(&mut store, b"k", Some("w".into())).expect("it is there already");
    assert_eq!(table.get(&store, b"k"), Some(&Bytes::from("w")));
    table.update(&mut store, b"k", None).expect("nothing is added");
    assert_eq!(table.get(&store, b"k"), None);
    assert!(store.is_empty());
}
