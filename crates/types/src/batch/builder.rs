//! Makes a batch one record at a time, so that many publishers share one without a second pass:
//! each append encodes its records, and only the header is filled in at the end.

use super::{BATCH_BYTES_MAX, BATCH_HEADER_BYTES, Batch, Content, Stamp, wire};
use crate::{Offset, Record, TimestampMs};
use bytes::Bytes;

/// The record would make the batch larger than `BATCH_BYTES_MAX`; the batch is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record does not fit into a batch of at most {BATCH_BYTES_MAX} bytes")]
pub struct BatchFull;

pub struct BatchBuilder {
    bytes: Vec<u8>,
    base_offset: Offset,
    count: u32,
    base_timestamp: TimestampMs,
    content: Content,
    stamp: Option<Stamp>,
}

impl BatchBuilder {
    /// `base_offset` is the offset of the first record to come. `records_bytes` is a guess of
    /// what its records need, to allocate once.
    pub fn new(base_offset: Offset, records_bytes: usize) -> BatchBuilder {
        let capacity = BATCH_HEADER_BYTES + records_bytes.min(BATCH_BYTES_MAX);
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(BATCH_HEADER_BYTES, 0);
        BatchBuilder {
            bytes,
            base_offset,
            count: 0,
            base_timestamp: 0,
            content: Content::NOTHING,
            stamp: None,
        }
    }

    /// The batch says who wrote it.
    pub fn stamped(self, stamp: Stamp) -> BatchBuilder {
        BatchBuilder { stamp: Some(stamp), ..self }
    }

    /// Bytes the record takes at most in a batch.
    pub fn record_bytes_max(record: &Record) -> usize {
        record.size() + wire::RECORD_OVERHEAD_MAX + record.headers.len() * wire::HEADER_OVERHEAD_MAX
    }

    /// Adds a record; answers its offset. The record's own timestamp wins over the one given.
    pub fn push(&mut self, record: &Record, timestamp: TimestampMs) -> Result<Offset, BatchFull> {
        if self.bytes.len() + Self::record_bytes_max(record) > BATCH_BYTES_MAX {
            return Err(BatchFull);
        }
        let timestamp = record.timestamp.unwrap_or(timestamp);
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        wire::write_record(&mut self.bytes, record, timestamp_delta, self.count);
        let (has_key, has_headers) = (record.key.is_some(), !record.headers.is_empty());
        self.content.add(record.size(), timestamp, has_key, has_headers);
        let offset = self.next_offset();
        self.count += 1;
        Ok(offset)
    }

    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The offset the next record gets.
    pub fn next_offset(&self) -> Offset {
        self.base_offset + u64::from(self.count)
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far, its header included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Fills in the header and its checksum. `None` when no record was added: a batch is never
    /// empty.
    pub fn finish(mut self) -> Option<Batch> {
        let last_delta = self.count.checked_sub(1)?;
        wire::write_header(
            &mut self.bytes,
            &wire::Header {
                base_offset: self.base_offset,
                last_delta,
                count: self.count,
                base_timestamp: self.base_timestamp,
                stamp: self.stamp,
                packing: None,
            },
            self.content.max_timestamp,
        );
        Some(Batch {
            // Without its spare capacity, since a batch may be kept for long.
            bytes: Bytes::from(self.bytes.into_boxed_slice()),
            open: None,
            base_offset: self.base_offset,
            last_delta,
            count: self.count,
            base_timestamp: self.base_timestamp,
            content: self.content,
            stamp: self.stamp,
        })
    }
}
