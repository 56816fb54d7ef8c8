//! A dead letter: the record as it was, and headers that say why it failed, how often it was
//! tried and where it came from. They are ordinary headers, so that every reader of the
//! dead-letter topic sees them.

use bytes::Bytes;
use types::record::header;
use types::{Header, Offset, Partition, Record, TimestampMs};

const PREFIX: &str = "dead-letter-";
const REASON: &str = "dead-letter-reason";
const DELIVERIES: &str = "dead-letter-deliveries";
const CONSUMER: &str = "dead-letter-consumer";
const TOPIC: &str = "dead-letter-topic";
/// Names may be given again, numbers are not.
const TOPIC_ID: &str = "dead-letter-topic-id";
const PARTITION: &str = "dead-letter-partition";
const OFFSET: &str = "dead-letter-offset";
const TIMESTAMP: &str = "dead-letter-timestamp";
/// The publisher's id of the original. It is not the dead letter's own: a log that remembers ids
/// would take the record that is replayed for a repetition of the original.
const ID: &str = "dead-letter-id";

/// What is known of a record that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub reason: String,
    pub deliveries: u32,
    pub consumer: String,
    pub topic: String,
    pub topic_id: u64,
    pub partition: Partition,
    pub offset: Offset,
    pub timestamp: TimestampMs,
}

/// The original as a dead letter: same key, same value, its headers and the letter's.
pub fn bury(original: &Record, letter: &Letter) -> Record {
    let mut record = without_letter(original);
    if let Some(id) = original.header(header::ID) {
        record.headers.retain(|one| one.name != header::ID.as_bytes());
        record.headers.push(make(ID, id.clone()));
    }
    let numbers = [
        (TOPIC_ID, letter.topic_id.to_string()),
        (DELIVERIES, letter.deliveries.to_string()),
        (PARTITION, letter.partition.to_string()),
        (OFFSET, letter.offset.to_string()),
        (TIMESTAMP, letter.timestamp.to_string()),
    ];
    let texts = [
        (REASON, letter.reason.clone()),
        (CONSUMER, letter.consumer.clone()),
        (TOPIC, letter.topic.clone()),
    ];
    for (name, value) in texts.into_iter().chain(numbers) {
        record.headers.push(make(name, value.into()));
    }
    // When it failed is the log's to say.
    record.timestamp = None;
    record
}

/// What a dead letter says of itself; `None` when the record is none.
pub fn unbury(record: &Record) -> Option<Letter> {
    let text = |name: &str| Some(std::str::from_utf8(record.header(name)?).ok()?.to_owned());
    Some(Letter {
        reason: text(REASON)?,
        deliveries: text(DELIVERIES)?.parse().ok()?,
        consumer: text(CONSUMER)?,
        topic: text(TOPIC)?,
        topic_id: text(TOPIC_ID)?.parse().ok()?,
        partition: text(PARTITION)?.parse().ok()?,
        offset: text(OFFSET)?.parse().ok()?,
        timestamp: text(TIMESTAMP)?.parse().ok()?,
    })
}

/// The record as it was before it failed, to be published anew: without an id, since that of the
/// original stands for the original.
pub fn without_letter(record: &Record) -> Record {
    let mut record = record.clone();
    record.headers.retain(|one| !one.name.starts_with(PREFIX.as_bytes()));
    record.timestamp = None;
    record
}

fn make(name: &'static str, value: Bytes) -> Header {
    Header { name: Bytes::from_static(name.as_bytes()), value }
}
