//! Frames, chunks and heads, whole and cut.

use crate::http::{Body, body, chunk, head};
use crate::stamp::{number_after, text_after};
use crate::ws::{Frame, frame, parse};

#[test]
fn frames_wait_until_they_are_whole() {
    let mut medium = vec![0x82, 126, 1, 0];
    medium.extend(vec![7; 256]);
    let mut long = vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0];
    long.extend(vec![7; 65_536]);
    let cases = [
        (vec![0x81, 2, b'h', b'i'], Frame { opcode: 1, head: 2, payload: 2 }),
        (medium, Frame { opcode: 2, head: 4, payload: 256 }),
        (long, Frame { opcode: 1, head: 10, payload: 65_536 }),
        (vec![0x89, 0], Frame { opcode: 9, head: 2, payload: 0 }),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(&bytes), Ok(Some(expected)));
        assert_eq!(parse(&bytes[..bytes.len() - 1]), Ok(None));
    }
    assert!(parse(&[0x81, 0x82, 0, 0, 0, 0]).is_err(), "a server does not mask");
}

#[test]
fn our_frames_have_their_length_and_a_mask() {
    for (length, head) in [(5usize, 6usize), (126, 8), (65_536, 14)] {
        let mut out = Vec::new();
        frame(0x81, &vec![b'x'; length], &mut out);
        assert_eq!((out.len(), out[0], out[1] & 0x80), (head + length, 0x81, 0x80));
    }
}

#[test]
fn answers_are_read_however_their_body_comes() {
    let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP";
    let first = head(fixed).unwrap().unwrap();
    assert_eq!((first.status, first.body), (200, Body::Length(3)));
    assert_eq!(body(first.body, &fixed[first.bytes..]), Ok(Some((b"abc".to_vec(), 3))));
    assert_eq!(body(first.body, &fixed[first.bytes..first.bytes + 2]), Ok(None));
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
    let second = head(chunked).unwrap().unwrap();
    let rest = &chunked[second.bytes..];
    assert_eq!(body(second.body, rest), Ok(Some((b"abc".to_vec(), rest.len()))));
    assert_eq!(body(second.body, &rest[..rest.len() - 1]), Ok(None));
    assert_eq!(chunk(b"2\r\nab"), Ok(None));
    assert!(chunk(b"zz\r\n").is_err());
    assert!(head(b"SSH-2.0-x\r\n\r\n").is_err());
    assert_eq!(head(b"HTTP/1.1 200 OK\r\n"), Ok(None));
}

#[test]
fn members_are_found_by_their_names() {
    let text = br#"{"partition":0,"offset":712,"cursor":"abc=","x":"-"}"#;
    assert_eq!(number_after(text, b"\"offset\":"), Some(712));
    assert_eq!(number_after(text, b"\"x\":"), None);
    assert_eq!(text_after(text, b"\"cursor\":\""), Some("abc="));
    assert_eq!(text_after(text, b"\"none\":\""), None);
}
