//! What a copy of a Kafka cluster makes of batches, and what a comparison makes of compaction.

use crate::kafka::compare::Unexplained;
use crate::kafka::copy::pieces;
use kafka_client::Packing;
use kafka_client::batches::{self, Builder, Head, Record, Stamp, write_stamp};
use kafka_client::consumer::Stored;

const LOG_APPEND_TIME: u8 = 1 << 3;

/// A batch of a transaction at offset 100, its records at every other offset.
fn stored(count: i32, flags: u8) -> Stored {
    let mut builder = Builder::new();
    for index in 0..count {
        let record = Record::new("k", format!("{index}"));
        builder.push_at(2 * index, &record, i64::from(index));
    }
    let stamp =
        Stamp { producer_id: 7, producer_epoch: 0, base_sequence: 0, is_transactional: true };
    let mut bytes = builder.finish(Some(Packing::Zstd), Some(stamp)).expect("packed");
    bytes[..8].copy_from_slice(&100i64.to_be_bytes());
    bytes[22] |= flags;
    write_stamp(&mut bytes, Some(stamp));
    let head = Head::read(&bytes).expect("a batch");
    Stored { bytes: bytes.freeze(), head, counts: true }
}

/// What the pieces of a batch hold, each record at the offset that it gets.
fn copied(stored: &Stored, from: i64) -> (usize, Vec<(i64, Record)>) {
    let pieces = pieces(stored, from).expect("pieces");
    let mut found = Vec::new();
    for (at, batch, records) in &pieces {
        let head = Head::read(batch).expect("a batch");
        assert_eq!((head.producer_id, head.is_transactional()), (-1, false), "it is nobody's");
        assert!(!head.is_dated_by_broker() && head.count <= 10_000);
        assert_eq!(head.packing(), Ok(Some(Packing::Zstd)), "it stays compressed");
        assert_eq!(u64::try_from(head.count), Ok(*records));
        for (offset, record) in batches::records(batch).expect("records") {
            found.push((offset - head.base_offset + at, record));
        }
    }
    (pieces.len(), found)
}

#[test]
fn records_stay_where_they_were_however_a_batch_is_cut() {
    for (count, flags, from, expected) in [
        (10, 0, 100, 1),
        (10, 0, 0, 1),
        (10, 0, 105, 1),
        (10, LOG_APPEND_TIME, 100, 1),
        (10_001, 0, 100, 2),
    ] {
        let stored = stored(count, flags);
        let mut wanted = batches::records(&stored.bytes).expect("records");
        wanted.retain(|(offset, _)| *offset >= from);
        assert_eq!(copied(&stored, from), (expected, wanted), "{count} {flags} {from}");
    }
    assert_eq!(copied(&stored(10, 0), 200), (0, Vec::new()), "all of it was copied before");
}

#[test]
fn what_was_compacted_on_one_side_only_is_explained_by_what_came_later() {
    let record = |key: &str, value: Option<&str>| Record {
        value: value.map(|value| value.to_owned().into()),
        ..Record::new(key.to_owned(), "")
    };
    let mut fine = Unexplained::default();
    fine.alone(1, record("a", Some("old")));
    fine.both(&record("a", Some("new")));
    fine.alone(3, record("b", Some("old")));
    fine.alone(4, record("b", None));
    assert_eq!(fine.problem(), None);
    let mut missing = Unexplained::default();
    missing.both(&record("a", Some("old")));
    missing.alone(7, record("a", Some("new")));
    assert!(missing.problem().is_some_and(|why| why.contains("offset 7")));
    let mut keyless = Unexplained::default();
    keyless.alone(1, Record::default());
    assert!(keyless.problem().is_some());
}
