//! Frames: a length of 32 bits and a message behind it. What a frame may announce is bounded before
//! a byte of it is waited for, tighter while nobody has signed in.

use crate::wire::Output;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use port::{Code, Codec, Lane, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room that is made at least for a request of which only the begin is here.
const ROOM_BYTES_MIN: usize = 16 * 1024;
/// Room that is made beyond that, in lengths of what has come.
const ROOM_FACTOR: usize = 4;
/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;
/// Of a request before its sender has signed in: the largest is a token.
pub const STRANGER_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A request as it came, without its length.
    Request(Bytes),
    /// As it goes, with its length; the pieces in their order.
    Answer(Vec<Bytes>),
}

/// An answer's bytes with room in front for their length, which `finish` fills.
pub fn begin(bytes: usize) -> Output {
    let mut output = Output::with_capacity(LENGTH_BYTES + bytes);
    output.put_i32(0);
    output
}

pub fn finish(mut output: Output) -> Frame {
    // An answer is bounded by what was asked for, far below 2 GiB.
    let length = i32::try_from(output.total() - LENGTH_BYTES).unwrap_or(i32::MAX);
    (&mut output[..LENGTH_BYTES]).put_i32(length);
    Frame::Answer(output.into_pieces())
}

/// How long a request may be, raised when the client has signed in.
#[derive(Debug, Clone)]
pub struct FrameLimit(Arc<AtomicUsize>);

impl FrameLimit {
    pub fn new(bytes_max: usize) -> FrameLimit {
        FrameLimit(Arc::new(AtomicUsize::new(bytes_max)))
    }

    pub fn set(&self, bytes_max: usize) {
        self.0.store(bytes_max, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

pub struct KafkaCodec {
    limit: FrameLimit,
}

impl KafkaCodec {
    pub fn new(limit: FrameLimit) -> KafkaCodec {
        KafkaCodec { limit }
    }
}

impl Codec for KafkaCodec {
    type Frame = Frame;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Refusal> {
        let Some(head) = input.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let announced = i32::from_be_bytes(*head);
        let limit = self.limit.get();
        let Some(length) = usize::try_from(announced).ok().filter(|&length| length <= limit) else {
            let message = format!("a request of {announced} bytes; at most {limit} are taken");
            return Err(Refusal::new(Code::PayloadTooLarge, message));
        };
        let missing = (LENGTH_BYTES + length).saturating_sub(input.len());
        if missing > 0 {
            // What is announced is believed as far as it comes: room is made for the next part.
            input.reserve(missing.min((ROOM_FACTOR * input.len()).max(ROOM_BYTES_MIN)));
            return Ok(None);
        }
        input.advance(LENGTH_BYTES);
        Ok(Some(Frame::Request(input.split_to(length).freeze())))
    }

    fn encode(&mut self, frame: Frame, output: &mut BytesMut) {
        match frame {
            Frame::Request(bytes) => output.extend_from_slice(&bytes),
            Frame::Answer(pieces) => {
                pieces.iter().for_each(|piece| output.extend_from_slice(piece));
            }
        }
    }

    fn encode_pieces(&mut self, frame: Frame, lane: &mut Lane) {
        match frame {
            Frame::Answer(pieces) => pieces.into_iter().for_each(|piece| lane.put_piece(piece)),
            request @ Frame::Request(_) => self.encode(request, &mut lane.bytes),
        }
    }
}
