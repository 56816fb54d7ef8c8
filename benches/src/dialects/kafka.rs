//! Publishing to Apache Kafka: Produce requests (key 0, version 3) with one record batch each,
//! acknowledged by all replicas in sync. Only what that needs; layouts are those of the Kafka
//! protocol guide, and the batch is its record batch, format 2.

use super::Batch;
use crate::Fault;
use crate::closed_loop::Dialect;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PRODUCE: (i16, i16) = (0, 3);
const CREATE_TOPICS: (i16, i16) = (19, 2);
const TIMEOUT_MS: i32 = 30_000;
/// A topic that was just made has no leader for a moment, and a node that just started no topics.
const READY_MAX: Duration = Duration::from_secs(60);
const READY_STEP: Duration = Duration::from_millis(200);
const TOPIC_ALREADY_EXISTS: i16 = 36;

pub struct Kafka {
    request: Arc<[u8]>,
    records: usize,
    held: Vec<u8>,
}

impl Kafka {
    pub fn many(count: usize, batch: Batch<'_>) -> Result<Vec<Kafka>, Fault> {
        let request: Arc<[u8]> = produce(batch)?.into();
        let one =
            || Kafka { request: Arc::clone(&request), records: batch.records, held: Vec::new() };
        Ok((0..count).map(|_| one()).collect())
    }

    /// Makes the topic, with one partition, and waits until it takes records.
    pub fn make_topic(address: SocketAddr, topic: &str) -> Result<(), Fault> {
        let until = Instant::now() + READY_MAX;
        let mut create = Vec::new();
        put_count(&mut create, 1)?;
        put_text(&mut create, topic)?;
        create.extend(1_i32.to_be_bytes()); // partitions
        create.extend(1_i16.to_be_bytes()); // replicas
        put_count(&mut create, 0)?; // assignments
        put_count(&mut create, 0)?; // settings
        create.extend(TIMEOUT_MS.to_be_bytes());
        create.push(0); // not only validated
        let create = request(CREATE_TOPICS, &create)?;
        let mut made = until_done(until, || {
            let answer = ask(address, &create)?;
            // correlation id, throttle time, one topic: name, error
            let error = i16_at(&answer, 4 + 4 + 4 + 2 + topic.len())?;
            Ok(if error == TOPIC_ALREADY_EXISTS { 0 } else { error })
        });
        if made.is_ok() {
            let one = produce(Batch { topic, records: 1, bytes: 8 })?;
            made = until_done(until, || error_of(&ask(address, &one)?));
        }
        made
    }
}

impl Dialect for Kafka {
    fn open(&mut self, _: &mut TcpStream) -> Result<(), Fault> {
        Ok(())
    }

    fn batch(&self) -> &[u8] {
        &self.request
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.held.extend_from_slice(bytes);
        let (mut at, mut acknowledged) = (0, 0);
        while let Some((answer, size)) = first_answer(self.held.get(at..).unwrap_or_default()) {
            match error_of(answer)? {
                0 => acknowledged += self.records,
                error => return Err(format!("Kafka answered with error {error}").into()),
            }
            at += size;
        }
        self.held.drain(..at);
        Ok(acknowledged)
    }
}

/// Asks until the answer is 0: no error.
fn until_done(until: Instant, mut ask: impl FnMut() -> Result<i16, Fault>) -> Result<(), Fault> {
    loop {
        let answer = ask();
        match answer {
            Ok(0) => return Ok(()),
            _ if Instant::now() < until => std::thread::sleep(READY_STEP),
            Ok(error) => return Err(format!("Kafka answered with error {error}").into()),
            Err(error) => return Err(error),
        }
    }
}

fn ask(address: SocketAddr, request: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(READY_MAX))?;
    socket.write_all(request)?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some((answer, _)) = first_answer(&bytes) {
            return Ok(answer.to_vec());
        }
        let count = socket.read(&mut piece)?;
        if count == 0 {
            return Err("Kafka closed the connection".into());
        }
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

/// A request with its length and header (version 1).
fn request((key, version): (i16, i16), body: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(1_i32.to_be_bytes()); // correlation id
    put_text(&mut bytes, "bench")?;
    bytes.extend_from_slice(body);
    let length = i32::try_from(bytes.len())?;
    Ok([&length.to_be_bytes()[..], &bytes].concat())
}

fn produce(batch: Batch<'_>) -> Result<Vec<u8>, Fault> {
    let records = record_batch(batch)?;
    let mut body = Vec::new();
    body.extend((-1_i16).to_be_bytes()); // no transaction
    body.extend((-1_i16).to_be_bytes()); // acknowledged by all replicas in sync
    body.extend(TIMEOUT_MS.to_be_bytes());
    put_count(&mut body, 1)?;
    put_text(&mut body, batch.topic)?;
    put_count(&mut body, 1)?;
    body.extend(0_i32.to_be_bytes()); // partition
    put_count(&mut body, records.len())?;
    body.extend(records);
    request(PRODUCE, &body)
}

