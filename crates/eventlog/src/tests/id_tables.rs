//! The newest ids in memory: what waits, what is stored, what leaves for a file.

use crate::LogError;
use crate::embedded::ids::entry::{Entry, IdHash, Place};
use crate::embedded::ids::filter::Filter;
use crate::embedded::ids::slots::Slots;
use crate::embedded::ids::table::{Claims, Recent, Table, Waiting};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::TopicId;

const TOPIC: TopicId = TopicId(7);

fn entry(hash: IdHash, offset: u64) -> Entry {
    Entry { hash, place: Place::new(3, offset, 1_000) }
}

fn claim(table: &mut Table, entries: &[Entry]) -> Arc<Claims> {
    let claims = Claims::new(TOPIC);
    claims.fill(entries.iter().copied().collect());
    table.claim(&claims);
    claims
}

/// The append is stored, and the table told of it at once.
fn store(table: &mut Table, claims: &Claims) -> Waiting {
    let (number, waiting) = claims.store();
    table.forget(number.expect("the table knows the append"));
    waiting
}

fn check(table: &Table, hash: IdHash, expect: &str) {
    let found = match table.find(hash) {
        None => "unknown",
        Some(Recent::Stored(_)) => "stored",
        Some(Recent::Waits(..)) => "waits",
    };
    assert_eq!(found, expect, "{hash:x}");
}

#[test]
fn ids_of_one_append_share_what_becomes_of_it() {
    let mut table = Table::default();
    // Equal upper halves: one home.
    let (one, other, refused) = (5, 5 | 1 << 64, 9);
    let stored = claim(&mut table, &[entry(one, 0), entry(other, 1)]);
    let failed = claim(&mut table, &[entry(refused, 2)]);
    for hash in [one, other, refused] {
        check(&table, hash, "waits");
    }
    assert_eq!(table.claimed_offsets().len(), 3);
    assert_eq!(store(&mut table, &stored).len(), 2, "who asked is told");
    drop(table.refuse(&failed));
    check(&table, one, "stored");
    check(&table, other, "stored");
    check(&table, refused, "unknown");
    assert!(table.claimed_offsets().is_empty());
    let Some(Recent::Stored(place)) = table.find(other) else { panic!("it is stored") };
    assert_eq!(place, entry(other, 1).place);
}

#[test]
fn what_is_stored_counts_before_the_table_is_told() {
    let mut table = Table::default();
    let claims = claim(&mut table, &[entry(1, 0)]);
    check(&table, 1, "waits");
    assert_eq!(claims.store().1.len(), 1);
    check(&table, 1, "stored");
    // The device was faster than the publisher: there is no number to forget.
    let claims = Claims::new(TOPIC);
    claims.fill([entry(2, 1)].into_iter().collect());
    assert_eq!(claims.store().0, None);
    table.claim(&claims);
    check(&table, 2, "stored");
    table.forget(1);
    assert_eq!(table.begin_leaving().len(), 1, "what is not told of yet stays");
}

#[test]
fn what_waits_stays_while_the_rest_leaves() {
    let mut table = Table::default();
    table.add(&entry(1, 0));
    let stored = claim(&mut table, &[entry(2, 1)]);
    drop(store(&mut table, &stored));
    let waits = claim(&mut table, &[entry(3, 2)]);
    let mut leaving: Vec<IdHash> = table.begin_leaving().iter().map(|it| it.hash).collect();
    leaving.sort_unstable();
    assert_eq!(leaving, [1, 2]);
    check(&table, 1, "stored");
    check(&table, 3, "waits");
    drop(store(&mut table, &waits));
    // They did not arrive, so they leave again, with what came since.
    assert_eq!(table.begin_leaving().len(), 3);
    table.end_leaving();
    for hash in [1, 2, 3] {
        check(&table, hash, "unknown");
    }
    assert_eq!(table.len(), 0);
}

