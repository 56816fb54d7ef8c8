//! The collector: looks for extents that hold much nobody needs, or much that lies badly, and
//! rewrites what counts of them. It never touches what the writer writes, and whatever it gives up
//! in the middle leaves everything as it was.
//!
//! ```text
//! plan -> starts written down -> one new extent -> commit (storage) -> spans change over
//!      -> release
//! ```

use super::compact::Around;
use super::core::Core;
use super::disk::Trouble;
use super::pace::{Pace, Stop};
use super::partition::{Partition, Span};
use super::plan::Run;
use super::rewrite::{Carrier, Part, span_of};
use port::metric;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use storage::{Entry, ExtentRef, StoreError, StreamId};

/// What the collector has done since the log was opened, and what it saw last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Extents that were written in place of others.
    pub runs: u64,
    /// Bytes of files written.
    pub rewritten_bytes: u64,
    /// Bytes of files given back, without those written.
    pub freed_bytes: u64,
    /// Bytes of sealed extents that somebody needs, and that nobody needs, when last looked at.
    pub live_bytes: u64,
    pub dead_bytes: u64,
    /// When it last looked. Milliseconds since 1970; 0 before the first time.
    pub looked_at: i64,
}

#[derive(Default)]
pub struct Figures {
    runs: AtomicU64,
    rewritten_bytes: AtomicU64,
    freed_bytes: AtomicU64,
    live_bytes: AtomicU64,
    dead_bytes: AtomicU64,
    looked_at: AtomicI64,
}

impl Figures {
    pub fn now(&self) -> Collected {
        Collected {
            runs: self.runs.load(Ordering::Relaxed),
            rewritten_bytes: self.rewritten_bytes.load(Ordering::Relaxed),
            freed_bytes: self.freed_bytes.load(Ordering::Relaxed),
            live_bytes: self.live_bytes.load(Ordering::Relaxed),
            dead_bytes: self.dead_bytes.load(Ordering::Relaxed),
            looked_at: self.looked_at.load(Ordering::Relaxed),
        }
    }

    pub fn looked(&self, live_bytes: u64, dead_bytes: u64, now: i64) {
        self.live_bytes.store(live_bytes, Ordering::Relaxed);
        self.dead_bytes.store(dead_bytes, Ordering::Relaxed);
        self.looked_at.store(now, Ordering::Relaxed);
        metrics::gauge!(metric::LOG_LIVE_BYTES).set(live_bytes as f64);
        metrics::gauge!(metric::LOG_DEAD_BYTES).set(dead_bytes as f64);
        metrics::gauge!(metric::LOG_COLLECTED_AT).set(now as f64 / 1_000.0);
    }

    fn ran(&self, file_bytes: u64, replaced_bytes: u64) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.rewritten_bytes.fetch_add(file_bytes, Ordering::Relaxed);
        let freed_bytes = replaced_bytes.saturating_sub(file_bytes);
        self.freed_bytes.fetch_add(freed_bytes, Ordering::Relaxed);
        metrics::counter!(metric::LOG_COLLECTED).increment(1);
        metrics::counter!(metric::LOG_REWRITTEN_BYTES).increment(file_bytes);
        metrics::counter!(metric::LOG_FREED_BYTES).increment(freed_bytes);
    }
}

impl Core {
    /// Rewrites the extents that are most worth it, if any are; answers whether. Blocks; one at a
    /// time.
    pub fn collect(&self, pace: &Pace<'_>) -> bool {
        let mut planner = self.collecting.lock();
        if self.is_closed() {
            return false;
        }
        let Some(run) = planner.plan(self) else { return false };
        match self.rewrite_run(&run, pace) {
            Ok(()) => {
                planner.done(self, &run);
                true
            }
            Err(Stop::Closing) => false,
            Err(Stop::Trouble(trouble)) => {
                tracing::warn!(?trouble, extents = run.extents.len(), "extents stay as they are");
                planner.failed(&run);
                false
            }
        }
    }