fn record_batch(batch: Batch<'_>) -> Result<Vec<u8>, Fault> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let now_ms = i64::try_from(now_ms)?;
    let count = i32::try_from(batch.records)?;
    let value = vec![b'x'; batch.bytes];
    // From here on the checksum counts.
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes()); // attributes: not compressed
    checked.extend((count - 1).to_be_bytes()); // last offset delta
    checked.extend(now_ms.to_be_bytes()); // base timestamp
    checked.extend(now_ms.to_be_bytes()); // max timestamp
    checked.extend((-1_i64).to_be_bytes()); // producer id
    checked.extend((-1_i16).to_be_bytes()); // producer epoch
    checked.extend((-1_i32).to_be_bytes()); // base sequence
    checked.extend(count.to_be_bytes());
    for index in 0..i64::from(count) {
        let mut record = vec![0]; // attributes
        put_varint(&mut record, 0); // timestamp delta
        put_varint(&mut record, index); // offset delta
        put_varint(&mut record, -1); // no key
        put_varint(&mut record, i64::try_from(value.len())?);
        record.extend_from_slice(&value);
        put_varint(&mut record, 0); // headers
        put_varint(&mut checked, i64::try_from(record.len())?);
        checked.extend(record);
    }
    let mut bytes = Vec::new();
    bytes.extend(0_i64.to_be_bytes()); // base offset
    bytes.extend(i32::try_from(checked.len() + 9)?.to_be_bytes());
    bytes.extend((-1_i32).to_be_bytes()); // leader epoch
    bytes.push(2); // format
    bytes.extend(crc_fast::crc32_iscsi(&checked).to_be_bytes());
    bytes.extend(checked);
    Ok(bytes)
}

/// A whole answer behind its length, and how many bytes both take.
fn first_answer(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    Some((rest.get(..length)?, length + 4))
}

/// The error of the one partition a Produce answer speaks of; 0 is none.
fn error_of(answer: &[u8]) -> Result<i16, Fault> {
    // correlation id, one topic: name, one partition: number, error
    let name_bytes = usize::try_from(i16_at(answer, 8)?)?;
    i16_at(answer, 4 + 4 + 2 + name_bytes + 4 + 4)
}

fn i16_at(bytes: &[u8], at: usize) -> Result<i16, Fault> {
    let two = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>());
    Ok(i16::from_be_bytes(*two.ok_or("an answer of Kafka is shorter than expected")?))
}

fn put_count(to: &mut Vec<u8>, count: usize) -> Result<(), Fault> {
    to.extend(i32::try_from(count)?.to_be_bytes());
    Ok(())
}

fn put_text(to: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
    to.extend(i16::try_from(text.len())?.to_be_bytes());
    to.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Zigzag, seven bits a byte.
fn put_varint(to: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        to.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: i16) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(1_i32.to_be_bytes());
        put_count(&mut body, 1).unwrap();
        put_text(&mut body, "topic").unwrap();
        put_count(&mut body, 1).unwrap();
        body.extend(0_i32.to_be_bytes());
        body.extend(error.to_be_bytes());
        body.extend([0; 8 + 8 + 4]);
        let mut bytes = Vec::new();
        put_count(&mut bytes, body.len()).unwrap();
        bytes.extend(body);
        bytes
    }

    #[test]
    fn our_own_reader_takes_the_batch() {
        let bytes = record_batch(Batch { topic: "t", records: 100, bytes: 512 }).unwrap();
        let batch = types::Batch::parse(bytes.into()).unwrap();
        assert_eq!(batch.count(), 100);
        let values = batch.records().map(|(_, _, record)| record.value.unwrap().len());
        assert!(values.into_iter().all(|bytes| bytes == 512));
    }

    #[test]
    fn acknowledgements_are_counted_however_they_are_cut() {
        let stream = [answer(0), answer(0)].concat();
        for size in 1..stream.len() {
            let mut one = Kafka::many(1, Batch { topic: "t", records: 100, bytes: 8 }).unwrap();
            let pieces = stream.chunks(size);
            let count: usize = pieces.map(|piece| one[0].take(piece).unwrap()).sum();
            assert_eq!(count, 200, "in pieces of {size}");
        }
    }

    #[test]
    fn a_refused_batch_is_an_error() {
        let mut one = Kafka::many(1, Batch { topic: "t", records: 100, bytes: 8 }).unwrap();
        assert!(one[0].take(&answer(3)).is_err());
    }
}
