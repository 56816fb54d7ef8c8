//! Frames that announce too much.

use crate::codec::{FrameLimit, KafkaCodec};
use bytes::{Bytes, BytesMut};
use port::Codec;

#[test]
fn a_frame_is_bounded_before_it_is_waited_for() {
    let mut codec = KafkaCodec::new(FrameLimit::new(16));
    let mut whole = BytesMut::from(&b"\0\0\0\x02ab\0\0\0\x11"[..]);
    assert_eq!(codec.decode(&mut whole).expect("a frame"), Some(Bytes::from_static(b"ab")));
    assert!(codec.decode(&mut whole).is_err(), "17 bytes are announced");
    let mut negative = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
    assert!(codec.decode(&mut negative).is_err());
}
