//! The unit in which records are stored and handed around: Kafka's record batch, format 2 (the
//! Kafka protocol guide, "Record Batch"), so that existing tools read what we keep. Here is the
//! finished batch; `builder` makes one, `wire` knows the bytes. Nothing here knows who stores it.
//!
//! ```text
//!  0 base offset i64 | 8 length of the rest i32 | 12 leader epoch i32 | 16 magic 2 | 17 CRC-32C
//! 21 attributes i16 | 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64
//! 43 producer id i64 | 51 producer epoch i16 | 53 base sequence i32 | 57 count i32 | 61 records
//! ```
//! The checksum covers everything from the attributes on: offset and epoch are the log's to set.

mod builder;
mod content;
mod packed;
mod stamp;
mod thinned;
mod wire;

pub use ::packing::Packing;
pub use builder::{BatchBuilder, BatchFull};
pub use content::Content;
pub use packed::packing;
pub use stamp::{Producer, Stamp, sequence_after};
pub use thinned::BatchJoiner;
pub use wire::{RecordView, write_gap};

use crate::{Offset, Record, TimestampMs};
use bytes::{BufMut, Bytes, BytesMut};
use wire::{Header, Views};

/// Bytes of a batch before its first record.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes of one batch at most: an append of the largest size, its framing included.
pub const BATCH_BYTES_MAX: usize = 24 * 1024 * 1024;

const _: () = assert!(BATCH_BYTES_MAX > crate::limits::APPEND_BYTES_MAX);

/// Why bytes are not a batch we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    #[error("the bytes are not exactly one record batch: its length does not fit")]
    Length,
    #[error("record batch format {0} is not supported, only format 2 is")]
    Magic(i8),
    #[error("the checksum of the record batch does not fit its bytes")]
    Checksum,
    #[error("compression codec {0} is unknown")]
    Compression(i16),
    #[error("the records do not decompress")]
    Unpack,
    #[error("the batch takes more than {BATCH_BYTES_MAX} bytes when it is decompressed")]
    TooLarge,
    #[error("{0} batches are not supported")]
    Unsupported(&'static str),
    #[error("the record batch's header is not consistent: {0}")]
    Header(&'static str),
    #[error("record {index} of the batch is malformed: {reason}")]
    Record { index: u32, reason: &'static str },
}

/// A whole, verified batch. Cloning shares its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Bytes,
    /// Its records in the open, where `bytes` has them packed.
    open: Option<Bytes>,
    base_offset: Offset,
    last_delta: u32,
    count: u32,
    base_timestamp: TimestampMs,
    content: Content,
    stamp: Option<Stamp>,
}

impl Batch {
    /// Verifies length, format, checksum and every record, so that reading them cannot fail.
    /// Compressed records stay as they are in its bytes.
    pub fn parse(bytes: Bytes) -> Result<Batch, BadBatch> {
        let header = Header::parse(&bytes)?;
        let open = header.packing.map(|packing| packed::open(packing, &bytes)).transpose()?;
        let records = open.as_deref().unwrap_or(&bytes[BATCH_HEADER_BYTES..]);
        let content = wire::check_records(records, &header)?;
        Ok(Batch {
            open,
            base_offset: header.base_offset,
            last_delta: header.last_delta,
            count: header.count,
            base_timestamp: header.base_timestamp,
            content,
            stamp: header.stamp,
            bytes,
        })
    }

    /// The batch as it is stored and as Kafka clients read it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The offset right after the batch.
    pub fn next_offset(&self) -> Offset {
        self.base_offset + u64::from(self.last_delta) + 1
    }

    /// Offsets the batch takes. More than `count` when compaction removed records from it.
    pub fn span(&self) -> u32 {
        self.last_delta.saturating_add(1)
    }

    /// Records in the batch; never zero.
    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn base_timestamp(&self) -> TimestampMs {
        self.base_timestamp
    }

    /// The greatest timestamp of its records.
    pub fn max_timestamp(&self) -> TimestampMs {
        self.content.max_timestamp
    }

    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Its writer, if the writer says who it is.
    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// The same records at another place in the log.
    pub fn with_base_offset(self, base_offset: Offset) -> Result<Batch, BadBatch> {
        wire::check_offsets(base_offset, self.last_delta)?;
        let mut bytes = match self.bytes.try_into_mut() {
            Ok(bytes) => bytes,
            Err(shared) => BytesMut::from(&shared[..]),
        };
        (&mut bytes[..8]).put_u64(base_offset);
        Ok(Batch { bytes: bytes.freeze(), base_offset, ..self })
    }

    /// The same records under another writer's number, which the checksum covers.
    pub fn with_stamp(self, stamp: Stamp) -> Batch {
        let mut bytes = match self.bytes.try_into_mut() {
            Ok(bytes) => bytes,
            Err(shared) => BytesMut::from(&shared[..]),
        };
        wire::write_stamp(&mut bytes, &stamp);
        Batch { bytes: bytes.freeze(), stamp: Some(stamp), ..self }
    }

    /// The records in offset order, as borrowed views.
    pub fn views(&self) -> impl Iterator<Item = RecordView<'_>> + '_ {
        self.raw_views()
    }

    fn raw_views(&self) -> Views<'_> {
        let behind_header = || self.bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default();
        let records = self.open.as_deref().unwrap_or_else(behind_header);
        Views::new(records, self.base_offset, self.base_timestamp, self.count)
    }

    /// The records in offset order; keys, values and headers share the batch's bytes.
    pub fn records(&self) -> impl Iterator<Item = (Offset, TimestampMs, Record)> + '_ {
        self.views().map(|view| (view.offset, view.timestamp, self.record(&view)))
    }

    /// Key, value and headers of all records together: what is metered, whatever way they are
    /// batched.
    pub fn records_bytes(&self) -> u64 {
        self.content.bytes
    }

    /// One view as a record that shares the batch's bytes. The view must be of this batch.
    pub fn record(&self, view: &RecordView<'_>) -> Record {
        view.to_record(self.open.as_ref().unwrap_or(&self.bytes))
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (base, next, bytes) = (self.base_offset, self.next_offset(), self.bytes.len());
        write!(f, "Batch({base}..{next}, {} records, {bytes} bytes)", self.count)
    }
}
