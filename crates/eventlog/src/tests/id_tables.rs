//! The newest ids in memory: what waits, what is stored, what leaves for a file.

use crate::LogError;
use crate::embedded::ids::entry::{Entry, IdHash, Place};
use crate::embedded::ids::table::{Claims, Recent, Settled, Table};
use std::sync::Arc;
use types::TopicId;

const TOPIC: TopicId = TopicId(7);

fn entry(hash: IdHash, offset: u64) -> Entry {
    Entry { hash, place: Place::new(3, offset, 1_000) }
}

fn claim(table: &mut Table, entries: &[Entry]) -> Arc<Claims> {
    let claims = Claims::new(TOPIC);
    claims.fill(entries.to_vec());
    table.claim(&claims);
    claims
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
    // Equal low halves: the maps hash by these.
    let (one, other, refused) = (5, 5 | 1 << 64, 9);
    let stored = claim(&mut table, &[entry(one, 0), entry(other, 1)]);
    let failed = claim(&mut table, &[entry(refused, 2)]);
    for hash in [one, other, refused] {
        check(&table, hash, "waits");
    }
    assert_eq!(table.claimed_offsets().len(), 3);
    assert_eq!(table.settle(&stored, Settled::Stored).len(), 2, "who asked is told");
    drop(table.settle(&failed, Settled::Refused));
    check(&table, one, "stored");
    check(&table, other, "stored");
    check(&table, refused, "unknown");
    assert!(table.claimed_offsets().is_empty());
    let Some(Recent::Stored(place)) = table.find(other) else { panic!("it is stored") };
    assert_eq!(place, entry(other, 1).place);
}

#[test]
fn what_waits_stays_while_the_rest_leaves() {
    let mut table = Table::default();
    table.add(&entry(1, 0));
    let stored = claim(&mut table, &[entry(2, 1)]);
    drop(table.settle(&stored, Settled::Stored));
    let waits = claim(&mut table, &[entry(3, 2)]);
    let mut leaving: Vec<IdHash> = table.begin_leaving().iter().map(|it| it.hash).collect();
    leaving.sort_unstable();
    assert_eq!(leaving, [1, 2]);
    check(&table, 1, "stored");
    check(&table, 3, "waits");
    drop(table.settle(&waits, Settled::Stored));
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
    for tell in table.settle(&claims, Settled::Refused) {
        let _ = tell.send(Err(LogError::Full));
    }
    assert!(matches!(told.try_recv(), Ok(Err(LogError::Full))));
}
