//! A message as it is written. What is large stays where it is: records on their way from the log
//! to a socket are not copied into an answer first.

use bytes::{Bytes, BytesMut};
use std::ops::{Deref, DerefMut};

/// Smaller parts are copied: that costs less than a piece of their own.
const APART_BYTES_MIN: usize = 2 * 1024;

/// Bytes are put in as into `BytesMut`; lengths and places are those of the bytes of its own.
#[derive(Debug, Default)]
pub struct Output {
    own: BytesMut,
    /// What goes behind so many of them.
    apart: Vec<(usize, Bytes)>,
}

impl Output {
    pub fn with_capacity(bytes: usize) -> Output {
        Output { own: BytesMut::with_capacity(bytes), apart: Vec::new() }
    }

    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < APART_BYTES_MIN {
            self.own.extend_from_slice(bytes);
        } else {
            self.apart.push((self.own.len(), bytes.clone()));
        }
    }

    /// Of everything that was put in.
    pub fn total(&self) -> usize {
        self.own.len() + self.apart.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }

    /// Everything in its order; no piece is empty.
    pub fn into_pieces(self) -> Vec<Bytes> {
        let mut own = self.own.freeze();
        let mut pieces = Vec::with_capacity(2 * self.apart.len() + 1);
        let mut begun = 0;
        for (at, bytes) in self.apart {
            let before = own.split_to(at - begun);
            begun = at;
            pieces.extend((!before.is_empty()).then_some(before));
            pieces.push(bytes);
        }
        pieces.extend((!own.is_empty()).then_some(own));
        pieces
    }

    /// Everything in one piece.
    pub fn into_bytes(self) -> Bytes {
        if self.apart.is_empty() {
            return self.own.freeze();
        }
        let mut whole = BytesMut::with_capacity(self.total());
        self.into_pieces().iter().for_each(|piece| whole.extend_from_slice(piece));
        whole.freeze()
    }
}

impl Deref for Output {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.own
    }
}

impl DerefMut for Output {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.own
    }
}
