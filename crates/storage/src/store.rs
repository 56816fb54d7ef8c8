//! The store's public face.

use crate::{Entry, ExtentId, Location, Options, Source, Span, StoreError, StreamId, World};
use bytes::Bytes;
use std::sync::Arc;
use types::Offset;

/// What `Store::open` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Everything the sealed extents hold, by age of the extent, then by stream. After opening every
    /// extent with data is sealed.
    pub spans: Vec<Span>,
    /// Bytes of commits that were cut because they were never acknowledged.
    pub tail_cut_bytes: u64,
    /// Extents that had no footer and were scanned.
    pub scanned_extents: u32,
    /// Acknowledged data that is not readable any more. Never truncated.
    pub damaged: Vec<Damage>,
}

/// A part of an extent that held acknowledged frames and does not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub extent: ExtentId,
    pub from_position: u64,
    pub to_position: u64,
    pub reason: &'static str,
    /// The offsets known to be lost, where frames of the same stream lie on both sides in this
    /// extent. Others show as a gap between the spans of two extents.
    pub ranges: Vec<DamagedRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    pub stream: StreamId,
    pub from: Offset,
    /// The first offset after the range.
    pub to: Offset,
}

/// What an operator wants to know. Counters are since opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub commits: u64,
    pub flushes: u64,
    pub frames: u64,
    /// Bytes written by commits, padding included.
    pub bytes: u64,
    pub extents_sealed: u32,
    pub extents_free: u32,
    pub free_bytes: u64,
    /// Why the log takes no more appends, if so.
    pub failed: Option<String>,
}

#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Locks the directory (`Locked` when another process has it), recovers, and answers what is
    /// there. `each` sees every whole frame of extents that had no footer, in order.
    pub fn open(
        _world: World,
        _options: Options,
        _each: &mut dyn FnMut(&Entry, StreamId, &Bytes),
    ) -> Result<(Arc<Store>, Recovery), StoreError> {
        Err(StoreError::Locked)
    }

    /// Starts the writer and the background threads. Once per store.
    pub fn start(self: &Arc<Self>, _source: Arc<dyn Source>) -> Writer {
        Writer {}
    }

    /// There is something to gather. Cheap, callable from anywhere.
    pub fn wake(&self) {}

    /// The frame's body. Blocking. Verifies header, generation, stream and checksum.
    pub fn read(&self, location: Location, _stream: StreamId) -> Result<Bytes, StoreError> {
        Err(StoreError::NotFound(location.extent))
    }

    /// The bodies of the entries, in their order, with one read for neighbours. Blocking. A bad
    /// frame ends the answer early and is an error only when it is the first.
    pub fn read_range(
        &self,
        _entries: &[Entry],
        _stream: StreamId,
    ) -> Result<Vec<Bytes>, StoreError> {
        Ok(Vec::new())
    }

    /// The stream's frames in that extent, by offset. Blocking when the footer is not cached.
    pub fn entries(&self, extent: ExtentId, _stream: StreamId) -> Result<Arc<[Entry]>, StoreError> {
        Err(StoreError::NotFound(extent))
    }

    /// Sorted key hashes with the base offset of the newest frame in that extent that has the key.
    pub fn keys(
        &self,
        extent: ExtentId,
        _stream: StreamId,
    ) -> Result<Arc<[(u64, Offset)]>, StoreError> {
        Err(StoreError::NotFound(extent))
    }

    /// What the extents sealed since the last call hold.
    pub fn take_sealed(&self) -> Vec<Span> {
        Vec::new()
    }

    /// No stream needs the extent any more: its file goes back to the pool. Blocking (one small
    /// write). `InUse` while it is open or being sealed, `Recycled` when that generation is gone.
    pub fn release(&self, extent: ExtentId, _generation: u64) -> Result<(), StoreError> {
        Err(StoreError::NotFound(extent))
    }

    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// The running writer. Dropping it stops it too.
#[derive(Debug)]
pub struct Writer {}

impl Writer {
    /// Commits what the source still has, then joins all threads. Seals nothing.
    pub fn stop(self) {}
}
