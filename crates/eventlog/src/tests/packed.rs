//! Batches that came compressed: stored as they came, and read, searched and compacted like others.

use super::*;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::packed::packed;
use types::batch::Packing;
use types::{BatchBuilder, Cleanup};

const ALL: [Packing; 4] = [Packing::Gzip, Packing::Snappy, Packing::Lz4, Packing::Zstd];

fn batch(records: impl IntoIterator<Item = Record>, packing: Packing) -> Batch {
    let mut builder = BatchBuilder::new(0, 0);
    for record in records {
        builder.push(&record, NOW_MS).expect("fits");
    }
    packed(&builder.finish().expect("has records"), packing)
}

async fn put(hands: &mut Hands, batch: Batch) -> Offset {
    let pending = hands.log.append_batch(TOPIC, 0, batch, None);
    hands.run();
    pending.await.expect("is stored").base_offset
}

#[tokio::test]
async fn they_stay_as_they_came() {
    for mut bed in [Bed::new(), Bed::new().without_tail()] {
        bed.options.store.pool_extents = 0;
        let mut hands = Hands::open(bed);
        let mut sent = Vec::new();
        for packing in ALL {
            let texts = (0..50).map(|turn| keyed("k", &format!("{packing:?} {turn}")));
            let batch = batch(texts, packing);
            assert_eq!(put(&mut hands, batch.clone()).await, 50 * sent.len() as u64);
            sent.push(batch);
        }
        for turn in 0..2 {
            let found = hands.log.read(TOPIC, 0, 0, 1 << 20).await.expect("reads");
            assert_eq!(found.len(), 4, "{turn}");
            for (found, sent) in found.iter().zip(&sent) {
                assert_eq!(found.bytes()[8..], sent.bytes()[8..], "all but the offset");
                assert!(found.records().map(|it| it.2).eq(sent.records().map(|it| it.2)));
            }
            let newest = hands.log.latest(TOPIC, 0, key("k")).await.expect("reads");
            assert_eq!(text(&newest.expect("is there").record), "Zstd 49");
            hands = hands.crash();
        }
    }
}

#[tokio::test]
async fn compaction_sees_into_them() {
    let mut spec = spec(TOPIC, 1, Durability::Durable);
    spec.config.cleanup = Cleanup::Compact;
    let mut bed = Bed::new().without_tail().with(vec![spec]);
    bed.options.store.pool_extents = 0;
    let mut hands = Hands::open(bed);
    let noise = |turn: u64| {
        // Not to be compressed away.
        let bits = (0..3_000u64).map(|at| (at * at * 31 + turn * 7_919 + at * turn) as u8);
        Record { value: Some(bits.collect::<Vec<u8>>().into()), ..keyed("noise", "") }
    };
    for turn in 0..600u64 {
        let records = [noise(turn), keyed(&format!("k{}", turn % 7), &turn.to_string())];
        put(&mut hands, batch(records, ALL[turn as usize % 4])).await;
    }
    let newest = |rows: &[(Offset, Option<String>, String)]| {
        rows.iter().filter(|row| row.1.as_deref() != Some("noise")).cloned().collect::<Vec<_>>()
    };
    let before = newest(&hands.rows(TOPIC, 0).await);
    assert_eq!(before.len(), 600);
    hands.bed.clock.advance(Duration::from_secs(3_600));
    assert!(hands.collect() > 0);
    let after = newest(&hands.rows(TOPIC, 0).await);
    assert!(after.len() < 300, "{} are left", after.len());
    assert_eq!(after[after.len() - 7..], before[593..], "the newest of each");
    assert!(after.iter().all(|row| before.contains(row)), "where they were");
    let hands = hands.crash();
    assert_eq!(newest(&hands.rows(TOPIC, 0).await), after);
}

