//! One partition in memory: what was given, what is visible, what waits for the device, where the
//! stored part lies, and its newest batches. It does no IO; whoever reads disk takes a snapshot.
//!
//! ```text
//!  start          stored            visible          next
//!    |--- on the device ---|--- relaxed only ---|--- not acknowledged ---|
//!  start          visible           settled          next
//!    |--- on the device ---|--- held back ------|--- not acknowledged ---|
//! ```
//! Records between `stored` and `visible` exist only in relaxed topics and only in the tail.
//! Records between `visible` and `settled` are stored and stand behind an undecided transaction;
//! without one `visible` and `settled` are the same.

use super::batches::Late;
use super::draft::{Acknowledge, Draft};
use super::extents::Extents;
use super::hasher::KeyHasher;
use super::held::{Held, Hidden};
use super::producers::Producers;
use super::topic::Shared;
use crate::{Bounds, LogError};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use storage::{Entry, ExtentId, StreamId};
use types::{Batch, Durability, Offset, Record, TimestampMs};

pub struct Partition {
    pub stream: StreamId,
    pub shared: Arc<Shared>,
    /// Held while a batch becomes visible and the observer is told, so that it is told in order.
    /// Taken before `state`.
    pub order: Mutex<()>,
    pub state: Mutex<State>,
}

/// A recent batch with the sorted hashes of its keys.
#[derive(Clone)]
pub struct TailBatch {
    pub batch: Arc<Batch>,
    pub keys: Arc<[u64]>,
}

impl TailBatch {
    /// Memory it takes, about: its bytes and what holds them.
    pub fn memory_bytes(&self) -> usize {
        const HOLDERS_BYTES: usize = 200;
        self.batch.memory_bytes() + 8 * self.keys.len() + HOLDERS_BYTES
    }

    pub fn may_hold(&self, key: u64) -> bool {
        self.keys.binary_search(&key).is_ok()
    }
}

/// What was last read of the index of the newest extent, which the store copies anew for each
/// question while the extent is open. It only ever grows, so a copy stays right as far as it goes.
#[derive(Clone, Default)]
pub struct Seen {
    pub entries: Option<Arc<[Entry]>>,
    /// Key hashes, and the offset up to which they are complete.
    pub keys: Option<(KeyHashes, Offset)>,
}

/// Sorted key hashes, each with the newest batch that has it.
pub type KeyHashes = Arc<[(u64, Offset)]>;

/// What one extent holds of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub extent: ExtentId,
    pub generation: u64,
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub max_timestamp: TimestampMs,
    /// What is kept of it; less than what is there once the start moved into it.
    pub bytes: u64,
}

#[derive(Default)]
pub struct State {
    pub start: Offset,
    /// Where the last checkpoint written says that it starts. A crash goes back there.
    pub start_kept: Offset,
    pub stored: Offset,
    pub visible: Offset,
    /// The offset after the last record that stays, shown or not.
    pub settled: Offset,
    pub next: Offset,
    /// Of the tenant's keys, as of the last append.
    pub hasher: KeyHasher,
    /// No new record gets an offset below: there were records a crash may have lost.
    pub floor: Offset,
    /// The last one takes records, those before it are full.
    pub drafts: VecDeque<Draft>,
    /// The partition is in the queue of those with drafts.
    pub is_queued: bool,
    /// Batches whose publishers wait, in drafts or in flight.
    pub waiting_batches: usize,
    /// Records that are visible and not stored.
    pub unstored_records: usize,
    /// Stored batches from `visible` on, in order.
    pub held: VecDeque<Held>,
    /// Stored batches that are never shown.
    pub hidden: Hidden,
    pub producers: Producers,
    /// Who waits for a batch that was on its way already.
    pub late: Vec<Late>,
    /// By offset, which is also by age.
    pub spans: VecDeque<Span>,
    /// The newest visible batches without a hole up to `visible`.
    pub tail: VecDeque<TailBatch>,
    /// Of the newest span's extent; forgotten now and then.
    pub seen: Option<((ExtentId, u64), Box<Seen>)>,
    /// The greatest timestamp of the oldest stored batch, when known.
    pub oldest_timestamp: Option<TimestampMs>,
    /// Offsets that were acknowledged and cannot be read any more, ascending.
    pub damaged: Vec<Range<Offset>>,
    /// A checkpoint on the disk says that records here are seen before they are stored. Until one
    /// does, relaxed appends wait for their flush: a crash right after the topic was made, or
    /// after it became durable again, would give their offsets to others.
    pub is_marked_relaxed: bool,
    /// Compaction has left out tombstones before this offset: who has not read so far does not
    /// know which keys are gone.
    pub tombstones_gone: Offset,
    /// Why nothing may be appended any more.
    pub gone: Option<LogError>,
}

impl Partition {
    pub fn new(stream: StreamId, shared: Arc<Shared>, state: State) -> Arc<Partition> {
        Arc::new(Partition { stream, shared, order: Mutex::new(()), state: Mutex::new(state) })
    }

    pub fn bounds(&self) -> Bounds {
        let is_stored = self.is_stored();
        let state = self.state.lock();
        Bounds { start: state.first_kept(is_stored), end: state.visible }
    }

    /// Whether the topic keeps records at all.
    pub fn is_stored(&self) -> bool {
        self.shared.durability() != Durability::Ephemeral
    }
}

