//! The codec by itself: every kind of frame that is right and every way to be wrong.

use crate::ws::Violation;
use crate::ws::frame::{
    CONTROL_BYTES_MAX, Coding, Head, Opcode, server_frame_bytes, server_head, unmask,
};
use crate::ws::reader::{Incoming, Reader};
use port::mounts::MessageKind;
use proptest::prelude::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame with any first byte, in the shortest length form.
pub fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let start = frame.len();
    frame.extend_from_slice(payload);
    unmask(&mut frame[start..], MASK);
    frame
}

/// What a reader with a cap of 1,000 bytes makes of the input, as words.
fn read(input: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(1_000, Coding::Plain);
    let mut input = input.to_vec();
    let mut at = 0;
    let mut seen = Vec::new();
    loop {
        match reader.step(&mut input[at..]) {
            Ok(None) => return seen,
            Ok(Some((taken, incoming))) => {
                at += taken;
                seen.push(match incoming {
                    Incoming::Message(kind, payload) => {
                        format!("{kind:?} {}", String::from_utf8_lossy(payload.bytes()))
                    }
                    Incoming::Deflated(kind, payload) => {
                        format!("deflated {kind:?} {}", payload.bytes().len())
                    }
                    Incoming::Ping(payload) => format!("Ping {}", payload.len()),
                    Incoming::Pong => "Pong".into(),
                    Incoming::Close(code) => format!("Close {code:?}"),
                    Incoming::Fragment => "Fragment".into(),
                });
            }
            Err(violation) => {
                seen.push(violation.close_code().to_string());
                return seen;
            }
        }
    }
}

#[track_caller]
fn check(frames: &[Vec<u8>], expect: &[&str]) {
    assert_eq!(read(&frames.concat()), expect);
}

#[test]
fn whole_messages() {
    check(&[client_frame(0x81, b"Hello")], &["Text Hello"]);
    check(&[client_frame(0x82, b"\xff\x00")], &["Binary \u{fffd}\0"]);
    check(&[client_frame(0x81, b"")], &["Text "]);
    let long = "x".repeat(999);
    check(&[client_frame(0x81, long.as_bytes())], &[&format!("Text {long}")]);
    check(&[client_frame(0x81, "ü".as_bytes()), client_frame(0x81, b"2")], &["Text ü", "Text 2"]);
}

#[test]
fn fragments_join_and_control_frames_may_come_between() {
    check(
        &[
            client_frame(0x01, b"a\xc3"),
            client_frame(0x89, b"?"),
            client_frame(0x00, b"\xbc"),
            client_frame(0x8A, b""),
            client_frame(0x80, b"c"),
            client_frame(0x82, b"d"),
        ],
        &["Fragment", "Ping 1", "Fragment", "Pong", "Text aüc", "Binary d"],
    );
}

#[test]
fn what_breaks_the_framing() {
    let unmasked = vec![0x81, 0x01, b'a'];
    check(&[unmasked], &["1002"]);
    for reserved in [0xC1, 0xA1, 0x91] {
        check(&[client_frame(reserved, b"a")], &["1002"]);
    }
    for opcode in [0x83, 0x84, 0x85, 0x86, 0x87, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F] {
        check(&[client_frame(opcode, b"")], &["1002"]);
    }
    check(&[client_frame(0x80, b"a")], &["1002"]);
    check(&[client_frame(0x01, b"a"), client_frame(0x81, b"b")], &["Fragment", "1002"]);
    check(&[client_frame(0x09, b"")], &["1002"]);
    check(&[client_frame(0x89, &[0; CONTROL_BYTES_MAX + 1])], &["1002"]);
    check(&[client_frame(0x89, &[0; CONTROL_BYTES_MAX])], &["Ping 125"]);
    // Lengths that are not in their shortest form.
    check(&[vec![0x81, 0xFE, 0, 125, 0, 0, 0, 0]], &["1002"]);
    check(&[vec![0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]], &["1002"]);
    check(&[vec![0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], &["1002"]);
}

#[test]
fn what_is_too_big() {
    check(&[client_frame(0x82, &[0; 1_001])], &["1009"]);
    // Refused at the head: nothing of it is waited for.
    check(&[vec![0x82, 0xFF, 0, 0, 0, 0, 0x7F, 0, 0, 0]], &["1009"]);
    check(&[client_frame(0x02, &[0; 600]), client_frame(0x80, &[0; 401])], &["Fragment", "1009"]);
    let flood =
        [client_frame(0x02, b"")].into_iter().chain((0..20_000).map(|_| client_frame(0, b"")));
    assert_eq!(read(&flood.collect::<Vec<_>>().concat()).last().map(String::as_str), Some("1009"));
}

#[test]
fn what_is_not_text() {
    check(&[client_frame(0x81, b"\xff")], &["1007"]);
    check(&[client_frame(0x81, b"\xed\xa0\x80")], &["1007"]);
    check(&[client_frame(0x01, b"\xc3"), client_frame(0x80, b"(")], &["Fragment", "1007"]);
    check(&[client_frame(0x88, b"\x03\xe8\xff")], &["1007"]);
}

#[test]
fn closing_words() {
    check(&[client_frame(0x88, b"")], &["Close None"]);
    check(&[client_frame(0x88, b"\x03\xe8bye")], &["Close Some(1000)"]);
    check(&[client_frame(0x88, b"\x0f\xa0")], &["Close Some(4000)"]);
    check(&[client_frame(0x88, b"\x03")], &["1002"]);
    for bad in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        check(&[client_frame(0x88, &bad.to_be_bytes())], &["1002"]);
    }
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let mut whole = client_frame(0x81, "grüße".as_bytes());
    let mut reader = Reader::new(1_000, Coding::Plain);
    for end in 0..whole.len() {
        assert_eq!(reader.step(&mut whole[..end]), Ok(None), "{end}");
    }
    assert!(matches!(reader.step(&mut whole), Ok(Some((_, Incoming::Message(..))))));
}

#[test]
fn server_heads_say_their_length() {
    for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
        let (head, bytes) = server_head(Opcode::Text, length);
        let mut frame = head[..bytes].to_vec();
        frame.resize(bytes + length, 0);
        frame.extend_from_slice(b"the next one");
        assert_eq!(server_frame_bytes(&frame), bytes + length);
    }
}

proptest! {
    #[test]
    fn no_input_panics_or_is_waited_for_beyond_the_cap(
        input in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read(&input);
        if let Ok(Some(head)) = Head::parse(&input, Coding::Plain, 1_000) {
            prop_assert!(head.payload_bytes <= 1_000);
        }
    }

    #[test]
    fn what_is_framed_is_read(payload in prop::collection::vec(any::<u8>(), 0..1_000)) {
        let mut frame = client_frame(0x82, &payload);
        let mut reader = Reader::new(1_000, Coding::Plain);
        let step = reader.step(&mut frame);
        let Ok(Some((_, Incoming::Message(MessageKind::Binary, read)))) = step else {
            return Err(TestCaseError::fail("not a message"));
        };
        prop_assert_eq!(read.bytes(), &payload[..]);
    }
}

#[test]
fn violations_have_their_own_codes() {
    let codes = [Violation::Protocol(""), Violation::Text, Violation::TooBig, Violation::Kind]
        .map(Violation::close_code);
    assert_eq!(codes, [1002, 1007, 1009, 1003]);
}
