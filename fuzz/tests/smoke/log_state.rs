//! The log's own files, snapshot and ids, from anywhere: reading them must not panic, and what was
//! not written by the log is not believed.

use eventlog::files::{IDS_BLOCK_BYTES, ids_head, ids_in_block, ids_number, is_state};
use std::path::Path;

const ITERATIONS: usize = 3_000;
const STATE_MAGIC: &[u8; 8] = b"MSLOGST\0";
const IDS_MAGIC: &[u8; 8] = b"MSLOGID\0";

/// Begins and ends as a snapshot does, so that what is between is looked at.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = [&STATE_MAGIC[..], &1u32.to_le_bytes(), body].concat();
    let checksum = crc_fast::crc32_iscsi(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn checksum(number: u64, block: u64, bytes: &[u8]) -> [u8; 4] {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&number.to_le_bytes());
    digest.update(&block.to_le_bytes());
    digest.update(bytes);
    (digest.finalize() as u32).to_le_bytes()
}

fn check(body: &[u8]) {
    let _ = is_state(body);
    let whole = sealed(body);
    let is_whole = is_state(&whole);
    // Whatever was a snapshot is none any more with one bit changed.
    for at in 0..whole.len().min(64) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(!is_state(&changed), "byte {at}; whole before: {is_whole}");
    }
    let _ = ids_head(7, body);
    let _ = ids_in_block(7, 1, body);
    let mut head = [&IDS_MAGIC[..], body].concat();
    head.resize(36, 0);
    head.extend_from_slice(&checksum(7, 0, &head));
    assert!(ids_head(8, &head).is_none(), "of another file");
    if let Some(head) = ids_head(7, &head) {
        assert!(head.count > 0);
    }
    let mut block = body.to_vec();
    block.resize(IDS_BLOCK_BYTES - 4, 0);
    let sum = checksum(7, 3, &block);
    block.extend_from_slice(&sum);
    assert!(ids_in_block(7, 4, &block).is_none(), "of another place");
    if let Some(count) = ids_in_block(7, 3, &block) {
        assert!((1..=127).contains(&count));
    }
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = ids_number(Path::new(text));
    }
}

#[test]
fn log_state_of_any_bytes() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| check(bytes));
}