/// Half of each batch goes: what is left is many times what was stored, in the open.
#[tokio::test]
async fn what_compresses_well_is_compacted_too() {
    let mut spec = spec(TOPIC, 1, Durability::Durable);
    spec.config.cleanup = Cleanup::Compact;
    let mut bed = Bed::new().without_tail().with(vec![spec]);
    bed.options.store.pool_extents = 0;
    let mut hands = Hands::open(bed);
    let long = |turn: u64| format!("{turn} ").repeat(4_000);
    for turn in 0..600u64 {
        let records = [keyed(&format!("k{turn}"), &long(turn)), keyed("same", &long(turn))];
        put(&mut hands, batch(records, ALL[turn as usize % 4])).await;
    }
    hands.bed.clock.advance(Duration::from_secs(3_600));
    assert!(hands.collect() > 0);
    let rows = hands.rows(TOPIC, 0).await;
    let kept = rows.iter().filter(|row| row.1.as_deref() != Some("same"));
    assert_eq!(kept.clone().count(), 600, "the only ones of their keys");
    assert!(kept.zip(0..).all(|(row, turn)| row.2 == long(turn)));
    assert!(rows.len() < 900, "{} are left", rows.len());
    let found = hands.log.read(TOPIC, 0, 0, 1 << 20).await.expect("reads");
    assert!(found.iter().all(|batch| batch.packing().is_some()), "as they were");
}

#[tokio::test]
async fn what_they_grow_to_in_one_read_is_bounded() {
    let mut bed = Bed::new().without_tail();
    bed.options.store.extent_bytes = 8 << 20;
    bed.options.store.pool_extents = 0;
    let mut hands = Hands::open(bed);
    let zeros = Bytes::from(vec![0; 1 << 20]);
    let large = Record { value: Some(zeros), ..Record::default() };
    for turn in 0..30u64 {
        let records = [large.clone(), large.clone(), large.clone(), keyed("k", &turn.to_string())];
        put(&mut hands, batch(records, Packing::Zstd)).await;
    }
    let (mut next, mut seen, mut reads) = (0, BTreeSet::new(), 0);
    loop {
        let found = hands.log.read(TOPIC, 0, next, 1 << 20).await.expect("reads");
        let Some(last) = found.last() else { break };
        let bytes: usize = found.iter().map(|batch| batch.memory_bytes()).sum();
        assert!(bytes < 12 << 20, "{bytes} bytes at once");
        next = last.next_offset();
        reads += 1;
        seen.extend(found.iter().flat_map(|batch| batch.views().map(|view| view.offset)));
    }
    assert_eq!(seen.len(), 120);
    assert!(reads > 2, "of so few bytes on the device");
    // A search that finds nothing goes through all of it.
    let found = hands.log.last_of_key(TOPIC, 0, key("k"), 100).await.expect("reads");
    let values: Vec<String> = found.iter().map(|found| text(&found.record)).collect();
    assert_eq!(values, (0..30).map(|turn| turn.to_string()).collect::<Vec<_>>());
}

/// What is stored packed must fit in the open too: compaction, imports and restores make it so.
#[tokio::test]
async fn what_would_be_too_large_in_the_open_is_refused() {
    let mut hands = Hands::open(Bed::new());
    let zeros = |bytes: usize| Record { value: Some(vec![0; bytes].into()), ..Record::default() };
    // Half of the extent of 1 MiB is the most that a frame takes.
    let told = hands.log.append_batch(TOPIC, 0, batch([zeros(600_000)], Packing::Zstd), None);
    assert_eq!(told.await.map(|_| ()), Err(LogError::TooLarge));
    put(&mut hands, batch([zeros(400_000)], Packing::Zstd)).await;
    let mut bed = Bed::new();
    bed.options.store.extent_bytes = 64 << 20;
    let hands = Hands::open(bed);
    let records = std::iter::repeat_with(|| zeros(1 << 20)).take(17);
    let told = hands.log.append_batch(TOPIC, 0, batch(records, Packing::Zstd), None).await;
    assert_eq!(told.map(|_| ()), Err(LogError::TooLarge));
}
