//! What an extent without a footer holds, in memory: the open one, one being sealed, or one whose
//! data is damaged. Built by the writer or by a scan; it must not touch a file.
//!
//! The writer adds to it before it acknowledges, so adding is the cheap side: rows of all streams
//! go to the end of one list, each naming its stream's row before it, and only a stream's head is
//! looked up. Whoever asks for a stream walks back from its head.
//!
//! ```text
//! heads   a -> 4   b -> 3
//! rows    0 (a, first)   1 (b, first)   2 (a, after 0)   3 (b, after 1)   4 (a, after 2)
//! ```

use crate::layout::footer::FooterSize;
use crate::layout::key::KEY_STREAM;
use crate::{Entry, ExtentId, Location, Span, StreamId};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
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

/// No row or key before this one. An extent has at most 1 GiB, so a number is never reached.
const NONE: u32 = u32::MAX;

/// One stream's part. Exists from the stream's first frame on.
#[derive(Clone, Copy, Debug)]
struct Head {
    row_last: u32,
    key_last: u32,
    frames: u32,
    keys: u32,
}

/// A value and the number of the one before it in the same chain.
#[derive(Clone, Copy, Debug)]
struct Link<T> {
    value: T,
    before: u32,
}

/// A list that grows without ever moving what it holds: a move of many megabytes would hold the
/// acknowledgements up.
#[derive(Debug)]
struct Links<T> {
    chunks: Vec<Vec<Link<T>>>,
}

impl<T> Default for Links<T> {
    fn default() -> Links<T> {
        Links { chunks: Vec::new() }
    }
}

impl<T: Copy> Links<T> {
    const CHUNK: usize = 4096;

    /// Answers the number of the value.
    fn push(&mut self, value: T, before: u32) -> u32 {
        let link = Link { value, before };
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == Self::CHUNK);
        if full {
            self.chunks.push(Vec::with_capacity(Self::CHUNK));
        }
        let chunks = self.chunks.len();
        // There is a last chunk: one was just added if there was none.
        let Some(chunk) = self.chunks.last_mut() else { return NONE };
        chunk.push(link);
        ((chunks - 1) * Self::CHUNK + chunk.len() - 1) as u32
    }

    fn get(&self, number: u32) -> Option<Link<T>> {
        let number = number as usize;
        self.chunks.get(number / Self::CHUNK)?.get(number % Self::CHUNK).copied()
    }

    /// The chain that ends at `last`, first to last.
    fn chain(&self, last: u32, count: u32) -> Vec<T> {
        let mut values = Vec::with_capacity(count as usize);
        let mut next = last;
        while let Some(link) = self.get(next) {
            values.push(link.value);
            next = link.before;
        }
        values.reverse();
        values
    }
}

#[derive(Debug, Default)]
pub struct LiveIndex {
    heads: HashMap<StreamId, Head, BuildHasherDefault<StreamHasher>>,
    rows: Links<Row>,
    /// In order of writing, with duplicates: cheap to add to, sorted when somebody asks.
    keys: Links<(u64, Offset)>,
    size: FooterSize,
}

impl LiveIndex {
    pub fn add(&mut self, stream: StreamId, row: Row, keys: impl Iterator<Item = u64>) {
        let LiveIndex { heads, rows, keys: held, size } = self;
        let head = heads.entry(stream).or_insert_with(|| {
            size.streams += 1;
            Head { row_last: NONE, key_last: NONE, frames: 0, keys: 0 }
        });
        head.row_last = rows.push(row, head.row_last);
        head.frames += 1;
        size.entries += 1;
        for key in keys {
            head.key_last = held.push((key, row.base_offset), head.key_last);
            head.keys += 1;
            size.keys += 1;
        }
    }

    pub fn size(&self) -> FooterSize {
        self.size
    }

    /// Keys alone are of no use to anybody.
    pub fn is_empty(&self) -> bool {
        self.heads.keys().all(|stream| *stream == KEY_STREAM)
    }

    pub fn get(&self, stream: &StreamId) -> Option<StreamView<'_>> {
        self.heads.get(stream).map(|&head| StreamView { index: self, head })
    }

    pub fn sorted_streams(&self) -> Vec<(StreamId, StreamView<'_>)> {
        let view = |(&id, &head): (&StreamId, &Head)| (id, StreamView { index: self, head });
        let mut streams: Vec<_> = self.heads.iter().map(view).collect();
        streams.sort_unstable_by_key(|&(id, _)| id);
        streams
    }

    /// Of every stream but that of the key frames, which is the store's own.
    pub fn spans(&self, extent: ExtentId, generation: u64) -> Vec<Span> {
        let span = |(stream, held): (StreamId, StreamView<'_>)| {
            let sum = Sum::of(&held.rows());
            Span {
                extent,
                generation,
                stream,
                first_offset: sum.first_offset,
                next_offset: sum.next_offset,
                max_timestamp: sum.max_timestamp,
                bytes: sum.bytes,
                frames: sum.frames,
            }
        };
        let streams = self.sorted_streams().into_iter();
        streams.filter(|(stream, _)| *stream != KEY_STREAM).map(span).collect()
    }
}

/// What the index holds of one stream. Never empty.
#[derive(Clone, Copy, Debug)]
pub struct StreamView<'a> {
    index: &'a LiveIndex,
    head: Head,
}

impl StreamView<'_> {
    /// In order of writing; `sort_rows` puts them in order without holding the index up.
    pub fn rows(&self) -> Vec<Row> {
        self.index.rows.chain(self.head.row_last, self.head.frames)
    }

    pub fn rows_sorted(&self) -> Vec<Row> {
        sort_rows(self.rows())
    }

    /// In order of writing, with duplicates; `sort_keys` puts them in order.
    pub fn keys(&self) -> Vec<(u64, Offset)> {
        self.index.keys.chain(self.head.key_last, self.head.keys)
    }

    /// Sorted by hash, each with the newest offset only.
    pub fn keys_sorted(&self) -> Vec<(u64, Offset)> {
        sort_keys(self.keys())
    }
}

/// All rows of a stream in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub max_timestamp: TimestampMs,
    pub bytes: u64,
    pub frames: u32,
}

impl Sum {
    pub fn of(rows: &[Row]) -> Sum {
        Sum {
            first_offset: rows.iter().map(|row| row.base_offset).min().unwrap_or_default(),
            next_offset: rows.iter().map(Row::next_offset).max().unwrap_or_default(),
            max_timestamp: rows.iter().map(|row| row.max_timestamp).max().unwrap_or_default(),
            bytes: rows.iter().map(|row| u64::from(row.len)).sum(),
            frames: rows.len() as u32,
        }
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

/// Mixes the numbers of a stream with one multiplication each. Whoever makes topics does not
/// choose their numbers, so nobody can aim at one bucket.
#[derive(Default)]
pub struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        // 2^64 divided by the golden ratio: neighbouring numbers land far apart.
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
