//! Publishing to RabbitMQ over AMQP 0-9-1: persistent messages to a durable queue, on a channel
//! with confirms. Only what that needs; layouts are those of the AMQP 0-9-1 specification.

use super::Batch;
use crate::Fault;
use crate::closed_loop::Dialect;
use std::io::{Read, Write};
use std::net::TcpStream;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;

/// Class and method numbers.
mod method {
    pub const CONNECTION_START_OK: (u16, u16) = (10, 11);
    pub const CONNECTION_TUNE_OK: (u16, u16) = (10, 31);
    pub const CONNECTION_OPEN: (u16, u16) = (10, 40);
    pub const CHANNEL_OPEN: (u16, u16) = (20, 10);
    pub const QUEUE_DECLARE: (u16, u16) = (50, 10);
    pub const QUEUE_PURGE: (u16, u16) = (50, 30);
    pub const BASIC_PUBLISH: (u16, u16) = (60, 40);
    pub const BASIC_ACK: (u16, u16) = (60, 80);
    pub const CONFIRM_SELECT: (u16, u16) = (85, 10);
}

pub struct Amqp {
    request: Vec<u8>,
    queue: String,
    records: usize,
    held: Vec<u8>,
    /// Delivery tags up to this one belong to earlier batches.
    base: u64,
    /// Of the current batch: which are confirmed.
    confirmed: Vec<bool>,
}

impl Amqp {
    pub fn many(count: usize, batch: Batch<'_>) -> Vec<Amqp> {
        (0..count).map(|_| Amqp::new(batch)).collect()
    }

    fn new(batch: Batch<'_>) -> Amqp {
        let mut one = Vec::new();
        // reserved, exchange (the default one), routing key, mandatory and immediate
        let arguments = [&[0, 0], &short("")[..], &short(batch.topic), &[0]].concat();
        put_method(&mut one, 1, method::BASIC_PUBLISH, &arguments);
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&(batch.bytes as u64).to_be_bytes());
        // Only delivery-mode is there (bit 12 of the flags), and it is persistent.
        header.extend_from_slice(&[0x10, 0x00, 2]);
        put_frame(&mut one, HEADER, 1, &header);
        put_frame(&mut one, BODY, 1, &vec![b'x'; batch.bytes]);
        Amqp {
            request: one.repeat(batch.records),
            queue: batch.topic.to_owned(),
            records: batch.records,
            held: Vec::new(),
            base: 0,
            confirmed: vec![false; batch.records],
        }
    }

    /// Counts the confirms of one tag, or of all up to it.
    fn confirm(&mut self, tag: u64, is_multiple: bool) -> usize {
        let Some(last) = tag.checked_sub(self.base + 1).and_then(|at| usize::try_from(at).ok())
        else {
            return 0;
        };
        let first = if is_multiple { 0 } else { last };
        let range = self.confirmed.get_mut(first..=last).unwrap_or_default();
        let mut count = 0;
        for is_confirmed in range.iter_mut().filter(|is_confirmed| !**is_confirmed) {
            *is_confirmed = true;
            count += 1;
        }
        if self.confirmed.iter().all(|is_confirmed| *is_confirmed) {
            self.base += self.records as u64;
            self.confirmed.fill(false);
        }
        count
    }

    /// Sends a method on a channel and waits for the answer to it.
    fn call(
        &mut self,
        socket: &mut TcpStream,
        channel: u16,
        method: (u16, u16),
        arguments: &[u8],
    ) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        put_method(&mut bytes, channel, method, arguments);
        socket.write_all(&bytes)?;
        let answer = self.wait_for_method(socket)?;
        let (class, number) = method;
        if answer != (class, number + 1) {
            return Err(format!("{method:?} was answered with {answer:?}").into());
        }
        Ok(())
    }

    fn wait_for_method(&mut self, socket: &mut TcpStream) -> Result<(u16, u16), Fault> {
        let mut piece = [0; 4096];
        loop {
            while let Some((kind, payload, size)) = first_frame(&self.held)? {
                let method = method_of(payload);
                self.held.drain(..size);
                if let (METHOD, Some(method)) = (kind, method) {
                    return Ok(method);
                }
            }
            let count = socket.read(&mut piece)?;
            if count == 0 {
                return Err("RabbitMQ closed the connection".into());
            }
            self.held.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
    }
}

