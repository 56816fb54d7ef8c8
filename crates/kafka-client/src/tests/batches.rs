//! Batches there and back, and bytes that are none.

use crate::Packing;
use crate::batches::{self, Builder, Head, Header, Record, Stamp, records, split, write_stamp};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let headers = prop::collection::vec(("[a-z]{0,5}", bytes()), 0..3);
    (bytes(), bytes(), headers, any::<i32>()).prop_map(|(key, value, headers, at)| Record {
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: headers
            .into_iter()
            .map(|(name, value)| Header { name, value: value.map(Into::into) })
            .collect(),
        timestamp_ms: Some(i64::from(at)),
    })
}

const PACKINGS: [Option<Packing>; 5] =
    [None, Some(Packing::Gzip), Some(Packing::Snappy), Some(Packing::Lz4), Some(Packing::Zstd)];

proptest! {
    #[test]
    fn records_come_back_and_damage_is_seen(
        sent in prop::collection::vec((0..3i32, any_record()), 1..20),
        packing in prop::sample::select(&PACKINGS[..]),
        at in any::<prop::sample::Index>(),
    ) {
        let mut builder = Builder::new();
        let mut expected = Vec::new();
        let mut delta = -1;
        for (gap, record) in sent {
            delta += 1 + gap;
            builder.push_at(delta, &record, 0);
            expected.push((i64::from(delta), record));
        }
        let stamp =
            Stamp { producer_id: 7, producer_epoch: 1, base_sequence: 9, is_transactional: true };
        let mut batch = builder.finish(packing, Some(stamp)).expect("packed");
        let head = Head::read(&batch).expect("a head");
        prop_assert!(head.is_transactional() && !head.is_control());
        prop_assert_eq!((head.producer_id, head.base_sequence), (7, 9));
        prop_assert_eq!(head.next_offset(), i64::from(delta) + 1);
        prop_assert_eq!(records(&batch.clone().freeze()).expect("records"), expected.clone());
        write_stamp(&mut batch, None);
        let head = Head::read(&batch).expect("a head");
        prop_assert_eq!((head.producer_id, head.is_transactional()), (-1, false));
        prop_assert_eq!(records(&batch.clone().freeze()).expect("records"), expected);
        // A bit behind the checksum that is not as it was.
        let place = 17 + at.index(batch.len() - 17);
        batch[place] ^= 1;
        prop_assert!(records(&batch.freeze()).is_err());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for batch in split(Bytes::from(bytes.clone())) {
            let _ = records(&batch);
        }
        // With a head that is right, whatever is behind it.
        let mut batch = Builder::new().finish(None, None).expect("a head");
        batch.extend_from_slice(&bytes);
        let rest = (batch.len() - 12) as i32;
        batch[8..12].copy_from_slice(&rest.to_be_bytes());
        batch[23..27].copy_from_slice(&9i32.to_be_bytes());
        batch[57..61].copy_from_slice(&10i32.to_be_bytes());
        write_stamp(&mut batch, None);
        let _ = records(&batch.freeze());
    }
}

#[test]
fn an_answer_that_was_cut_off_ends_with_its_last_whole_batch() {
    let mut builder = Builder::new();
    builder.push(&Record::new("k", "v"), 1);
    let batch = builder.finish(None, None).expect("a batch").freeze();
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&batch);
    bytes.extend_from_slice(&batch[..batch.len() - 1]);
    assert_eq!(split(bytes.freeze()).collect::<Vec<_>>(), [batch]);
}

#[test]
fn a_marker_says_how_its_transaction_ended() {
    for (kind, is_abort) in [(0u8, true), (1, false)] {
        let mut builder = Builder::new();
        builder.push(&Record::new(vec![0, 0, 0, kind], vec![0; 6]), 1);
        let mut batch = builder.finish(None, None).expect("a batch");
        batch[22] |= 1 << 5;
        write_stamp(&mut batch, None);
        let batch = batch.freeze();
        assert!(Head::read(&batch).expect("a head").is_control());
        assert_eq!(batches::is_abort(&batch), Ok(is_abort));
        assert_eq!(records(&batch), Ok(Vec::new()), "it is no record");
    }
}
