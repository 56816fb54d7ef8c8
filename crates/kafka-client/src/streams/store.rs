//! What a task remembers: keys and values in order, and which of them changed since the last
//! commit. Keys are in spaces, so that a window's and a table's do not meet. Bounded: a store that
//! is full fails the task.

use crate::{Error, Result};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};

/// Where the stream's time is kept; no space has an empty name.
const TIME: &[u8] = b"\0time";

#[derive(Debug)]
pub struct Store {
    entries: BTreeMap<Bytes, Bytes>,
    changed: BTreeSet<Bytes>,
    entries_max: usize,
}

impl Store {
    pub fn new(entries_max: usize) -> Store {
        Store { entries: BTreeMap::new(), changed: BTreeSet::new(), entries_max }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&self, space: &str, key: &[u8]) -> Option<&Bytes> {
        self.entries.get(&whole(space, key))
    }

    /// # Errors
    /// When the store is full.
    pub fn put(&mut self, space: &str, key: &[u8], value: impl Into<Bytes>) -> Result<()> {
        self.put_whole(whole(space, key), value.into())
    }

    fn put_whole(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&key) {
            let entries_max = self.entries_max;
            return Err(Error::Invalid(format!("the store is full: {entries_max} entries")));
        }
        self.changed.insert(key.clone());
        self.entries.insert(key, value);
        Ok(())
    }

    pub fn remove(&mut self, space: &str, key: &[u8]) -> Option<Bytes> {
        let key = whole(space, key);
        let removed = self.entries.remove(&key)?;
        self.changed.insert(key);
        Some(removed)
    }

    /// Keys of a space that begin with `prefix`, from `from` behind it on, in their order.
    pub fn scan<'a>(
        &'a self,
        space: &str,
        prefix: &[u8],
        from: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Bytes)> + use<'a> {
        let head = whole(space, b"").len();
        let prefix = whole(space, prefix);
        let mut start = BytesMut::from(&prefix[..]);
        start.put_slice(from);
        self.entries
            .range(start.freeze()..)
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(move |(key, value)| (key.get(head..).unwrap_or_default(), value))
    }

    /// The newest timestamp seen; the earliest there is before any was.
    pub fn time_ms(&self) -> i64 {
        let bytes = self.entries.get(TIME).and_then(|bytes| bytes.first_chunk::<8>());
        bytes.map_or(i64::MIN, |bytes| i64::from_be_bytes(*bytes))
    }

    /// Time goes on to that of a record, and never back.
    ///
    /// # Errors
    /// When the store is full.
    pub fn advance(&mut self, at_ms: i64) -> Result<()> {
        if at_ms > self.time_ms() {
            let at = Bytes::copy_from_slice(&at_ms.to_be_bytes());
            self.put_whole(Bytes::from_static(TIME), at)?;
        }
        Ok(())
    }

    /// What changed since this was last asked: keys with their values, or without one when they are
    /// gone. Written to a compacted topic and restored, they are the store again.
    pub fn changes(&mut self) -> Vec<(Bytes, Option<Bytes>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed.map(|key| (key.clone(), self.entries.get(&key).cloned())).collect()
    }

    /// Takes in one change that was written before.
    ///
    /// # Errors
    /// When the store is full.
    pub fn restore(&mut self, key: Bytes, value: Option<Bytes>) -> Result<()> {
        match value {
            Some(value) => self.put_whole(key.clone(), value)?,
            None => drop(self.entries.remove(&key)),
        }
        self.changed.remove(&key);
        Ok(())
    }
}

/// A space's name ends with a zero, so that none begins with another.
fn whole(space: &str, key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(space.len() + 2 + key.len());
    bytes.put_u8(b'/');
    bytes.put_slice(space.as_bytes());
    bytes.put_u8(0);
    bytes.put_slice(key);
    bytes.freeze()
}

/// A time as bytes that are in the order of times.
pub(super) fn ordered(at_ms: i64) -> [u8; 8] {
    (at_ms.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

pub(super) fn unordered(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

/// A key behind its length: nothing that follows is taken for a part of it.
pub(super) fn measured(key: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(key.len() + 12);
    bytes.put_u32(u32::try_from(key.len()).unwrap_or(u32::MAX));
    bytes.put_slice(key);
    bytes
}
