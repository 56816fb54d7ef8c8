//! Every record ever published in a run, by number. The number is in a header of the record, so
//! that a reader knows which one it has before him, also when value and key say nothing.

use crate::draw::Draw;
use crate::plan::{KEYS, Size};
use bytes::Bytes;
use std::collections::BTreeMap;
use types::{Header, Key, Offset, Partition, Record, TimestampMs, TopicId};

/// One partition of one topic.
pub type Place = (TopicId, Partition);

/// Occurs in every value and in nothing else: searched for on the disk.
pub const CANARY: &[u8] = b"mainstem-canary-in-plain-text";
const NUMBER: &[u8] = b"number";

#[derive(Debug, Clone)]
pub struct Made {
    pub place: Place,
    pub record: Record,
    /// When its publisher called.
    pub at: TimestampMs,
    pub id: Option<Id>,
}

/// What its publisher calls a record, and for how long its topic remembers that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id {
    pub number: u64,
    pub window_ms: u64,
}

/// A record as somebody found it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub record: Record,
    /// `None` when the header is not there or not a number.
    pub number: Option<u64>,
}

#[derive(Debug, Default)]
pub struct Book {
    made: BTreeMap<u64, Made>,
    next: u64,
}

impl Book {
    pub fn get(&self, number: u64) -> Option<&Made> {
        self.made.get(&number)
    }

    pub fn count(&self) -> u64 {
        self.next
    }

    /// The records of one call, with their numbers.
    pub fn make(
        &mut self,
        place: Place,
        seed: u64,
        count: u64,
        size: Size,
        now: TimestampMs,
    ) -> (Vec<u64>, Vec<Record>) {
        let draw = Draw::new(seed);
        let mut numbers = Vec::new();
        let mut records = Vec::new();
        for _ in 0..count {
            let number = self.next;
            self.next += 1;
            let record = record(&draw, number, size, now);
            let made = Made { place, record: record.clone(), at: now, id: None };
            self.made.insert(number, made);
            numbers.push(number);
            records.push(record);
        }
        (numbers, records)
    }

    /// So many records of one key, with values.
    pub fn make_of_key(
        &mut self,
        place: Place,
        (of, count, bytes): (u64, u64, usize),
        now: TimestampMs,
    ) -> (Vec<u64>, Vec<Record>) {
        let (mut numbers, mut records) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let number = self.next;
            self.next += 1;
            let draw = Draw::new(number);
            let mut record = record(&draw, number, Size::Small, now);
            (record.key, record.value) = (Some(key(of)), Some(value(number, bytes)));
            record.timestamp = None;
            self.made.insert(number, Made { place, record: record.clone(), at: now, id: None });
            numbers.push(number);
            records.push(record);
        }
        (numbers, records)
    }

    /// What is published under the number after all.
    pub fn put_record(&mut self, number: u64, record: &Record) {
        if let Some(made) = self.made.get_mut(&number) {
            made.record = record.clone();
        }
    }

    /// A record that carries an id.
    pub fn make_with_id(
        &mut self,
        place: Place,
        draw: &Draw,
        id: Id,
        now: TimestampMs,
    ) -> (u64, Record) {
        let number = self.next;
        self.next += 1;
        let mut record = record(draw, number, Size::Small, now);
        let value = Bytes::from(format!("id-{}", id.number));
        let name = Bytes::from_static(types::record::header::ID.as_bytes());
        record.headers.push(Header { name, value });
        let made = Made { place, record: record.clone(), at: now, id: Some(id) };
        self.made.insert(number, made);
        (number, record)
    }
}

fn record(draw: &Draw, number: u64, size: Size, now: TimestampMs) -> Record {
    let bytes = match size {
        Size::Small => draw.below(300),
        Size::Large => draw.between(5_000, 70_000),
        // An extent of 1 MiB takes frames of 256 KiB.
        Size::Largest => draw.between(240_000, 264_000),
    };
    let key = (!draw.one_in(4)).then(|| key(draw.below(KEYS)));
    let is_tombstone = key.is_some() && draw.one_in(10);
    let value = (!is_tombstone).then(|| value(number, bytes as usize));
    // A publisher's clock is his own.
    let timestamp = draw.one_in(5).then(|| now - 10_000 + draw.below(20_000) as i64);
    let header = Header {
        name: Bytes::from_static(NUMBER),
        value: Bytes::copy_from_slice(&number.to_le_bytes()),
    };
    Record { key, value, headers: std::iter::once(header).collect(), timestamp }
}

pub fn key(number: u64) -> Key {
    // A short text is always a key.
    Key::new(format!("key-{number}").into_bytes()).expect("a short key")
}

/// The canary, then noise that no other record has.
fn value(number: u64, bytes: usize) -> Bytes {
    let mut value = CANARY.to_vec();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while value.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.extend_from_slice(&state.to_le_bytes());
    }
    value.truncate(bytes.max(CANARY.len()));
    value.into()
}

impl Seen {
    pub fn new(offset: Offset, timestamp: TimestampMs, record: Record) -> Seen {
        let header = record.headers.iter().find(|header| &header.name[..] == NUMBER);
        let number = header.and_then(|header| header.value.as_ref().try_into().ok());
        let number = number.map(u64::from_le_bytes);
        Seen { offset, timestamp, record, number }
    }
}
