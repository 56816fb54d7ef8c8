//! Records as clients compress them.

use crate::records::{BadRecords, batch, pack};
use bytes::{BufMut, Bytes, BytesMut};
use types::batch::Packing;
use types::{BadBatch, Batch, BatchBuilder, Key, Record};

const PACKINGS: [Packing; 4] = [Packing::Gzip, Packing::Snappy, Packing::Lz4, Packing::Zstd];

fn plain(records: usize) -> Batch {
    let mut builder = BatchBuilder::new(0, 1_000);
    for index in 0..records {
        let record = Record {
            key: Some(Key::new(format!("key {index}")).expect("a key")),
            value: Some(format!("a value that goes on and on {index}").into()),
            ..Record::default()
        };
        builder.push(&record, 1_000 + index as i64).expect("it fits");
    }
    builder.finish().expect("records")
}

/// The batch with its records as `packed` has them.
fn with(batch: &Batch, codec: i16, packed: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&batch.bytes()[..61]);
    bytes.extend_from_slice(packed);
    let length = bytes.len() as i32 - 12;
    (&mut bytes[8..12]).put_i32(length);
    (&mut bytes[21..23]).put_i16(codec);
    let checksum = crc_fast::crc32_iscsi(&bytes[21..]);
    (&mut bytes[17..21]).put_u32(checksum);
    bytes.freeze()
}

fn packed(records: &[u8], codec: i16) -> Vec<u8> {
    pack(PACKINGS[codec as usize - 1], records).expect("memory")
}

/// At the door only: what is stored is read however it came.
#[test]
fn what_not_every_client_reads_is_refused_when_it_comes() {
    let sent = plain(10);
    let mut twice = packed(&sent.bytes()[61..], 1);
    twice.extend(packed(b"more", 1));
    let bytes = with(&sent, 1, &twice);
    assert_eq!(batch(bytes.clone()), Err(BadBatch::Unpack.into()));
    assert_eq!(Batch::parse(bytes).map(|it| it.unpacked()), Ok(sent));
}

#[test]
fn every_codec_gives_the_records_that_were_sent() {
    let sent = plain(100);
    for codec in 1..=4 {
        let bytes = with(&sent, codec, &packed(&sent.bytes()[61..], codec));
        let found = batch(bytes.clone()).unwrap_or_else(|bad| panic!("{codec}: {bad}"));
        assert_eq!(found.bytes(), &bytes, "codec {codec}: as it came");
        assert_eq!(found.packing(), Some(PACKINGS[codec as usize - 1]));
        assert_eq!(found.unpacked(), sent, "codec {codec}");
        assert!(found.records().eq(sent.records()), "codec {codec}");
        assert_eq!(found.records_bytes(), sent.records_bytes());
        assert_eq!(found.max_timestamp(), sent.max_timestamp());
        assert_eq!(found.memory_bytes(), bytes.len() + sent.bytes().len() - 61);
        let thinned = found.thinned(|view| view.offset != 7).expect("99 are left");
        assert_eq!(thinned.packing(), found.packing(), "compressed as it was");
        assert_eq!(Some(thinned.unpacked()), sent.thinned(|view| view.offset != 7));
        assert_eq!(Batch::parse(thinned.bytes().clone()), Ok(thinned.clone()));
        let moved = found.with_base_offset(70).expect("an offset");
        assert_eq!(moved.views().map(|view| view.offset).next(), Some(70));
        assert_eq!(Batch::parse(moved.bytes().clone()), Ok(moved.clone()));
        assert!(!moved.is_plain(), "it shares its bytes with no other");
    }
}

#[test]
fn snappy_blocks_of_java_clients_are_read() {
    let sent = plain(100);
    let records = &sent.bytes()[61..];
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for part in records.chunks(500) {
        let block = packed(part, 2);
        framed.put_u32(block.len() as u32);
        framed.extend_from_slice(&block);
    }
    assert_eq!(batch(with(&sent, 2, &framed)).expect("a batch").unpacked(), sent);
    framed.pop();
    assert_eq!(batch(with(&sent, 2, &framed)), Err(BadRecords::Batch(BadBatch::Unpack)));
}

#[test]
fn a_bomb_is_not_unpacked() {
    let sent = plain(1);
    let zeros = vec![0; 25 * 1024 * 1024];
    for codec in 1..=4 {
        let bomb = batch(with(&sent, codec, &packed(&zeros, codec)));
        let too_large = BadRecords::Batch(BadBatch::TooLarge);
        assert_eq!(bomb.expect_err("too large"), too_large, "codec {codec}");
    }
}

#[test]
fn what_is_not_one_whole_batch_is_refused() {
    let sent = plain(3);
    let twice = [&sent.bytes()[..], &sent.bytes()[..]].concat();
    assert_eq!(batch(twice.into()), Err(BadRecords::Count));
    assert_eq!(batch(Bytes::new()), Err(BadRecords::Count));
    let mut changed = BytesMut::from(&sent.bytes()[..]);
    changed[70] ^= 1;
    assert_eq!(batch(changed.freeze()), Err(BadRecords::Batch(BadBatch::Checksum)));
    let mut packed = BytesMut::from(&with(&sent, 4, &packed(&sent.bytes()[61..], 4))[..]);
    let last = packed.len() - 1;
    packed[last] ^= 1;
    assert_eq!(batch(packed.freeze()), Err(BadRecords::Batch(BadBatch::Checksum)));
    let mut old = BytesMut::from(&sent.bytes()[..]);
    old[16] = 1;
    assert_eq!(batch(old.freeze()), Err(BadRecords::Batch(BadBatch::Magic(1))));
}