impl Dialect for Amqp {
    fn open(&mut self, socket: &mut TcpStream) -> Result<(), Fault> {
        socket.write_all(b"AMQP\0\0\x09\x01")?;
        self.wait_for_method(socket)?;
        let mut start = vec![0, 0, 0, 0];
        start.extend(short("PLAIN"));
        start.extend(long("\0guest\0guest"));
        start.extend(short("en_US"));
        // The answer to start-ok is tune.
        let mut bytes = Vec::new();
        put_method(&mut bytes, 0, method::CONNECTION_START_OK, &start);
        socket.write_all(&bytes)?;
        self.wait_for_method(socket)?;
        bytes.clear();
        // channels, frame bytes, no heartbeat
        put_method(&mut bytes, 0, method::CONNECTION_TUNE_OK, &[0, 16, 0, 2, 0, 0, 0, 0]);
        socket.write_all(&bytes)?;
        let virtual_host = [&short("/")[..], &short(""), &[0]].concat();
        self.call(socket, 0, method::CONNECTION_OPEN, &virtual_host)?;
        self.call(socket, 1, method::CHANNEL_OPEN, &short(""))?;
        let queue = short(&self.queue);
        // durable, and neither passive, exclusive, auto-delete nor no-wait; no arguments
        let declare = [&[0, 0], &queue[..], &[0b0000_0010, 0, 0, 0, 0]].concat();
        self.call(socket, 1, method::QUEUE_DECLARE, &declare)?;
        let purge = [&[0, 0], &queue[..], &[0]].concat();
        self.call(socket, 1, method::QUEUE_PURGE, &purge)?;
        self.call(socket, 1, method::CONFIRM_SELECT, &[0])
    }

    fn batch(&self) -> &[u8] {
        &self.request
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let (mut at, mut acknowledged) = (0, 0);
        while let Some((kind, payload, size)) = first_frame(held.get(at..).unwrap_or_default())? {
            at += size;
            if kind != METHOD {
                continue;
            }
            match (method_of(payload), payload.get(4..13)) {
                (Some(method::BASIC_ACK), Some([tag @ .., bits])) => {
                    let tag = tag.try_into().map(u64::from_be_bytes)?;
                    acknowledged += self.confirm(tag, bits & 1 == 1);
                }
                (other, _) => return Err(format!("RabbitMQ sent {other:?}").into()),
            }
        }
        self.held = held.get(at..).unwrap_or_default().to_vec();
        Ok(acknowledged)
    }
}

fn put_method(to: &mut Vec<u8>, channel: u16, (class, number): (u16, u16), arguments: &[u8]) {
    let mut payload = [class.to_be_bytes(), number.to_be_bytes()].concat();
    payload.extend_from_slice(arguments);
    put_frame(to, METHOD, channel, &payload);
}

fn put_frame(to: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    to.push(kind);
    to.extend_from_slice(&channel.to_be_bytes());
    to.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    to.extend_from_slice(payload);
    to.push(FRAME_END);
}

/// A whole frame: kind, payload, and its size.
type Whole<'a> = (u8, &'a [u8], usize);

/// The first whole frame, once it has come.
fn first_frame(bytes: &[u8]) -> Result<Option<Whole<'_>>, Fault> {
    let Some((&[kind, _, _, length @ ..], rest)) = bytes.split_first_chunk::<7>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(length) as usize;
    let Some(payload) = rest.get(..length) else {
        return Ok(None);
    };
    match rest.get(length) {
        None => Ok(None),
        Some(&FRAME_END) => Ok(Some((kind, payload, length + 8))),
        Some(_) => Err("a frame of AMQP without its end".into()),
    }
}

fn method_of(payload: &[u8]) -> Option<(u16, u16)> {
    let (&[class_high, class_low, high, low], _) = payload.split_first_chunk::<4>()?;
    Some((u16::from_be_bytes([class_high, class_low]), u16::from_be_bytes([high, low])))
}

fn short(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[length], text.as_bytes()].concat()
}

fn long(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(tag: u64, is_multiple: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let arguments = [&tag.to_be_bytes()[..], &[u8::from(is_multiple)]].concat();
        put_method(&mut bytes, 1, method::BASIC_ACK, &arguments);
        bytes
    }

    #[test]
    fn confirms_count_once_in_any_order_and_however_they_are_cut() {
        // Four records a batch: one alone, all up to the third, the rest; then a whole batch.
        let stream = [ack(2, false), ack(3, true), ack(4, false), ack(8, true)].concat();
        for size in 1..stream.len() {
            let mut amqp = Amqp::new(Batch { topic: "t", records: 4, bytes: 8 });
            let count: usize = stream.chunks(size).map(|piece| amqp.take(piece).unwrap()).sum();
            assert_eq!(count, 8, "in pieces of {size}");
        }
    }

    #[test]
    fn a_channel_that_closes_is_an_error() {
        let mut bytes = Vec::new();
        put_method(&mut bytes, 1, (20, 40), &[1, 2]);
        let mut amqp = Amqp::new(Batch { topic: "t", records: 4, bytes: 8 });
        assert!(amqp.take(&bytes).is_err());
    }
}
