//! A topic's records out of a log and into one, as the record batches they are stored in, a bounded
//! piece at a time. It must not know who asks, or in what file the pieces end up.

use bytes::{Bytes, BytesMut};
use eventlog::{EmbeddedLog, Engine, LogError};
use port::{Code, Refusal};
use std::sync::Arc;
use types::{Batch, Offset, Partition, Record, TopicId};

/// Bytes of batches in one piece at most, but for a single batch that is larger.
pub const PIECE_BYTES_MAX: usize = 4 << 20;
/// Bytes of a batch before the field that says how long the rest is, that field included.
const LENGTH_BYTES: usize = 12;

/// What becomes of the records' offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets {
    /// They stay what they were; the partition must not hold anything from the first of them on.
    Keep,
    /// The log gives new ones.
    New,
}

/// A piece of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Batches one behind the other; empty at the end.
    pub batches: Bytes,
    /// Where the next piece begins.
    pub next: Offset,
    pub start: Offset,
    pub end: Offset,
}

/// The log, for export and import.
#[derive(Clone)]
pub struct Transfers {
    log: Arc<EmbeddedLog>,
}

impl std::fmt::Debug for Transfers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfers").finish_non_exhaustive()
    }
}

fn refusal(error: LogError) -> Refusal {
    match error {
        LogError::Busy => Refusal::new(Code::Conflict, "the partition is written to")
            .hint("import with offsets kept while nobody publishes to the topic"),
        LogError::Full => Refusal::new(Code::StorageFull, "the log has no space"),
        LogError::TopicUnknown => Refusal::new(Code::TopicNotFound, "there is no such topic"),
        error => Refusal::new(Code::StorageFailed, error.to_string()),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, message).field("body")
}

impl Transfers {
    pub fn new(log: Arc<EmbeddedLog>) -> Transfers {
        Transfers { log }
    }

    /// Whole batches from the one that holds `from` on, or from the oldest one.
    pub async fn export(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Option<Offset>,
    ) -> Result<Piece, Refusal> {
        let bounds = self.log.bounds(topic, partition).map_err(refusal)?;
        let from = from.unwrap_or(bounds.start).max(bounds.start);
        let read = self.log.read(topic, partition, from, PIECE_BYTES_MAX).await;
        let mut batches = BytesMut::new();
        let mut next = from;
        for batch in read.map_err(refusal)? {
            if !batches.is_empty() && batches.len() + batch.bytes().len() > PIECE_BYTES_MAX {
                break;
            }
            batches.extend_from_slice(batch.bytes());
            next = batch.next_offset();
        }
        let (start, end) = (bounds.start, bounds.end);
        Ok(Piece { batches: batches.freeze(), next, start, end })
    }

    /// Appends the batches' records, with the times they had; answers the partition's end.
    pub async fn import(
        &self,
        topic: TopicId,
        partition: Partition,
        batches: Bytes,
        offsets: Offsets,
    ) -> Result<Offset, Refusal> {
        // All of them are looked at before any is appended, one at a time: what is compressed may
        // grow to far more than came.
        let batches = split(batches)?;
        for bytes in &batches {
            parse(bytes)?;
        }
        for batch in batches.iter().map(parse) {
            let batch = batch?;
            for (base_offset, records) in runs(&batch) {
                if offsets == Offsets::Keep {
                    self.go_on_at(topic, partition, base_offset)?;
                }
                let appended = self.log.append(topic, partition, records).await;
                let appended = appended.map_err(refusal)?;
                if offsets == Offsets::Keep && appended.base_offset != base_offset {
                    return Err(refusal(LogError::Busy));
                }
            }
        }
        Ok(self.log.bounds(topic, partition).map_err(refusal)?.end)
    }

    fn go_on_at(
        &self,
        topic: TopicId,
        partition: Partition,
        offset: Offset,
    ) -> Result<(), Refusal> {
        let end = self.log.bounds(topic, partition).map_err(refusal)?.end;
        if offset < end {
            let message = format!("the partition holds records up to offset {end}");
            let hint = "keep offsets only in a topic that is empty, or go on where it ends";
            return Err(Refusal::new(Code::Conflict, message).field("offsets").hint(hint));
        }
        self.log.go_on_at(topic, partition, offset).map_err(refusal)
    }
}

fn parse(bytes: &Bytes) -> Result<Batch, Refusal> {
    Batch::parse(bytes.clone()).map_err(|bad| invalid(bad.to_string()))
}

/// The batches that the bytes are, by their lengths.
fn split(mut bytes: Bytes) -> Result<Vec<Bytes>, Refusal> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.get(8..LENGTH_BYTES).and_then(|field| field.try_into().ok());
        let length = length.map(u32::from_be_bytes);
        let end = length.map(|length| LENGTH_BYTES.saturating_add(length as usize));
        let end = end.filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| invalid("the body ends within a record batch"))?;
        batches.push(bytes.split_to(end));
    }
    Ok(batches)
}

/// Neighbouring records of a batch: compaction may have left offsets out.
fn runs(batch: &Batch) -> Vec<(Offset, Vec<Record>)> {
    let mut runs: Vec<(Offset, Vec<Record>)> = Vec::new();
    for (offset, timestamp, record) in batch.records() {
        let record = Record { timestamp: Some(timestamp), ..record };
        match runs.last_mut() {
            Some((base, records)) if *base + records.len() as u64 == offset => records.push(record),
            _ => runs.push((offset, vec![record])),
        }
    }
    runs
}
