//! Telling one flipped bit from a torn write. A write that power cut short lacks whole sectors;
//! what is whole but for a single bit was all there once. At the end of the data nothing else
//! tells the two apart, and a rotten record that was acknowledged must not be cut as if it had
//! never been.

use crate::layout::commit::{self, CommitHeader};
use crate::layout::{Seal, checksum, frame};

/// CRC-32C's polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Where a frame's checked part begins, behind the checksum itself.
const CHECKED_FROM: usize = 4;
/// The part of a frame's header that says how long it is and what it is.
const SHAPE: std::ops::Range<usize> = 4..20;

/// The commit header that the bytes are but for one bit. Its checksum and the extent's generation
/// and salt inside make a mistake all but impossible, so it is as good as a whole one.
pub fn repaired_header(bytes: &[u8], seal: Seal) -> Option<CommitHeader> {
    let mut bytes: [u8; commit::HEADER_BYTES] =
        bytes.get(..commit::HEADER_BYTES)?.try_into().ok()?;
    (0..8 * bytes.len()).find_map(|bit| {
        flip(&mut bytes, bit);
        let found = CommitHeader::decode(&bytes, seal);
        flip(&mut bytes, bit);
        found
    })
}

/// Whether the bytes begin with a frame that is whole but for one bit. A torn one is taken for it
/// with a chance of one in 2^32 per bit it has, and then reported as damage although nobody was
/// told that it was stored: harmless, where the opposite mistake is not.
pub fn is_one_bit_off(bytes: &[u8], salt: u64) -> bool {
    let by_checksum = frame::claimed_bytes(bytes).is_some_and(|claimed| {
        let whole = bytes.get(..claimed as usize);
        whole.is_some_and(|whole| has_one_bit_syndrome(whole, salt))
    });
    by_checksum || has_one_bit_in_shape(bytes, salt)
}

/// The checksum is linear: the difference a flipped bit makes depends on its distance from the end
/// only, so that one pass over all distances finds it.
fn has_one_bit_syndrome(frame: &[u8], salt: u64) -> bool {
    let (Some((stored, _)), Some(checked)) =
        (frame.split_first_chunk::<CHECKED_FROM>(), frame.get(CHECKED_FROM..))
    else {
        return false;
    };
    let difference = u32::from_le_bytes(*stored) ^ checksum(salt, &[checked]);
    // The checksum's own bytes can rot as well.
    if difference.count_ones() == 1 {
        return true;
    }
    let mut syndrome = POLYNOMIAL;
    for _ in 0..8 * checked.len() {
        if syndrome == difference {
            return true;
        }
        let carry = if syndrome & 1 == 1 { POLYNOMIAL } else { 0 };
        syndrome = (syndrome >> 1) ^ carry;
    }
    false
}

/// A flipped length or mark hides where the checked part ends, so these few bits are tried.
fn has_one_bit_in_shape(bytes: &[u8], salt: u64) -> bool {
    let mut bytes = bytes.to_vec();
    if bytes.len() < SHAPE.end {
        return false;
    }
    (8 * SHAPE.start..8 * SHAPE.end).any(|bit| {
        flip(&mut bytes, bit);
        let is_whole = frame::decode(&bytes, salt).is_ok();
        flip(&mut bytes, bit);
        is_whole
    })
}

fn flip(bytes: &mut [u8], bit: usize) {
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}
