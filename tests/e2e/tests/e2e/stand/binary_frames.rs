//! The layout of `mainstem.v1.bin` as the protocol's manual gives it, written a second time so
//! that reader and manual are both put to the test.

use super::got::{Body, Got, Sent};
use std::collections::BTreeMap;

/// LEB128.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    number(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// `subscribe` from the earliest record.
pub fn subscribe_earliest(id: u64, sub: u64, filter: &str) -> Vec<u8> {
    let mut out = vec![3];
    number(&mut out, id);
    number(&mut out, sub);
    out.push(0);
    bytes(&mut out, filter.as_bytes());
    out.push(1);
    out
}

pub fn publish(id: u64, sent: &[Sent]) -> Vec<u8> {
    let mut out = vec![5];
    number(&mut out, id);
    number(&mut out, sent.len() as u64);
    for record in sent {
        publish_one(&mut out, record);
    }
    out
}

fn publish_one(out: &mut Vec<u8>, record: &Sent) {
    bytes(out, record.topic.as_bytes());
    let content_type = match &record.body {
        Body::Json(_) => None,
        Body::Bytes(_, content_type) => Some(*content_type),
    };
    let mut flags = 2;
    flags |= u8::from(record.key.is_some());
    flags |= if content_type.is_some() { 8 } else { 0 };
    flags |= if record.headers.is_empty() { 0 } else { 32 };
    out.push(flags);
    if let Some(key) = &record.key {
        bytes(out, key);
    }
    bytes(out, &record.body.bytes());
    if let Some(content_type) = content_type {
        bytes(out, content_type.as_bytes());
    }
    if !record.headers.is_empty() {
        number(out, record.headers.len() as u64);
        for (name, value) in &record.headers {
            bytes(out, name.as_bytes());
            bytes(out, value.as_bytes());
        }
    }
}

/// A server's frame, as far as the tests look into it.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    Connected,
    Subscribed,
    Published(u64),
    Record(Got),
    CaughtUp,
    Error(String),
    /// Any other, by its type.
    Other(u8),
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().expect("the frame goes on");
        self.0 = rest;
        first
    }

    fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.number()).expect("a length");
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        head.to_vec()
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).expect("a text is UTF-8")
    }

    fn optional_id(&mut self) {
        if self.byte() == 1 {
            self.number();
        }
    }
}

/// Headers that carry our own marks are not shown by the JSON faces.
fn is_shown(name: &str) -> bool {
    name != "content-type" && !name.starts_with("ms-")
}

pub fn read(frame: &[u8]) -> Frame {
    let mut from = Reader(frame);
    match from.byte() {
        1 => Frame::Connected,
        3 => Frame::Subscribed,
        5 => {
            from.number();
            Frame::Published(from.number())
        }
        8 => {
            from.optional_id();
            Frame::Error(from.text())
        }
        10 => Frame::Record(record(&mut from)),
        11 => Frame::CaughtUp,
        other => Frame::Other(other),
    }
}

fn record(from: &mut Reader<'_>) -> Got {
    from.number();
    let topic = from.text();
    let (partition, offset) = (from.number(), from.number());
    from.number();
    let flags = from.byte();
    let key = (flags & 1 != 0).then(|| from.bytes());
    let value = if flags & 2 != 0 { from.bytes() } else { b"null".to_vec() };
    let mut headers = BTreeMap::new();
    for _ in 0..from.number() {
        let (name, value) = (from.text(), from.text());
        if is_shown(&name) {
            headers.insert(name, value);
        }
    }
    let cursor = from.text();
    assert!(from.0.is_empty(), "nothing follows the end of a frame");
    Got { topic, partition, offset, key, value, headers, cursor }
}
