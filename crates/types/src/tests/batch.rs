//! Batches: what is built is read back, other writers' batches are understood, and no bytes panic.

use crate::address::KEY_BYTES_MAX;
use crate::batch::{
    BATCH_BYTES_MAX, BATCH_HEADER_BYTES, Producer, Stamp, packing, sequence_after, write_gap,
};
use crate::limits::{APPEND_BYTES_MAX, RECORDS_PER_APPEND_MAX};
use crate::{BadBatch, Batch, BatchBuilder, Header, Key, Record, TimestampMs};
use bytes::Bytes;
use proptest::prelude::*;

/// Made by another writer (kafka-python's `DefaultRecordBatchBuilder`): three records with key,
/// headers, an empty value, a tombstone and a timestamp before the first.
const FOREIGN: &str = "00000000000000000000005900000000022aab3ecd0000000000020000018bcfe568000000\
    018bcfe56805ffffffffffffffffffffffffffff000000031a000000046b310a68656c6c6f0020000a02010004046\
    8310476310468320010001304046b320100";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter_map(|b| (b as char).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn foreign_records() -> Vec<Record> {
    let header = |name: &'static str, value: &'static str| Header {
        name: Bytes::from_static(name.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    };
    let record = |key: Option<&'static str>, value: Option<&'static str>, timestamp| Record {
        key: key.map(|key| Key::new(key.as_bytes()).expect("short")),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
        timestamp: Some(timestamp),
        ..Record::default()
    };
    let mut second = record(None, Some(""), 1_700_000_000_005);
    second.headers = [header("h1", "v1"), header("h2", "")].into_iter().collect();
    vec![
        record(Some("k1"), Some("hello"), 1_700_000_000_000),
        second,
        record(Some("k2"), None, 1_699_999_999_990),
    ]
}

fn build(base_offset: u64, records: &[Record], now: TimestampMs) -> Batch {
    let mut builder = BatchBuilder::new(base_offset, 0);
    for (index, record) in records.iter().enumerate() {
        let bound = builder.len() + BatchBuilder::record_bytes_max(record);
        assert_eq!(builder.push(record, now), Ok(base_offset + index as u64));
        assert!(builder.len() <= bound, "a record takes at most what was foretold");
    }
    builder.finish().expect("has records")
}

#[test]
fn another_writers_batch_is_read_and_ours_is_the_same_bytes() {
    let bytes = hex(FOREIGN);
    let batch = Batch::parse(Bytes::from(bytes.clone())).expect("is a batch");
    assert_eq!((batch.base_offset(), batch.next_offset(), batch.count()), (0, 3, 3));
    assert_eq!(batch.max_timestamp(), 1_700_000_000_005);
    let records: Vec<Record> = batch.records().map(|(_, _, record)| record).collect();
    assert_eq!(records, foreign_records());

    let ours = build(0, &foreign_records(), 0);
    assert_eq!(ours.bytes()[..12], bytes[..12]);
    // Between them is the leader's epoch, which is each log's own.
    assert_eq!(ours.bytes()[16..], bytes[16..]);
}

/// Rewrites part of a good batch and its checksum.
fn altered(at: usize, bytes: &[u8]) -> Bytes {
    let mut batch = hex(FOREIGN);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let checksum = crc_fast::crc32_iscsi(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    Bytes::from(batch)
}

#[test]
fn a_batch_says_who_wrote_it() {
    let producer = Producer { id: 1 << 40, epoch: 7 };
    let stamps = [
        None,
        Some(Stamp { producer, sequence: Some(i32::MAX), is_transactional: false }),
        Some(Stamp::in_transaction(producer)),
    ];
    for stamp in stamps {
        let mut builder = BatchBuilder::new(3, 0);
        if let Some(stamp) = stamp {
            builder = builder.stamped(stamp);
        }
        builder.push(&foreign_records()[0], 0).expect("fits");
        let built = builder.finish().expect("has a record");
        assert_eq!(built.stamp(), stamp);
        let parsed = Batch::parse(built.bytes().clone()).expect("is a batch");
        assert_eq!(parsed, built);
        assert_eq!(parsed.with_base_offset(9).expect("in range").stamp(), stamp);
    }
    assert_eq!((sequence_after(5, 3), sequence_after(i32::MAX, 1)), (8, 0));
}

#[test]
fn a_batch_can_be_given_another_number() {
    let producer = Producer { id: 7, epoch: 3 };
    let stamp = Stamp { producer, sequence: Some(5), is_transactional: true };
    let plain = build(0, &foreign_records(), 1_000);
    let stamped = plain.clone().with_stamp(stamp);
    assert_eq!(Batch::parse(stamped.bytes().clone()).expect("a batch").stamp(), Some(stamp));
    assert!(stamped.records().eq(plain.records()));
}

#[test]
fn a_gap_says_where_it_ends() {
    let gap = write_gap(10, 15);
    assert_eq!(gap[..8], 10_u64.to_be_bytes());
    assert_eq!(gap[23..27], 4_u32.to_be_bytes(), "the last offset's distance");
    assert_eq!(gap[57..61], [0; 4], "no records");
    assert_eq!(packing(&gap), Ok(None));
    let far = write_gap(0, u64::MAX);
    assert_eq!(far[23..27], i32::MAX.to_be_bytes());
}

#[test]
fn what_is_no_batch_of_ours() {
    let cases = [
        (altered(16, &[1]), BadBatch::Magic(1)),
        (altered(8, &[0, 0, 0, 88]), BadBatch::Length),
        (altered(8, &[0xff; 4]), BadBatch::Length),
        (altered(22, &[1]), BadBatch::Unpack),
        (altered(22, &[2]), BadBatch::Unpack),
        (altered(22, &[3]), BadBatch::Unpack),
        (altered(22, &[4]), BadBatch::Unpack),
        (altered(22, &[5]), BadBatch::Compression(5)),
        (altered(22, &[0x20]), BadBatch::Unsupported("control")),
        (altered(22, &[0x10]), BadBatch::Header("a transaction without a producer")),
        (altered(43, &[0x80, 0, 0, 0, 0, 0, 0, 0]), BadBatch::Header("producer")),
        (altered(43, &[0, 0, 0, 0, 0, 0, 0, 7]), BadBatch::Header("producer")),
        (altered(43, &[0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 0x80, 0, 0, 0]), BadBatch::Header("producer")),
        (altered(22, &[0x08]), BadBatch::Unsupported("log append time")),
        (altered(23, &[0xff; 4]), BadBatch::Header("last offset delta")),
        (altered(57, &[0xff; 4]), BadBatch::Header("record count")),
        (altered(57, &[0, 0, 0, 0]), BadBatch::Header("record count")),
        (altered(57, &[0, 0, 0, 4]), BadBatch::Header("record count")),
        (altered(57, &[0, 0, 0, 2]), BadBatch::Length),
        (altered(0, &[0xff; 8]), BadBatch::Header("base offset")),
        (
            altered(0, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            BadBatch::Header("base offset"),
        ),
        (altered(61, &[0x7e]), BadBatch::Record { index: 0, reason: "length" }),
        (altered(64, &[2]), BadBatch::Record { index: 1, reason: "offset" }),
        (altered(65, &[0x7e]), BadBatch::Record { index: 0, reason: "key" }),
    ];
    for (bytes, want) in cases {
        assert_eq!(Batch::parse(bytes), Err(want));
    }
    let whole = hex(FOREIGN);
    for len in 0..whole.len() {
        assert!(Batch::parse(Bytes::copy_from_slice(&whole[..len])).is_err(), "{len} bytes");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert_eq!(Batch::parse(Bytes::from(longer)), Err(BadBatch::Length));
}

#[test]
fn a_key_too_long_for_us_is_refused() {
    // The builder takes no such key, so a value and a missing key change places.
    let with_key = |len: usize| {
        let value = Some(Bytes::from(vec![b'k'; len]));
        let batch = build(0, &[Record { value, ..Record::default() }], 0);
        let mut bytes = batch.bytes().to_vec();
        let end = bytes.len() - 1;
        // Length (3 bytes), attributes and two deltas come before the key.
        let key = BATCH_HEADER_BYTES + 6;
        bytes[key..end].rotate_left(1);
        let checksum = crc_fast::crc32_iscsi(&bytes[21..]);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        Batch::parse(Bytes::from(bytes))
    };
    let longest = with_key(KEY_BYTES_MAX).expect("fits");
    assert_eq!(
        longest.views().next().expect("one record").key.map(<[u8]>::len),
        Some(KEY_BYTES_MAX)
    );
    let reason = BadBatch::Record { index: 0, reason: "key length" };
    assert_eq!(with_key(KEY_BYTES_MAX + 1), Err(reason));
}

#[test]
fn an_empty_batch_is_none() {
    assert!(BatchBuilder::new(7, 100).finish().is_none());
}

#[test]
fn a_batch_takes_the_largest_append_and_not_much_more() {
    let value = Bytes::from(vec![0; APPEND_BYTES_MAX / 16]);
    let record = Record { value: Some(value), ..Record::default() };
    let mut builder = BatchBuilder::new(0, 0);
    let mut count = 0;
    while builder.push(&record, 0).is_ok() {
        count += 1;
        assert!(builder.len() <= BATCH_BYTES_MAX);
    }
    assert!(count >= 16);
    assert_eq!(builder.count(), count, "a refused record leaves nothing behind");
    assert!(Batch::parse(builder.finish().expect("has records").bytes().clone()).is_ok());
    // The framing of the most records an append may have also fits.
    let small = Record { value: Some(Bytes::new()), ..Record::default() };
    let framing = RECORDS_PER_APPEND_MAX * BatchBuilder::record_bytes_max(&small);
    assert!(BATCH_HEADER_BYTES + framing + APPEND_BYTES_MAX <= BATCH_BYTES_MAX);
}

#[test]
fn moving_a_batch_keeps_its_checksum() {
    let batch = build(5, &foreign_records(), 0);
    let shared = batch.bytes().clone();
    let moved = batch.clone().with_base_offset(1_000).expect("fits");
    assert_eq!(Batch::parse(moved.bytes().clone()).as_ref(), Ok(&moved));
    assert_eq!((moved.base_offset(), moved.next_offset()), (1_000, 1_003));
    assert_eq!(batch.bytes(), &shared, "other holders see no change");
    assert!(batch.with_base_offset(u64::MAX / 2).is_err());
}

fn bytes(len: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..len).prop_map(Bytes::from)
}

fn record() -> impl Strategy<Value = Record> {
    let header = ("[a-z-]{0,12}", bytes(20))
        .prop_map(|(name, value)| Header { name: Bytes::from(name), value });
    let timestamp = prop_oneof![1_700_000_000_000..1_700_000_100_000i64, any::<i64>()];
    (
        prop::option::of(bytes(40)),
        prop::option::of(bytes(200)),
        prop::collection::vec(header, 0..4),
        prop::option::of(timestamp),
    )
        .prop_map(|(key, value, headers, timestamp)| Record {
            key: key.map(|key| Key::new(key).expect("short")),
            value,
            headers: headers.into_iter().collect(),
            timestamp,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_built_is_read_back(
        records in prop::collection::vec(record(), 1..40),
        base_offset in 0..u64::from(u32::MAX),
        now in any::<i64>(),
    ) {
        let built = build(base_offset, &records, now);
        let batch = Batch::parse(built.bytes().clone()).expect("what is built parses");
        prop_assert_eq!(&batch, &built);
        let times: Vec<i64> = records.iter().map(|r| r.timestamp.unwrap_or(now)).collect();
        prop_assert_eq!(Some(batch.max_timestamp()), times.iter().copied().max());
        for (index, (offset, timestamp, record)) in batch.records().enumerate() {
            prop_assert_eq!(offset, base_offset + index as u64);
            prop_assert_eq!(timestamp, times[index]);
            let want = Record { timestamp: Some(times[index]), ..records[index].clone() };
            prop_assert_eq!(record, want);
        }
        prop_assert_eq!(batch.records().count(), records.len());
        let bytes: usize = records.iter().map(Record::size).sum();
        prop_assert_eq!(batch.records_bytes(), bytes as u64);
    }

    #[test]
    fn a_flipped_bit_is_noticed(
        records in prop::collection::vec(record(), 1..10),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let batch = build(0, &records, 1);
        let mut bytes = batch.bytes().to_vec();
        // The base offset and the leader's epoch are the log's own and not covered.
        let covered: Vec<usize> = (8..12).chain(16..bytes.len()).collect();
        bytes[*at.get(&covered)] ^= 1 << bit;
        prop_assert!(Batch::parse(Bytes::from(bytes)).is_err());
    }

    /// Even behind a right checksum.
    #[test]
    fn no_bytes_panic(
        records in prop::collection::vec(record(), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut bytes = build(0, &records, 1).bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let checksum = crc_fast::crc32_iscsi(&bytes[21..]);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        if let Ok(batch) = Batch::parse(Bytes::from(bytes)) {
            prop_assert_eq!(batch.records().count(), batch.count() as usize);
            let bytes: usize = batch.views().map(|view| view.size()).sum();
            prop_assert_eq!(batch.records_bytes(), bytes as u64);
            let offsets = batch.base_offset()..batch.next_offset();
            prop_assert!(batch.records().all(|(offset, _, _)| offsets.contains(&offset)));
        }
    }
}
