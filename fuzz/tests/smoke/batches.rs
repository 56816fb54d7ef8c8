//! Record batches from anywhere: reading must not panic, a batch that is taken must give all its
//! records, and writing those again must give the same records.

use bytes::Bytes;
use types::{Batch, BatchBuilder, Offset, Record, TimestampMs};

const ITERATIONS: usize = 3_000;
const CHECKED_FROM: usize = 21;

/// A batch with the usual parts, to be changed: most changes are then deep inside.
fn template() -> Vec<u8> {
    let mut builder = BatchBuilder::new(5, 0);
    for index in 0..3u8 {
        let record = Record {
            key: types::Key::new(vec![b'k', index]).ok(),
            value: (index != 1).then(|| Bytes::from(vec![index; 20])),
            headers: [types::Header {
                name: Bytes::from_static(b"content-type"),
                value: Bytes::from_static(b"text/plain"),
            }]
            .into_iter()
            .collect(),
            timestamp: Some(1_000 - i64::from(index)),
        };
        builder.push(&record, 0).expect("is small");
    }
    builder.finish().expect("has records").bytes().to_vec()
}

/// Makes length, format and checksum right, so that what comes after them is reached.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > CHECKED_FROM {
        let rest = (bytes.len() - 12) as u32;
        bytes[8..12].copy_from_slice(&rest.to_be_bytes());
        bytes[16] = 2;
        let checksum = crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]);
        bytes[17..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

fn check(bytes: Vec<u8>) {
    let Ok(batch) = Batch::parse(Bytes::from(bytes)) else { return };
    let records: Vec<(Offset, TimestampMs, Record)> = batch.records().collect();
    assert_eq!(records.len(), batch.count() as usize);
    let offsets = batch.base_offset()..batch.next_offset();
    assert!(records.iter().all(|(offset, _, _)| offsets.contains(offset)));
    assert!(records.is_sorted_by(|one, next| one.0 < next.0));
    assert_eq!(records.iter().map(|record| record.1).max(), Some(batch.max_timestamp()));
    let mut builder = BatchBuilder::new(0, 0);
    for (_, timestamp, record) in &records {
        builder.push(record, *timestamp).expect("was in a batch");
    }
    let again = builder.finish().expect("has records");
    let again = Batch::parse(again.bytes().clone()).expect("what is built parses");
    assert!(again.records().map(|(_, _, record)| record).eq(records.into_iter().map(|r| r.2)));
}

#[test]
fn batches_of_any_bytes() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| check(sealed(bytes.clone())));
}

#[test]
fn batches_changed_in_places() {
    let template = template();
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<(u8, u8)>>().for_each(|changes| {
        let mut bytes = template.clone();
        for (at, byte) in changes {
            let at = CHECKED_FROM + *at as usize % (bytes.len() - CHECKED_FROM);
            bytes[at] = *byte;
        }
        check(sealed(bytes));
    });
}
