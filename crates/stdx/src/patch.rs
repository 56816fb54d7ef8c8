//! Differences between two byte strings: small where they share much. Pure, bounded, and safe to
//! apply whatever the bytes say.
//!
//! A patch is a list of steps. Each begins with a number (LEB128) whose lowest bit says what it is
//! and whose other bits are a count of bytes: 0 takes that many bytes from the patch itself, which
//! follow; 1 copies that many bytes of the base, from the place that follows as another number.

use std::collections::HashMap;

/// Bytes that are looked for in the base at once; shorter common pieces are not worth a step.
const BLOCK_BYTES: usize = 8;

/// What turns `base` into `target`; `None` when it would not be shorter than `target`.
pub fn make(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let index = blocks(base);
    let mut patch = Vec::new();
    let (mut at, mut plain_from) = (0, 0);
    while at + BLOCK_BYTES <= target.len() {
        let found = block(target, at).and_then(|block| index.get(&block).copied());
        let Some(from) = found else {
            at += 1;
            continue;
        };
        // The block is part of a longer common piece: it may begin before it and end behind it.
        let back = common_end(&base[..from], &target[plain_from..at]);
        let (from, start) = (from - back, at - back);
        let length = common_start(&base[from..], &target[start..]);
        insert(&mut patch, &target[plain_from..start]);
        number(&mut patch, length << 1 | 1);
        number(&mut patch, from);
        at = start + length;
        plain_from = at;
        if patch.len() >= target.len() {
            return None;
        }
    }
    insert(&mut patch, &target[plain_from..]);
    (patch.len() < target.len()).then_some(patch)
}

/// Applies a patch; `None` when it does not fit the base, or the answer would be longer than
/// `bytes_max`.
pub fn apply(base: &[u8], mut patch: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut target = Vec::new();
    while !patch.is_empty() {
        let step = read_number(&mut patch)?;
        let length = step >> 1;
        if length > bytes_max - target.len() {
            return None;
        }
        let piece = if step & 1 == 0 {
            let (piece, rest) = patch.split_at_checked(length)?;
            patch = rest;
            piece
        } else {
            let from = read_number(&mut patch)?;
            base.get(from..from.checked_add(length)?)?
        };
        target.extend_from_slice(piece);
    }
    Some(target)
}

/// Where each aligned block of the base begins; of several alike the first.
fn blocks(base: &[u8]) -> HashMap<[u8; BLOCK_BYTES], usize> {
    let mut index = HashMap::with_capacity(base.len() / BLOCK_BYTES);
    for at in (0..base.len()).step_by(BLOCK_BYTES) {
        if let Some(block) = block(base, at) {
            index.entry(block).or_insert(at);
        }
    }
    index
}

fn block(bytes: &[u8], at: usize) -> Option<[u8; BLOCK_BYTES]> {
    bytes.get(at..at + BLOCK_BYTES)?.try_into().ok()
}

fn common_start(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn common_end(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

fn insert(patch: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        number(patch, bytes.len() << 1);
        patch.extend_from_slice(bytes);
    }
}

fn number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0usize;
    for shift in (0..28).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    // No step of ours is longer than 2^28 bytes.
    None
}
