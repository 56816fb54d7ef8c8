//! The plain data of the store: what a frame is, where one lies, and what an extent holds of a
//! stream. Nothing here does IO or knows the bytes on disk.

use bytes::Bytes;
use std::fmt;
use types::{Offset, Partition, TenantId, TimestampMs, TopicId};

/// One ordered sequence of frames: a partition of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StreamId {
    pub topic: TopicId,
    pub partition: Partition,
}

/// The number of an extent's file. A file is recycled under a new generation, so the number alone
/// does not name its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ExtentId(pub u32);

impl fmt::Display for ExtentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

/// Where one frame lies. Stays valid until the extent is released; afterwards reading it answers
/// `StoreError::Recycled`, never another frame's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Location {
    pub extent: ExtentId,
    pub generation: u64,
    /// Bytes from the start of the extent to the frame's header.
    pub position: u32,
    /// Bytes of the whole frame: header, key hashes, body and tag.
    pub len: u32,
}

/// One record batch of one stream, to be appended.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Whose key seals the body; the nil tenant is the system itself.
    pub tenant: TenantId,
    pub stream: StreamId,
    /// The offset of the first record inside. Within a stream, frames are pushed in rising order.
    pub base_offset: Offset,
    /// How many offsets the frame covers, at least 1.
    pub count: u32,
    /// The greatest timestamp of the records inside.
    pub max_timestamp: TimestampMs,
    /// 64-bit hashes of the keys inside, without duplicates; may be empty.
    pub keys: Box<[u64]>,
    /// Opaque to the store (a Kafka v2 batch).
    pub body: Bytes,
}

/// One durable frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub base_offset: Offset,
    pub count: u32,
    pub max_timestamp: TimestampMs,
    pub location: Location,
}

impl Entry {
    /// The offset after the last one inside.
    pub fn next_offset(&self) -> Offset {
        self.base_offset.saturating_add(u64::from(self.count))
    }
}

/// What one extent holds of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub extent: ExtentId,
    pub generation: u64,
    pub stream: StreamId,
    pub first_offset: Offset,
    /// The offset after the last one held.
    pub next_offset: Offset,
    pub max_timestamp: TimestampMs,
    /// Bytes of the stream's frames, headers included, padding not.
    pub bytes: u64,
    pub frames: u32,
}
