//! The WebSocket subprotocols: any message is a request, a refused request, or too large; the
//! codec never panics, never keeps bytes back, and never speaks for the server.

use bytes::BytesMut;
use port::Codec;
use websocket::codec::{BinaryCodec, JsonCodec};
use websocket::frame::Frame;

/// Small, so that the limit is met as well.
const FRAME_BYTES_MAX: usize = 2_048;

fn check<C: Codec<Frame = Frame>>(codec: &mut C, input: &[u8]) {
    let mut message = BytesMut::from(input);
    match codec.decode(&mut message) {
        Ok(None) => assert!(input.is_empty(), "a whole message is a frame"),
        Ok(Some(Frame::Said(_))) => panic!("a client cannot speak for the server"),
        Ok(Some(Frame::Call(_) | Frame::Bad { .. })) => {
            assert!(input.len() <= FRAME_BYTES_MAX);
        }
        Err(_) => assert!(input.len() > FRAME_BYTES_MAX, "only size ends the connection"),
    }
    assert!(message.is_empty(), "a message is taken whole");
}

#[test]
fn websocket_json() {
    bolero::check!().for_each(|input: &[u8]| {
        check(&mut JsonCodec::new(FRAME_BYTES_MAX), input);
    });
}

#[test]
fn websocket_binary() {
    bolero::check!().for_each(|input: &[u8]| {
        check(&mut BinaryCodec::new(FRAME_BYTES_MAX), input);
    });
}

/// Random bytes rarely get behind the opening brace, so these begin within a frame.
#[test]
fn websocket_json_members() {
    const HEADS: [&str; 5] = [
        r#"{"type":"publish","id":1,"topic":"a","data":"#,
        r#"{"type":"publish","id":1,"records":[{"topic":"a","data":"#,
        r#"{"type":"subscribe","id":1,"filter":""#,
        r#"{"type":"presence","id":1,"topic":"a","action":"enter","data":"#,
        r#"{"type":"connect","id":1,"token":""#,
    ];
    bolero::check!().for_each(|input: &[u8]| {
        for head in HEADS {
            check(&mut JsonCodec::new(FRAME_BYTES_MAX), &[head.as_bytes(), input].concat());
        }
    });
}
