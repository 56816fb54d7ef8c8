//! Batches made of others: with some records left out, or several small ones as one. Records keep
//! their offsets, timestamps and bytes; what is left out is a gap.

use super::packed::clear_codec;
use super::{BATCH_BYTES_MAX, BATCH_HEADER_BYTES, Batch, BatchFull, Content, wire};
use crate::{Offset, TimestampMs};
use bytes::{BufMut, Bytes};
use wire::RecordView;

/// Where the fixed part of a batch has these.
const ATTRIBUTES: std::ops::Range<usize> = 21..23;

impl Batch {
    /// Whether only its records matter: nobody's producer or transaction is told by its header, so
    /// that they may share a batch with others.
    pub fn is_plain(&self) -> bool {
        self.bytes.get(ATTRIBUTES) == Some(&[0; 2]) && self.stamp.is_none()
    }

    /// The batch with only those records, compressed as it was; its header says the same and it
    /// takes the same offsets. `None` when no record is left.
    pub fn thinned(&self, mut keep: impl FnMut(&RecordView<'_>) -> bool) -> Option<Batch> {
        let mut bytes = Vec::with_capacity(self.memory_bytes());
        bytes.extend_from_slice(self.bytes.get(..BATCH_HEADER_BYTES)?);
        clear_codec(&mut bytes);
        let (mut count, mut content) = (0, Content::NOTHING);
        let mut views = self.raw_views();
        while let Some((view, raw)) = views.next_raw() {
            if keep(&view) {
                bytes.extend_from_slice(raw);
                view.count_in(&mut content);
                count += 1;
            }
        }
        if count == 0 {
            return None;
        }
        if count == self.count {
            return Some(self.clone());
        }
        let packed = self.packing().map(|packing| {
            let records = bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default();
            (packing::pack(packing, records), Bytes::copy_from_slice(records))
        });
        let open = match packed {
            Some((Ok(packed), records)) => {
                bytes.truncate(BATCH_HEADER_BYTES);
                bytes.extend_from_slice(&packed);
                bytes[ATTRIBUTES].copy_from_slice(self.bytes.get(ATTRIBUTES)?);
                Some(records)
            }
            // In the open it says the same.
            Some((Err(_), _)) | None => None,
        };
        rewrite_header(&mut bytes, count, content.max_timestamp);
        let bytes = Bytes::from(bytes.into_boxed_slice());
        Some(Batch { bytes, open, count, content, ..*self })
    }
}

/// Makes one batch of the records of several plain ones, which come in the order of their offsets.
pub struct BatchJoiner {
    bytes: Vec<u8>,
    base_offset: Offset,
    next_offset: Offset,
    count: u32,
    base_timestamp: TimestampMs,
    content: Content,
}

impl BatchJoiner {
    /// Begins with a batch, all of it.
    pub fn new(first: &Batch) -> BatchJoiner {
        let mut joiner = BatchJoiner {
            bytes: vec![0; BATCH_HEADER_BYTES],
            base_offset: first.base_offset(),
            next_offset: first.base_offset(),
            count: 0,
            base_timestamp: first.base_timestamp(),
            content: Content::NOTHING,
        };
        joiner.add(first);
        joiner
    }

    /// Bytes of the batch so far, its header included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: it begins with a batch.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes the records of the next batch, all or none.
    pub fn push(&mut self, batch: &Batch) -> Result<(), BatchFull> {
        let bytes_max = self.bytes.len() + batch.bytes().len() + 20 * batch.count() as usize;
        let span = batch.next_offset().saturating_sub(self.base_offset);
        let follows = batch.base_offset() >= self.next_offset;
        if bytes_max > BATCH_BYTES_MAX || span > i32::MAX as u64 || !follows {
            return Err(BatchFull);
        }
        self.add(batch);
        Ok(())
    }

    fn add(&mut self, batch: &Batch) {
        for view in batch.views() {
            let timestamp_delta = view.timestamp.wrapping_sub(self.base_timestamp);
            // `push` has checked that the offsets fit.
            let offset_delta = (view.offset - self.base_offset) as u32;
            wire::write_view(&mut self.bytes, &view, timestamp_delta, offset_delta);
            view.count_in(&mut self.content);
            self.count += 1;
        }
        self.next_offset = batch.next_offset();
    }

    pub fn finish(mut self) -> Batch {
        let last_delta = (self.next_offset - self.base_offset).saturating_sub(1) as u32;
        let header = wire::Header {
            base_offset: self.base_offset,
            last_delta,
            count: self.count,
            base_timestamp: self.base_timestamp,
            stamp: None,
            packing: None,
        };
        wire::write_header(&mut self.bytes, &header, self.content.max_timestamp);
        Batch {
            bytes: Bytes::from(self.bytes.into_boxed_slice()),
            open: None,
            base_offset: self.base_offset,
            last_delta,
            count: self.count,
            base_timestamp: self.base_timestamp,
            content: self.content,
            stamp: None,
        }
    }
}

/// Length, record count, greatest timestamp and checksum of a batch whose records changed.
fn rewrite_header(bytes: &mut [u8], count: u32, max_timestamp: TimestampMs) {
    let rest = (bytes.len() - 12) as i32;
    (&mut bytes[8..12]).put_i32(rest);
    (&mut bytes[35..43]).put_i64(max_timestamp);
    (&mut bytes[57..61]).put_u32(count);
    let checksum = crc_fast::crc32_iscsi(&bytes[ATTRIBUTES.start..]);
    (&mut bytes[17..ATTRIBUTES.start]).put_u32(checksum);
}
