//! Publishing to Mainstem: `POST /v1/events` with an array, and `publish` frames of the JSON
//! WebSocket protocol.

use super::{contains, read_until};
use crate::Fault;
use crate::closed_loop::Dialect;
use crate::http::{self, Body};
use crate::ws::frame;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is published: a topic, and how many records of how many bytes make a batch.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub topic: &'a str,
    pub records: usize,
    pub bytes: usize,
}

impl Batch<'_> {
    /// As `array`, and each record has an id; with the place of each id's number.
    fn array_of_ids(&self) -> (String, Vec<usize>) {
        let value = "x".repeat(self.bytes.saturating_sub(2));
        let head = format!(r#"{{"topic":"{}","id":"bench-"#, self.topic);
        let record = format!(r#"{head}{:0ID_DIGITS$}","data":"{value}"}}"#, 0);
        let places = (0..self.records).map(|at| 1 + at * (record.len() + 1) + head.len());
        (format!("[{}]", vec![record.clone(); self.records].join(",")), places.collect())
    }

    /// The records as a JSON array. The quotes of a JSON string are part of the stored value.
    fn array(&self) -> String {
        let value = "x".repeat(self.bytes.saturating_sub(2));
        let record = format!(r#"{{"topic":"{}","data":"{value}"}}"#, self.topic);
        format!("[{}]", vec![record; self.records].join(","))
    }
}

pub struct Http {
    request: Arc<[u8]>,
    records: usize,
    answer: Vec<u8>,
}

impl Http {
    pub fn many(count: usize, address: SocketAddr, key: &str, batch: Batch<'_>) -> Vec<Http> {
        let request: Arc<[u8]> = http::post(address, "/v1/events", key, &batch.array()).into();
        let one = || Http { request: Arc::clone(&request), records: batch.records, answer: vec![] };
        (0..count).map(|_| one()).collect()
    }
}

/// As `Http`, each record with an id of its own.
pub struct HttpWithIds {
    request: Vec<u8>,
    /// Where the numbers of the ids lie.
    places: Vec<usize>,
    /// Of all publishers, so that no id comes twice.
    next: Arc<AtomicU64>,
    answers: Http,
}

const ID_DIGITS: usize = 16;

impl HttpWithIds {
    pub fn many(
        count: usize,
        (address, key): (SocketAddr, &str),
        batch: Batch<'_>,
        next: &Arc<AtomicU64>,
    ) -> Vec<HttpWithIds> {
        let (body, places) = batch.array_of_ids();
        let request = http::post(address, "/v1/events", key, &body);
        let head_bytes = request.len() - body.len();
        let places: Vec<usize> = places.into_iter().map(|place| head_bytes + place).collect();
        let one = |answers| HttpWithIds {
            request: request.clone(),
            places: places.clone(),
            next: Arc::clone(next),
            answers,
        };
        Http::many(count, address, key, batch).into_iter().map(one).collect()
    }
}

impl Dialect for HttpWithIds {
    fn open(&mut self, _: &mut TcpStream) -> Result<(), Fault> {
        Ok(())
    }

    fn make_next(&mut self) {
        let first = self.next.fetch_add(self.places.len() as u64, Ordering::Relaxed);
        for (mut number, &place) in (first..).zip(&self.places) {
            let digits = self.request.iter_mut().skip(place).take(ID_DIGITS);
            for digit in digits.rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
    }

    fn batch(&self) -> &[u8] {
        &self.request
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.answers.take(bytes)
    }
}

impl Dialect for Http {
    fn open(&mut self, _: &mut TcpStream) -> Result<(), Fault> {
        Ok(())
    }

    fn batch(&self) -> &[u8] {
        &self.request
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.answer.extend_from_slice(bytes);
        let Some(head) = http::head(&self.answer)? else {
            return Ok(0);
        };
        let Body::Length(length) = head.body else {
            return Err("a publish is answered with a length".into());
        };
        if self.answer.len() < head.head_bytes + length {
            return Ok(0);
        }
        if head.status != 200 && head.status != 201 {
            return Err(String::from_utf8_lossy(&self.answer).into());
        }
        self.answer.clear();
        Ok(self.records)
    }
}

pub struct WebSocket {
    request: Arc<[u8]>,
    upgrade: Arc<str>,
    records: usize,
    answer: Vec<u8>,
}

impl WebSocket {
    pub fn many(count: usize, address: SocketAddr, key: &str, batch: Batch<'_>) -> Vec<WebSocket> {
        let text = format!(r#"{{"type":"publish","id":1,"records":{}}}"#, batch.array());
        let request: Arc<[u8]> = masked(text.as_bytes()).into();
        let upgrade: Arc<str> = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .into();
        let one = || WebSocket {
            request: Arc::clone(&request),
            upgrade: Arc::clone(&upgrade),
            records: batch.records,
            answer: Vec::new(),
        };
        (0..count).map(|_| one()).collect()
    }
}

impl Dialect for WebSocket {
    fn open(&mut self, socket: &mut TcpStream) -> Result<(), Fault> {
        socket.write_all(self.upgrade.as_bytes())?;
        let answer = read_until(socket, |bytes| contains(bytes, r#""type":"connected""#))?;
        if !answer.starts_with(b"HTTP/1.1 101 ") {
            return Err(String::from_utf8_lossy(&answer).into());
        }
        Ok(())
    }

    fn batch(&self) -> &[u8] {
        &self.request
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.answer.extend_from_slice(bytes);
        let mut acknowledged = 0;
        while let Some((first, payload, rest)) = first_frame(&self.answer) {
            match first & 0x0F {
                0x1 if payload.starts_with(br#"{"type":"published""#) => {
                    acknowledged += self.records;
                }
                // A ping needs no answer: publishing shows that we are there.
                0x9 => {}
                _ => return Err(String::from_utf8_lossy(payload).into()),
            }
            let rest = rest.len();
            let done = self.answer.len() - rest;
            self.answer.drain(..done);
        }
        Ok(acknowledged)
    }
}

/// A text frame with a mask that has an effect, as browsers send it (RFC 6455, section 5.3).
fn masked(payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut bytes = frame(0x81, payload);
    let head = bytes.len() - payload.len();
    if let Some(mask) = bytes.get_mut(head - 4..head) {
        mask.copy_from_slice(&MASK);
    }
    for (byte, mask) in bytes.iter_mut().skip(head).zip(MASK.iter().cycle()) {
        *byte ^= mask;
    }
    bytes
}

/// The first whole frame of a server's stream: its first byte, its payload, and what follows.
fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[first, short], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match short {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((first, payload, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_hides_and_gives_back() {
        let bytes = masked(b"published");
        let (mask, payload) = bytes.split_at(2).1.split_at(4);
        let plain: Vec<u8> =
            payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(plain, b"published");
        assert_ne!(payload, b"published");
    }

    #[test]
    fn no_id_comes_twice() {
        let batch = Batch { topic: "t", records: 3, bytes: 8 };
        let at = ("127.0.0.1:1".parse().unwrap(), "key");
        let next = Arc::new(AtomicU64::new(98));
        let mut one = HttpWithIds::many(2, at, batch, &next).remove(1);
        one.make_next();
        let text = std::str::from_utf8(one.batch()).unwrap();
        for number in ["98", "99", "100"] {
            let id = format!(r#""id":"bench-{number:0>16}""#);
            assert_eq!(text.matches(&id).count(), 1, "{text}");
        }
        one.make_next();
        assert!(contains(one.batch(), "bench-0000000000000101"));
    }

    #[test]
    fn acknowledgements_are_counted_however_they_are_cut() {
        let batch = Batch { topic: "t", records: 100, bytes: 8 };
        let address = "127.0.0.1:1".parse().unwrap();
        let text = br#"{"type":"published","id":1,"records":[]}"#;
        let mut stream = vec![0x81, text.len() as u8];
        stream.extend_from_slice(text);
        stream.extend([0x89, 0]);
        for size in 1..stream.len() {
            let mut one = WebSocket::many(1, address, "key", batch).remove(0);
            let count: usize = stream.chunks(size).map(|piece| one.take(piece).unwrap()).sum();
            assert_eq!(count, 100, "in pieces of {size}");
        }
    }
}