#[test]
fn whoever_waits_for_a_refused_append_is_told_why() {
    let mut table = Table::default();
    let claims = claim(&mut table, &[entry(1, 0)]);
    let Some(Recent::Waits(_, mut told)) = table.find(1) else { panic!("it waits") };
    for tell in table.refuse(&claims) {
        let _ = tell.send(Err(LogError::Full));
    }
    assert!(matches!(told.try_recv(), Ok(Err(LogError::Full))));
}

/// Few homes, at both ends too, so that what is pushed on is pushed past the end.
fn crowded() -> impl Strategy<Value = IdHash> {
    let home = prop_oneof![Just(0u64), Just(1 << 62), Just(u64::MAX - 1), any::<u64>()];
    (home, 0u64..4, 1u64..6).prop_map(|(home, near, low)| {
        u128::from(home.saturating_add(near << 57)) << 64 | u128::from(low)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn slots_hold_what_a_map_holds(
        steps in prop::collection::vec((crowded(), 0u64..3), 1..300),
    ) {
        let (mut slots, mut model) = (Slots::default(), BTreeMap::new());
        for (count, (hash, step)) in (0u64..).zip(steps) {
            if step == 0 {
                prop_assert_eq!(slots.remove(hash), model.remove(&hash));
            } else {
                slots.insert(hash, [count, step, 0]);
                model.insert(hash, [count, step, 0]);
            }
            slots.touch(hash);
            prop_assert_eq!(slots.len(), model.len());
            prop_assert_eq!(slots.get(hash), model.get(&hash).copied());
        }
        let held: Vec<_> = model.iter().map(|(&hash, &value)| (hash, value)).collect();
        prop_assert_eq!(slots.sorted(), held);
        for (hash, value) in model {
            prop_assert_eq!(slots.get(hash), Some(value));
        }
    }

    #[test]
    fn a_filter_holds_all_that_was_added_and_little_else(
        hashes in prop::collection::hash_set(any::<u128>(), 2_000),
    ) {
        let hashes: Vec<IdHash> = hashes.into_iter().collect();
        let (held, others) = hashes.split_at(1_000);
        let mut filter = Filter::new(held.len());
        held.iter().for_each(|&hash| filter.add(hash));
        prop_assert!(held.iter().all(|&hash| filter.may_hold(hash)));
        // About one in a thousand: eleven are beyond any chance.
        prop_assert!(others.iter().filter(|&&hash| filter.may_hold(hash)).count() <= 10);
    }
}

#[test]
fn ids_beyond_the_newest_are_found_refused_and_leave_in_order() {
    const COUNT: u64 = 40_000;
    let mut table = Table::default();
    let hash = |number: u64| IdHash::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | 1;
    let all: Vec<Entry> = (1..=COUNT).map(|number| entry(hash(number), number)).collect();
    let appends: Vec<Arc<Claims>> = all.chunks(100).map(|ids| claim(&mut table, ids)).collect();
    assert_eq!(table.len(), all.len());
    for (number, append) in appends.iter().enumerate() {
        match number {
            0 => drop(table.refuse(append)),
            1 => {}
            _ => drop(store(&mut table, append)),
        }
    }
    check(&table, all[0].hash, "unknown");
    check(&table, all[100].hash, "waits");
    check(&table, all[200].hash, "stored");
    let mut leaving = table.begin_leaving();
    leaving.sort_by_key(|entry| entry.place.offset());
    assert_eq!(leaving, &all[200..]);
    check(&table, all[100].hash, "waits");
    check(&table, all[200].hash, "stored");
    // Beside the newest, which take the same room however few there are.
    assert!(table.memory_bytes() < 64 * all.len() + (1 << 20), "{}", table.memory_bytes());
    drop(store(&mut table, &appends[1]));
    table.end_leaving();
    check(&table, all[100].hash, "stored");
    check(&table, all[200].hash, "unknown");
    assert_eq!(table.len(), 100);
}
