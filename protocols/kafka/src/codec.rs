//! Frames: a length of 32 bits and a message behind it. What a frame may announce is bounded before
//! a byte of it is waited for, tighter while nobody has signed in.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use port::{Code, Codec, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;
/// Of a request before its sender has signed in: the largest is a token.
pub const STRANGER_BYTES_MAX: usize = 64 * 1024;

/// A request as it came, or an answer as it goes, without its length.
pub type Frame = Bytes;

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
        if input.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        input.advance(LENGTH_BYTES);
        Ok(Some(input.split_to(length).freeze()))
    }

    fn encode(&mut self, frame: Frame, output: &mut BytesMut) {
        // An answer is bounded by what was asked for, far below 2 GiB.
        output.put_i32(i32::try_from(frame.len()).unwrap_or(i32::MAX));
        output.extend_from_slice(&frame);
    }
}