    fn rewrite_run(&self, run: &Run, pace: &Pace<'_>) -> Result<(), Stop> {
        let replaced = run.extents.iter().map(|it| it.extent).collect::<Vec<_>>();
        let mut parts = self.parts(&replaced)?;
        // What the new extent leaves out showed which offsets were given: that is written down
        // first, with starts no older than those the parts begin at.
        self.must_checkpoint.store(true, Ordering::Release);
        if !self.write_changed_checkpoint() {
            return Err(crate::LogError::Full.into());
        }
        let rewrite = self.store.rewrite(replaced.clone(), run.bytes_max)?;
        let mut carrier = Carrier::new(self, rewrite, pace);
        for part in parts.values_mut() {
            carrier.carry(part)?;
        }
        let (rewritten, placed) = carrier.commit()?;
        let new = rewritten.extent;
        // Held until all partitions have changed over, or maintenance would release it.
        self.extents.take(new.id, new.generation);
        for (stream, part) in &parts {
            self.change_over(part, &replaced, placed.get(stream).map_or(&[], Vec::as_slice));
        }
        self.extents.give_back(new.id, new.generation);
        let replaced_bytes = run.extents.iter().map(|it| it.file_bytes).sum();
        self.figures.ran(rewritten.file_bytes, replaced_bytes);
        tracing::info!(
            extents = replaced.len(), replaced_bytes, file_bytes = rewritten.file_bytes,
            extent = %new.id, "extents were rewritten"
        );
        replaced.iter().for_each(|extent| self.release_replaced(*extent));
        Ok(())
    }

    /// What the extents hold of each partition, in the order of the partitions.
    fn parts(&self, replaced: &[ExtentRef]) -> Result<BTreeMap<StreamId, Part>, Stop> {
        let is_replaced = |span: &Span| {
            replaced.contains(&ExtentRef { id: span.extent, generation: span.generation })
        };
        let mut parts = BTreeMap::new();
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                let state = partition.state.lock();
                let spans = state.spans.iter().copied();
                let Some(first) = state.spans.iter().position(is_replaced) else { continue };
                let part = spans.clone().skip(first).take_while(is_replaced).collect::<Vec<_>>();
                if spans.clone().skip(first + part.len()).any(|span| is_replaced(&span)) {
                    // Something else lies between them, which the planner should have seen.
                    return Err(Stop::Trouble(Trouble::Moved));
                }
                let around = Around {
                    before: spans.clone().take(first).collect(),
                    after: spans.skip(first + part.len()).collect(),
                    part,
                    start: state.start,
                };
                drop(state);
                let partition = Arc::clone(partition);
                let stream = partition.stream;
                parts.insert(stream, Part { partition, around, tombstones_gone: 0 });
            }
        }
        Ok(parts)
    }

    /// From here on the partition reads the new extent.
    fn change_over(&self, part: &Part, replaced: &[ExtentRef], placed: &[Entry]) {
        let partition: &Partition = &part.partition;
        let mut state = partition.state.lock();
        if state.gone.is_some() {
            return;
        }
        let is_replaced = |span: &Span| {
            replaced.contains(&ExtentRef { id: span.extent, generation: span.generation })
        };
        let (old, mut spans): (Vec<Span>, Vec<Span>) =
            state.spans.iter().partition(|it| is_replaced(it));
        if let Some(span) = span_of(placed, state.start) {
            let at = spans.partition_point(|it| it.first_offset < span.first_offset);
            spans.insert(at, span);
            self.extents.take(span.extent, span.generation);
            partition.shared.add_bytes(span.bytes);
        }
        for span in &old {
            partition.shared.remove_bytes(span.bytes);
            self.extents.give_back(span.extent, span.generation);
        }
        state.spans = spans.into();
        state.oldest_timestamp = None;
        state.tombstones_gone = state.tombstones_gone.max(part.tombstones_gone);
    }

    /// Readers under way find it gone, and look again at what the partition holds.
    fn release_replaced(&self, extent: ExtentRef) {
        if !self.extents.is_unused(extent.id, extent.generation) {
            return;
        }
        match self.store.release(extent.id, extent.generation) {
            // Somebody copies it: maintenance tries again.
            Err(StoreError::InUse(_)) => return,
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, extent = %extent.id, "a replaced extent stays"),
        }
        self.extents.forget(extent.id, extent.generation);
    }
}
