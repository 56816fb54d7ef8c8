//! Batches made of others: what stays keeps its offset, its time and its bytes.

use crate::batch::BatchJoiner;
use crate::{Batch, BatchBuilder, Key, Offset, Record, TimestampMs};
use bytes::Bytes;
use proptest::prelude::*;

type Row = (Offset, TimestampMs, Record);

fn records() -> impl Strategy<Value = Vec<Record>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
    let record = (bytes(), bytes(), proptest::option::of(0..2_000_000_000_000i64));
    let record = record.prop_map(|(key, value, timestamp)| Record {
        key: key.and_then(|key| Key::new(Bytes::from(key)).ok()),
        value: value.map(Bytes::from),
        timestamp,
        ..Record::default()
    });
    proptest::collection::vec(record, 1..20)
}

fn batch(base_offset: Offset, records: &[Record]) -> Batch {
    let mut builder = BatchBuilder::new(base_offset, 0);
    for record in records {
        builder.push(record, 1_000).expect("small");
    }
    builder.finish().expect("records")
}

fn rows(batch: &Batch) -> Vec<Row> {
    batch.records().collect()
}

proptest! {
    #[test]
    fn a_thinned_batch_holds_exactly_what_is_kept(
        records in records(), mask in any::<u32>(), base in 0..1_000_000u64,
    ) {
        let whole = batch(base, &records);
        let is_kept = |offset: Offset| mask >> ((offset - base) % 32) & 1 == 1;
        let expected: Vec<Row> =
            rows(&whole).into_iter().filter(|(offset, _, _)| is_kept(*offset)).collect();
        match whole.thinned(|view| is_kept(view.offset)) {
            None => prop_assert!(expected.is_empty()),
            Some(thinned) => {
                let read = Batch::parse(thinned.bytes().clone()).expect("a whole batch");
                prop_assert_eq!(&read, &thinned);
                prop_assert_eq!(rows(&read), expected);
                prop_assert_eq!(read.base_offset(), whole.base_offset());
                prop_assert_eq!(read.next_offset(), whole.next_offset());
            }
        }
    }

    #[test]
    fn joined_batches_hold_all_their_records(
        parts in proptest::collection::vec((records(), 0..50u64), 1..6),
    ) {
        let mut next = 7;
        let mut batches = Vec::new();
        for (records, gap) in &parts {
            let made = batch(next + gap, records);
            next = made.next_offset();
            batches.push(made.thinned(|view| view.offset % 3 > 0).unwrap_or(made));
        }
        let mut joiner = BatchJoiner::new(&batches[0]);
        for more in &batches[1..] {
            prop_assert!(joiner.push(more).is_ok());
        }
        let joined = joiner.finish();
        let read = Batch::parse(joined.bytes().clone()).expect("a whole batch");
        prop_assert_eq!(&read, &joined);
        let expected: Vec<Row> = batches.iter().flat_map(rows).collect();
        prop_assert_eq!(rows(&read), expected);
        prop_assert_eq!(read.base_offset(), batches[0].base_offset());
        prop_assert_eq!(read.next_offset(), next);
    }
}

#[test]
fn a_joiner_takes_no_batch_from_before() {
    let record = [Record::default()];
    let mut joiner = BatchJoiner::new(&batch(5, &record));
    assert!(joiner.push(&batch(5, &record)).is_err());
    assert!(joiner.push(&batch(5 + (1 << 31), &record)).is_err());
    assert!(joiner.push(&batch(6, &record)).is_ok());
    assert_eq!(joiner.finish().count(), 2);
    assert!(batch(0, &record).is_plain());
}
