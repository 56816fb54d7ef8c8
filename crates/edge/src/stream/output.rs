//! What waits to be written to a byte stream: pieces behind each other, none of them copied.

use bytes::{Buf, Bytes};
use port::Lane;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Pieces that one write covers at most.
pub const SLICES_MAX: usize = 64;

#[derive(Default)]
pub struct Output {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Output {
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Puts what the lane holds behind the rest, and leaves the lane empty, without memory.
    pub fn take(&mut self, lane: &mut Lane) {
        let Lane { pieces, bytes, ends: _ } = std::mem::take(lane);
        for piece in pieces.into_iter().chain([bytes.freeze()]) {
            if !piece.is_empty() {
                self.bytes += piece.len();
                self.pieces.push_back(piece);
            }
        }
    }

    /// The first pieces, for one write.
    pub fn slices<'a, 'b>(&'a self, room: &'b mut [IoSlice<'a>; SLICES_MAX]) -> &'b [IoSlice<'a>] {
        let mut count = 0;
        for (slot, piece) in room.iter_mut().zip(&self.pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        room.get(..count).unwrap_or_default()
    }

    /// So many of the first bytes are written.
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.bytes);
        self.bytes -= left;
        while let Some(first) = self.pieces.front_mut() {
            if left < first.len() {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.pieces.pop_front();
        }
    }
}
