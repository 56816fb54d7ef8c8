//! What an extent without a footer holds, in memory: the open one, one being sealed, or one whose
//! data is damaged. Built by the writer or by a scan; it must not touch a file.

use crate::layout::footer::FooterSize;
use crate::{Entry, ExtentId, Location, Span, StreamId};
use std::collections::HashMap;
use types::{Offset, TimestampMs};

/// An `Entry` without what all entries of an extent share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub base_offset: Offset,
    pub max_timestamp: TimestampMs,
    pub position: u32,
    pub len: u32,
    pub count: u32,
}

impl Row {
    pub fn of(entry: &Entry) -> Row {
        Row {
            base_offset: entry.base_offset,
            max_timestamp: entry.max_timestamp,
            position: entry.location.position,
            len: entry.location.len,
            count: entry.count,
        }
    }

    pub fn entry(&self, extent: ExtentId, generation: u64) -> Entry {
        let location = Location { extent, generation, position: self.position, len: self.len };
        Entry {
            base_offset: self.base_offset,
            count: self.count,
            max_timestamp: self.max_timestamp,
            location,
        }
    }

    pub fn next_offset(&self) -> Offset {
        self.base_offset.saturating_add(u64::from(self.count))
    }
}

/// One stream's part. Never empty: it exists from its first frame on.
#[derive(Debug, Default)]
pub struct StreamIndex {
    rows: Vec<Row>,
    /// In order of writing, with duplicates: cheap to add to, sorted when somebody asks.
    keys: Vec<(u64, Offset)>,
}

impl StreamIndex {
    /// In order of writing; `sort_rows` puts a copy in order without holding the index up.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn rows_sorted(&self) -> Vec<Row> {
        sort_rows(self.rows.clone())
    }

    /// In order of writing, with duplicates; `sort_keys` puts a copy in order.
    pub fn keys(&self) -> &[(u64, Offset)] {
        &self.keys
    }

    /// Sorted by hash, each with the newest offset only.
    pub fn keys_sorted(&self) -> Vec<(u64, Offset)> {
        sort_keys(self.keys.clone())
    }

    pub fn frames(&self) -> u32 {
        self.rows.len() as u32
    }

    pub fn first_offset(&self) -> Offset {
        self.rows.iter().map(|row| row.base_offset).min().unwrap_or_default()
    }

    pub fn next_offset(&self) -> Offset {
        self.rows.iter().map(Row::next_offset).max().unwrap_or_default()
    }

    pub fn max_timestamp(&self) -> TimestampMs {
        self.rows.iter().map(|row| row.max_timestamp).max().unwrap_or_default()
    }

    pub fn bytes(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.len)).sum()
    }
}

pub fn sort_rows(mut rows: Vec<Row>) -> Vec<Row> {
    // Already in order as long as the source keeps its promise; then this is one pass.
    rows.sort_by_key(|row| row.base_offset);
    rows
}

pub fn sort_keys(mut keys: Vec<(u64, Offset)>) -> Vec<(u64, Offset)> {
    keys.sort_unstable_by_key(|&(key, offset)| (key, std::cmp::Reverse(offset)));
    keys.dedup_by_key(|pair| pair.0);
    keys
}

#[derive(Debug, Default)]
pub struct LiveIndex {
    streams: HashMap<StreamId, StreamIndex>,
    size: FooterSize,
}

impl LiveIndex {
    pub fn add(&mut self, stream: StreamId, row: Row, keys: impl Iterator<Item = u64>) {
        let held = self.streams.entry(stream).or_default();
        self.size.streams += u64::from(held.rows.is_empty());
        self.size.entries += 1;
        held.rows.push(row);
        let before = held.keys.len();
        held.keys.extend(keys.map(|key| (key, row.base_offset)));
        self.size.keys += (held.keys.len() - before) as u64;
    }

    pub fn size(&self) -> FooterSize {
        self.size
    }

    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub fn get(&self, stream: &StreamId) -> Option<&StreamIndex> {
        self.streams.get(stream)
    }

    pub fn sorted_streams(&self) -> Vec<(StreamId, &StreamIndex)> {
        let mut streams: Vec<_> = self.streams.iter().map(|(&id, held)| (id, held)).collect();
        streams.sort_unstable_by_key(|&(id, _)| id);
        streams
    }

    pub fn spans(&self, extent: ExtentId, generation: u64) -> Vec<Span> {
        let span = |(stream, held): (StreamId, &StreamIndex)| Span {
            extent,
            generation,
            stream,
            first_offset: held.first_offset(),
            next_offset: held.next_offset(),
            max_timestamp: held.max_timestamp(),
            bytes: held.bytes(),
            frames: held.frames(),
        };
        self.sorted_streams().into_iter().map(span).collect()
    }
}
