//! A record before it is stored: what a publisher hands over.

use crate::{Key, TimestampMs};
use bytes::Bytes;
use smallvec::SmallVec;

/// Header names the platform itself sets or reads. A publisher may send all but `PUBLISHER`.
pub mod header {
    /// Media type of the value.
    pub const CONTENT_TYPE: &str = "content-type";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// The publisher's own id of the record, answered back and used against duplicates.
    pub const ID: &str = "ms-id";
    /// Principal that published; set by the hub, refused from outside.
    pub const PUBLISHER: &str = "ms-publisher";
    /// Version of the topic's schema that the value passed.
    pub const SCHEMA_VERSION: &str = "ms-schema";
}

/// Name and value, both shared slices of what was received or read. Names are UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub name: Bytes,
    pub value: Bytes,
}

pub type Headers = SmallVec<[Header; 2]>;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    pub key: Option<Key>,
    /// `None` is a tombstone: the key has no value any more.
    pub value: Option<Bytes>,
    pub headers: Headers,
    /// Set by the log when absent.
    pub timestamp: Option<TimestampMs>,
}

impl Record {
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|h| h.name == name.as_bytes()).map(|h| &h.value)
    }

    /// The record with memory of its own.
    pub fn detached(&self) -> Record {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let headers = self.headers.iter();
        let headers = headers.map(|it| Header { name: copy(&it.name), value: copy(&it.value) });
        Record {
            // It was short enough before.
            key: self.key.as_ref().and_then(|key| Key::new(copy(key.bytes())).ok()),
            value: self.value.as_ref().map(copy),
            headers: headers.collect(),
            timestamp: self.timestamp,
        }
    }

    /// Bytes of key, value and headers together, as limits count them.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, |k| k.bytes().len())
            + self.value.as_ref().map_or(0, Bytes::len)
            + self.headers.iter().map(|h| h.name.len() + h.value.len()).sum::<usize>()
    }
}