impl State {
    /// Memory that the recent batches with these offsets take, each.
    pub fn tail_sizes(&self, offsets: Range<Offset>) -> Vec<usize> {
        let first = self.tail.partition_point(|tail| tail.batch.base_offset() < offsets.start);
        let rest = self.tail.range(first..);
        let covered = rest.take_while(|tail| tail.batch.base_offset() < offsets.end);
        covered.map(TailBatch::memory_bytes).collect()
    }

    /// Adds an append to the last draft or a new one; answers the offset of its first record.
    /// `records_bytes` is what they take at most.
    pub fn write(
        &mut self,
        records: &[Record],
        now: TimestampMs,
        acknowledge: Acknowledge,
        records_bytes: usize,
    ) -> Offset {
        let base_offset = self.next;
        let joins = self.drafts.back().is_some_and(|draft| draft.takes(acknowledge, records_bytes));
        if !joins {
            let draft = Draft::new(base_offset, acknowledge, records_bytes);
            self.drafts.push_back(draft.hashing(self.hasher));
            self.waiting_batches += usize::from(acknowledge == Acknowledge::AfterFlush);
        }
        if let Some(draft) = self.drafts.back_mut() {
            draft.push(records, now);
            self.next = draft.next_offset();
        }
        if acknowledge == Acknowledge::AtAppend {
            self.unstored_records += records.len();
        }
        base_offset
    }

    /// Adds a draft that nothing joins, in line behind the others. Its base is `next`.
    pub fn write_alone(&mut self, draft: Draft) {
        self.next = draft.next_offset();
        self.waiting_batches += usize::from(draft.acknowledge == Acknowledge::AfterFlush);
        self.drafts.push_back(draft);
    }

    /// Remembers where a batch came to lie.
    pub fn stored(&mut self, entry: &Entry, extents: &Extents) {
        let (location, next_offset) = (entry.location, entry.next_offset());
        let bytes = u64::from(location.len);
        self.stored = self.stored.max(next_offset);
        if self.spans.is_empty() {
            self.oldest_timestamp = Some(entry.max_timestamp);
        }
        match self.spans.back_mut() {
            Some(span)
                if span.extent == location.extent && span.generation == location.generation =>
            {
                span.next_offset = next_offset;
                span.max_timestamp = span.max_timestamp.max(entry.max_timestamp);
                span.bytes += bytes;
            }
            _ => {
                extents.take(location.extent, location.generation);
                self.spans.push_back(Span {
                    extent: location.extent,
                    generation: location.generation,
                    first_offset: entry.base_offset,
                    next_offset,
                    max_timestamp: entry.max_timestamp,
                    bytes,
                });
            }
        }
    }

    /// Gives up what waits for the flush: nobody has seen these offsets, so they are given again.
    /// Answers the drafts, whose publishers are to be told.
    pub fn roll_back(&mut self, why: &LogError) -> Vec<Draft> {
        let kept = self
            .drafts
            .iter()
            .take_while(|draft| draft.acknowledge == Acknowledge::AtAppend)
            .count();
        let given_up = self.drafts.drain(kept..).collect();
        self.waiting_batches = 0;
        self.producers.roll_back(self.settled);
        self.refuse_late(self.settled, why);
        self.next = self.settled.max(self.floor);
        given_up
    }

    /// What is appended now cannot be seen at once: something before it is not seen yet.
    pub fn must_wait(&self) -> bool {
        self.waiting_batches > 0 || !self.held.is_empty()
    }

    /// The oldest offset a reader may ask for. A topic that stores nothing keeps nothing.
    pub fn first_kept(&self, is_stored: bool) -> Offset {
        if is_stored { self.start } else { self.visible }
    }

    /// What was seen of that span's extent.
    pub fn seen(&self, span: &Span) -> Option<&Seen> {
        let seen = self.seen.as_ref().filter(|(of, _)| *of == (span.extent, span.generation));
        seen.map(|(_, seen)| &**seen)
    }

    /// Changes what is remembered of that span's extent, if it is the newest.
    pub fn remember(&mut self, span: &Span, change: impl FnOnce(&mut Seen)) {
        let of = (span.extent, span.generation);
        if self.spans.back().is_none_or(|newest| (newest.extent, newest.generation) != of) {
            return;
        }
        if self.seen(span).is_none() {
            self.seen = Some((of, Box::default()));
        }
        if let Some((_, seen)) = &mut self.seen {
            change(seen);
        }
    }

    /// The first offset the tail can answer for.
    pub fn tail_start(&self) -> Offset {
        self.tail.front().map_or(self.visible, |first| first.batch.base_offset())
    }

    /// Whether the device holds, or held, anything from `offset` on. Before the tail there may be
    /// offsets that no record has.
    pub fn has_stored_from(&self, offset: Offset) -> bool {
        let is_stored = self.spans.back().is_some_and(|newest| newest.next_offset > offset);
        is_stored || self.damage_from(offset).is_some()
    }

    /// The damage that `offset` lies in, or the next one after it.
    pub fn damage_from(&self, offset: Offset) -> Option<&Range<Offset>> {
        self.damaged.iter().find(|range| range.end > offset)
    }

    /// Offsets that are stored and kept. A copy may begin far behind the start; what it left out
    /// there is nothing.
    pub fn stored_offsets(&self) -> u64 {
        let first = self.spans.front().map_or(self.start, |first| first.first_offset);
        self.stored.saturating_sub(self.start.max(first))
    }

    pub fn stored_bytes(&self) -> u64 {
        self.spans.iter().map(|span| span.bytes).sum()
    }
}
