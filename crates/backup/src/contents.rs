//! What a log holds as one number per partition: equal numbers mean equal records at equal offsets,
//! in whatever extents and batches they lie. It must not know why somebody compares.
//!
//! ```text
//! SHA-256 over, per record: offset u64 | timestamp i64 | key | value | count of headers u32 |
//!                           per header: name | value
//! where key, value and header texts are: length u32, or 2^32-1 for none | bytes     big endian
//! ```

use crate::BackupError;
use crate::seal::hexadecimal;
use aws_lc_rs::digest;
use eventlog::{EmbeddedLog, Engine, TopicSpec};
use types::{Offset, Partition, Record, TimestampMs, TopicId};

const READ_BYTES: usize = 4 << 20;

/// One partition's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub topic: TopicId,
    pub partition: Partition,
    pub first_offset: Offset,
    pub end: Offset,
    pub records: u64,
    pub sha256: String,
}

/// Reads all partitions of the topics, each up to where `end` says, as a reader would.
pub async fn contents(
    log: &EmbeddedLog,
    topics: &[TopicSpec],
    end: &dyn Fn(TopicId, Partition) -> Option<Offset>,
) -> Result<Vec<Content>, BackupError> {
    let mut all = Vec::new();
    for topic in topics {
        for partition in 0..topic.config.partitions {
            let end = end(topic.id, partition);
            all.push(content(log, topic.id, partition, end).await?);
        }
    }
    all.sort_unstable_by_key(|content| (content.topic, content.partition));
    Ok(all)
}

async fn content(
    log: &EmbeddedLog,
    topic: TopicId,
    partition: Partition,
    end: Option<Offset>,
) -> Result<Content, BackupError> {
    let bounds = log.bounds(topic, partition)?;
    let end = end.unwrap_or(bounds.end).min(bounds.end);
    let mut digest = digest::Context::new(&digest::SHA256);
    let (mut records, mut next) = (0, bounds.start);
    while next < end {
        let batches = log.read(topic, partition, next, READ_BYTES).await?;
        let Some(last) = batches.last() else { break };
        let after = last.next_offset();
        for batch in &batches {
            let wanted = batch.records().filter(|(offset, _, _)| (next..end).contains(offset));
            for (offset, timestamp, record) in wanted {
                add(&mut digest, offset, timestamp, &record);
                records += 1;
            }
        }
        next = after;
    }
    let sha256 = hexadecimal(digest.finish().as_ref());
    Ok(Content { topic, partition, first_offset: bounds.start, end, records, sha256 })
}

fn add(digest: &mut digest::Context, offset: Offset, timestamp: TimestampMs, record: &Record) {
    digest.update(&offset.to_be_bytes());
    digest.update(&timestamp.to_be_bytes());
    text(digest, record.key.as_ref().map(|key| key.bytes().as_ref()));
    text(digest, record.value.as_deref());
    digest.update(&(record.headers.len() as u32).to_be_bytes());
    for header in &record.headers {
        text(digest, Some(&header.name));
        text(digest, Some(&header.value));
    }
}

fn text(digest: &mut digest::Context, bytes: Option<&[u8]>) {
    // A record has fewer than 2^32 bytes.
    let len = bytes.map_or(u32::MAX, |bytes| bytes.len() as u32);
    digest.update(&len.to_be_bytes());
    digest.update(bytes.unwrap_or_default());
}
