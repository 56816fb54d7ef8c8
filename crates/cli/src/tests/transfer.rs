//! Files of exported records: what is written is read as it was, also from where it was left.

use crate::transfer::file::{Piece, Reading, Writing};
use crate::transfer::{Format, split};
use bytes::Bytes;
use proptest::prelude::*;
use std::path::Path;
use types::record::Header;
use types::{Batch, BatchBuilder, Key, Record};

fn batch(base_offset: u64, records: &[Record]) -> Batch {
    let mut builder = BatchBuilder::new(base_offset, 0);
    for record in records {
        builder.push(record, 1_000).expect("fits");
    }
    builder.finish().expect("not empty")
}

fn written(path: &Path, format: Format, batches: &[(u32, Batch)]) {
    let mut out = Writing::open(path, format, false).expect("new");
    for (partition, batch) in batches {
        out.write(*partition, batch, &(0..u64::MAX)).expect("written");
        out.done(*partition, batch.next_offset()).expect("noted");
    }
    out.finish().expect("finished");
}

type Seen = Vec<(u32, u64, i64, Record)>;

fn seen(piece: &Piece) -> Seen {
    let batches = split(Bytes::from(piece.batches.clone())).expect("batches");
    let all = batches.iter().flat_map(|batch| batch.records());
    all.map(|(offset, time, record)| (piece.partition, offset, time, record)).collect()
}

fn read(path: &Path, format: Format, ends: &[u64]) -> Seen {
    let mut input = Reading::open(path, format, false).expect("opens");
    let mut all = Vec::new();
    while let Some(piece) = input.next(ends).expect("read") {
        all.extend(seen(&piece));
        input.done(piece.records).expect("noted");
    }
    all
}

fn expected(batches: &[(u32, Batch)]) -> Seen {
    let one = |(partition, batch): &(u32, Batch)| {
        let partition = *partition;
        let all = batch.records().map(move |(at, time, record)| (partition, at, time, record));
        all.collect::<Vec<_>>()
    };
    batches.iter().flat_map(one).collect()
}

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let header = ("[a-z-]{1,8}", bytes())
        .prop_map(|(name, value)| Header { name: Bytes::from(name), value });
    let headers = prop::collection::vec(header, 0..3);
    let time = prop::option::of(0..1_000_000_000_000_i64);
    (prop::option::of(bytes()), prop::option::of(bytes()), headers, time).prop_map(
        |(key, value, headers, timestamp)| Record {
            key: key.and_then(|key| Key::new(key).ok()),
            value,
            headers: headers.into_iter().collect(),
            timestamp,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn files_are_read_as_they_were_written(
        runs in prop::collection::vec(
            (0..3_u32, 0..4_u64, prop::collection::vec(any_record(), 1..6)), 0..6),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut next = 0;
        let mut batches = Vec::new();
        for (partition, gap, records) in runs {
            batches.push((partition, batch(next + gap, &records)));
            next += gap + records.len() as u64;
        }
        for (name, format) in [("lines", Format::Ndjson), ("batches", Format::Batches)] {
            let path = dir.path().join(name);
            written(&path, format, &batches);
            prop_assert_eq!(read(&path, format, &[]), expected(&batches));
        }
    }
}

#[test]
fn an_interrupted_import_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let record = |text: &'static str| Record {
        value: Some(Bytes::from_static(text.as_bytes())),
        ..Record::default()
    };
    let batches: Vec<_> =
        (0..4_u32).map(|at| (at % 2, batch(u64::from(at), &[record("x")]))).collect();
    for (name, format) in [("lines", Format::Ndjson), ("batches", Format::Batches)] {
        let path = dir.path().join(name);
        written(&path, format, &batches);
        assert!(Writing::open(&path, format, false).is_err(), "never written over");
        let mut input = Reading::open(&path, format, false).expect("opens");
        let first = input.next(&[]).expect("read").expect("a piece");
        input.done(first.records).expect("noted");
        input.next(&[]).expect("read, and the command is killed");
        drop(input);
        let mut input = Reading::open(&path, format, true).expect("opens");
        let mut all = seen(&first);
        while let Some(piece) = input.next(&[]).expect("read") {
            all.extend(seen(&piece));
            input.done(piece.records).expect("noted");
        }
        assert_eq!(all, expected(&batches));
        assert_eq!(input.finish().expect("finished"), 4);
        assert!(Reading::open(&path, format, true).is_err(), "nothing to go on with");
        // What is in the log already is left out.
        assert_eq!(read(&path, format, &[1, 4]), expected(&batches)[2..3]);
    }
}

#[test]
fn what_is_no_such_file_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file");
    let cases: [(Format, &[u8]); 6] = [
        (Format::Ndjson, b"{}\n"),
        (Format::Ndjson, b"nonsense"),
        (Format::Ndjson, b"{\"partition\":0,\"offset\":0,\"timestamp\":0,\"extra\":1}\n"),
        (Format::Batches, b""),
        (Format::Batches, b"MSBATCH1\0\0"),
        (Format::Batches, b"MSBATCH1\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff"),
    ];
    for (format, bytes) in cases {
        std::fs::write(&path, bytes).expect("written");
        let opened = Reading::open(&path, format, false);
        let read = opened.and_then(|mut input| input.next(&[]).map(|_| ()));
        assert!(read.expect_err("refused").contains("file"), "{format:?}");
    }
}
