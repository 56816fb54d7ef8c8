//! Frames that announce too much.

use crate::codec::{Frame, FrameLimit, KafkaCodec, begin, finish};
use bytes::{Bytes, BytesMut};
use port::{Codec, Lane};

fn request(bytes: &'static [u8]) -> Frame {
    Frame::Request(Bytes::from_static(bytes))
}

#[test]
fn a_frame_is_bounded_before_it_is_waited_for() {
    let mut codec = KafkaCodec::new(FrameLimit::new(16));
    let mut whole = BytesMut::from(&b"\0\0\0\x02ab\0\0\0\x11"[..]);
    assert_eq!(codec.decode(&mut whole).expect("a frame"), Some(request(b"ab")));
    assert!(codec.decode(&mut whole).is_err(), "17 bytes are announced");
    let mut negative = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
    assert!(codec.decode(&mut negative).is_err());
}

#[test]
fn records_go_to_the_socket_from_where_they_are() {
    let mut codec = KafkaCodec::new(FrameLimit::new(16));
    let records = Bytes::from(vec![7; 100_000]);
    let answer = || {
        let mut output = begin(16);
        output.extend_from_slice(b"head");
        output.put_bytes(&records);
        output.extend_from_slice(b"end");
        finish(output)
    };
    let mut lane = Lane::default();
    lane.bytes.extend_from_slice(b"before");
    codec.encode_pieces(answer(), &mut lane);
    assert_eq!(lane.pieces[2].as_ptr(), records.as_ptr());
    let mut joined = BytesMut::from(&b"before"[..]);
    codec.encode(answer(), &mut joined);
    assert_eq!(lane.pieces.concat(), joined);
    assert!(joined.starts_with(b"before\x00\x01\x86\xa7head") && joined.ends_with(b"end"));
}
