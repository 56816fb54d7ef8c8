//! The bytes on disk: what is written is read back, and nothing else is accepted.

use super::*;
use crate::index::{LiveIndex, Row};
use crate::layout::commit::{self, CommitHeader};
use crate::layout::header::{Header, Use};
use crate::layout::trailer::{Kind, Trailer};
use crate::layout::{BLOCK_BYTES, Seal, checksum, footer, frame as layout};
use proptest::prelude::*;

const SEAL: Seal = Seal { generation: 7, salt: 0x1234_5678_9abc_def0 };

#[test]
fn the_checksum_is_crc_32c() {
    // "123456789" -> 0xe3069283 is the published check value; the eight bytes are the salt.
    let salt = u64::from_le_bytes(*b"12345678");
    assert_eq!(checksum(salt, &[b"9"]), 0xe306_9283);
}

#[test]
fn a_header_survives_the_loss_of_either_copy() {
    let header = Header { id: 3, use_now: Use::Taken, seal: SEAL, prepared_bytes: 9, created: -5 };
    let mut block = [0; BLOCK_BYTES];
    header.encode(&mut block);
    assert_eq!(Header::decode(&block), Some(header));
    for half in [0..BLOCK_BYTES / 2, BLOCK_BYTES / 2..BLOCK_BYTES] {
        let mut torn = block;
        torn[half].fill(0xff);
        assert_eq!(Header::decode(&torn), Some(header));
    }
    assert_eq!(Header::decode(&[0; BLOCK_BYTES]), None);
    assert_eq!(Header::decode(&block[..100]), Some(header), "one copy is enough");
}

#[test]
fn a_torn_header_is_the_old_or_the_new_one() {
    let taken = Header { id: 3, use_now: Use::Taken, seal: SEAL, prepared_bytes: 9, created: 0 };
    let free = Header { use_now: Use::Free, ..taken };
    let (mut old, mut new) = ([0; BLOCK_BYTES], [0; BLOCK_BYTES]);
    taken.encode(&mut old);
    free.encode(&mut new);
    let mut torn = old;
    torn[..512].copy_from_slice(&new[..512]);
    assert_eq!(Header::decode(&torn), Some(free));
    let mut torn = new;
    torn[..512].copy_from_slice(&old[..512]);
    assert_eq!(Header::decode(&torn), Some(free));
}

const COMMIT: CommitHeader = CommitHeader {
    seal: SEAL,
    sequence: 4,
    frame_first: 11,
    frames: 2,
    total_bytes: 900,
    written_at: 0,
};

#[test]
fn commit_headers_fit_their_extent_only() {
    let header = CommitHeader { written_at: 1_700, ..COMMIT };
    let mut bytes = [0; commit::HEADER_BYTES];
    header.encode(&mut bytes);
    assert_eq!(CommitHeader::decode(&bytes, SEAL), Some(header));
    assert_eq!(CommitHeader::decode(&bytes, Seal { generation: 8, ..SEAL }), None);
    assert_eq!(CommitHeader::decode(&bytes, Seal { salt: 1, ..SEAL }), None);
    for at in 0..bytes.len() {
        let mut flipped = bytes;
        flipped[at] ^= 0x10;
        assert_eq!(CommitHeader::decode(&flipped, SEAL), None, "byte {at}");
    }
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed() {
    let frame = frame(5, 42, 40);
    let mut bytes = vec![0; layout::total_bytes(&frame)];
    assert!(layout::encode(&frame, SEAL, 9, None, &mut bytes));
    let header = layout::decode(&bytes, SEAL.salt).expect("whole");
    assert_eq!((header.stream, header.base_offset, header.sequence), (stream(5), 42, 9));
    assert_eq!((header.key_id, header.nonce), (0, [0; crate::cipher::NONCE_BYTES]));
    assert_eq!(header.keys(&bytes).collect::<Vec<_>>(), frame.keys.to_vec());
    assert_eq!(&bytes[header.body_start() as usize..], &frame.body[..]);
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        layout::decode(&bytes, SEAL.salt).expect_err("flipped");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    layout::decode(&bytes, SEAL.salt + 1).expect_err("another extent's salt");
    layout::decode(&bytes[..bytes.len() - 1], SEAL.salt).expect_err("cut short");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn footers_give_back_what_the_index_held(
        frames in prop::collection::vec((0u64..5, 0u32..50, any::<i64>(), 0u64..9), 1..60),
    ) {
        let mut index = LiveIndex::default();
        let mut next = [0u64; 5];
        let mut expected = vec![Vec::new(); 5];
        for (position, &(number, gap, max_timestamp, key)) in frames.iter().enumerate() {
            let base_offset = next[number as usize] + u64::from(gap);
            next[number as usize] = base_offset + 1;
            let position = position as u32;
            let row = Row { base_offset, max_timestamp, position, len: 100, count: 1 };
            index.add(stream(number), row, [key].into_iter());
            expected[number as usize].push(row);
        }
        let encoded = footer::encode(&index, SEAL.salt);
        prop_assert!(encoded.bytes.len() as u64 <= index.size().bytes());
        let rows = &encoded.bytes[..encoded.directory.len() * footer::DIRECTORY_ROW_BYTES];
        let crc = encoded.directory_crc;
        let directory = footer::decode_directory(rows, SEAL.salt, crc).expect("whole");
        prop_assert_eq!(&directory, &encoded.directory);
        for row in directory {
            let at = row.section_at as usize;
            let bytes = &encoded.bytes[at..at + row.section_bytes()];
            let (held, keys) = footer::decode_section(bytes, SEAL.salt, &row).expect("whole");
            prop_assert_eq!(&held, &expected[row.stream.topic.0 as usize]);
            prop_assert!(keys.is_sorted());
            prop_assert_eq!(row.next_offset, next[row.stream.topic.0 as usize]);
            let mut flipped = bytes.to_vec();
            flipped[0] ^= 1;
            prop_assert!(footer::decode_section(&flipped, SEAL.salt, &row).is_none());
        }
    }

    #[test]
    fn trailers_give_back_what_they_were_made_of(
        data_end in any::<u64>(), footer_at in any::<u64>(),
        streams in any::<u32>(), is_closed: bool,
    ) {
        let kind = if is_closed { Kind::Closed } else { Kind::Sealed };
        let trailer = Trailer {
            kind, seal: SEAL, data_end, footer_at, footer_bytes: 5, streams, directory_crc: 6,
            prepared_bytes: 7,
        };
        let mut block = [0; BLOCK_BYTES];
        trailer.encode(&mut block);
        prop_assert_eq!(Trailer::decode(&block, SEAL), Some(trailer));
        prop_assert_eq!(Trailer::decode(&block, Seal { salt: 0, ..SEAL }), None);
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400), salt in any::<u64>(),
    ) {
        let seal = Seal { generation: salt, salt };
        prop_assert!(layout::decode(&bytes, salt).is_err());
        prop_assert!(CommitHeader::decode(&bytes, seal).is_none());
        prop_assert!(Trailer::decode(&bytes, seal).is_none());
        prop_assert!(Header::decode(&bytes).is_none());
        let _ = footer::decode_directory(&bytes, salt, salt as u32);
        let _ = layout::claimed_bytes(&bytes);
    }
}
