//! What waits for a byte stream.

use crate::stream::output::{Output, SLICES_MAX};
use bytes::Bytes;
use port::Lane;
use std::io::{IoSlice, Write};

#[test]
fn what_waits_is_written_in_its_order_whatever_a_write_takes() {
    let pieces: Vec<Bytes> = (1..200_u8).map(|n| Bytes::from(vec![n; usize::from(n)])).collect();
    for taken in [1, 7, 100, 5_000] {
        let mut output = Output::default();
        for piece in &pieces {
            let mut lane = Lane::default();
            lane.bytes.extend_from_slice(piece);
            lane.put_piece(piece.clone());
            output.take(&mut lane);
            assert!(lane.bytes.is_empty() && lane.pieces.is_empty());
        }
        let mut written = Vec::new();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = written.write_vectored(output.slices(&mut slices)).expect("memory");
            written.truncate(written.len() - count.saturating_sub(taken));
            output.advance(count.min(taken));
        }
        let twice: Vec<Bytes> = pieces.iter().flat_map(|it| [it.clone(), it.clone()]).collect();
        assert_eq!(written, twice.concat());
        assert_eq!(output.len(), 0);
    }
}
