//! What the records of a batch are together: counted once, so that who asks something of all of
//! them need not look at each.

use crate::TimestampMs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Key, value and headers of all records together: what is metered, whatever way they are
    /// batched.
    pub bytes: u64,
    /// Of the largest record.
    pub record_bytes_max: usize,
    pub min_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    /// Records that have a key.
    pub keyed: u32,
    pub has_headers: bool,
}

impl Content {
    pub(super) const NOTHING: Content = Content {
        bytes: 0,
        record_bytes_max: 0,
        min_timestamp: TimestampMs::MAX,
        max_timestamp: TimestampMs::MIN,
        keyed: 0,
        has_headers: false,
    };

    /// A record of so many bytes.
    pub(super) fn add(
        &mut self,
        bytes: usize,
        timestamp: TimestampMs,
        has_key: bool,
        has_headers: bool,
    ) {
        self.bytes += bytes as u64;
        self.record_bytes_max = self.record_bytes_max.max(bytes);
        self.min_timestamp = self.min_timestamp.min(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.keyed += u32::from(has_key);
        self.has_headers |= has_headers;
    }
}
