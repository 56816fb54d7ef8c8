//! The one writer's work: gather, write and flush, tell. Strictly serial: a commit is written only
//! after the one before it is durable, which is what lets recovery tell a torn tail from damage.

use crate::cipher::TAG_BYTES;
use crate::device::{Blocks, WriteError, is_full};
use crate::extent::{Extent, Knowledge, Origin, Phase};
use crate::inner::Inner;
use crate::layout::BLOCK_BYTES;
use crate::layout::frame;
use crate::layout::trailer::{Kind, Trailer};
use crate::open::{self, OpenExtent};
use crate::prepare::CHUNK_BYTES;
use crate::seal;
use crate::siblings::Siblings;
use crate::{Entry, Frame, Group, Source, StoreError};
use port::metric;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Free space is asked for after this many commits or this much time, whichever comes first.
const SPACE_CHECK_COMMITS: u32 = 256;
const SPACE_CHECK_EVERY: Duration = Duration::from_millis(100);
/// The buffer for commits; a larger frame gets one of its own.
const BUFFER_BYTES: usize = crate::GROUP_BYTES_MAX + BLOCK_BYTES;

pub struct Appender {
    inner: Arc<Inner>,
    open: Option<OpenExtent>,
    buffer: Blocks,
    group: Group,
    entries: Vec<Entry>,
    space: SpaceWatch,
    pub siblings: Siblings,
    counters: Counters,
}

#[derive(Default)]
struct SpaceWatch {
    commits_since: u32,
    checked_at: Option<Duration>,
}

struct Counters {
    commits: metrics::Counter,
    seconds: metrics::Histogram,
    bytes: metrics::Counter,
}

/// What one turn did.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// The source had nothing.
    Idle,
    Settled,
}

impl Appender {
    pub fn new(inner: Arc<Inner>) -> Appender {
        let counters = Counters {
            commits: metrics::counter!(metric::COMMITS),
            seconds: metrics::histogram!(metric::COMMIT_SECONDS),
            bytes: metrics::counter!(metric::COMMIT_BYTES),
        };
        let group = Group::new(if inner.vault.keys().is_some() { TAG_BYTES } else { 0 });
        Appender {
            inner,
            open: None,
            buffer: Blocks::new(BUFFER_BYTES),
            group,
            entries: Vec::new(),
            space: SpaceWatch::default(),
            siblings: Siblings::default(),
            counters,
        }
    }

    /// Opens the first extent ahead of need. Without space the first append says so.
    pub fn prepare(&mut self) {
        match self.roll() {
            Ok(()) => {}
            Err(StoreError::Failed(reason)) => self.inner.fail(reason),
            Err(error) => tracing::warn!(%error, "no extent could be opened yet"),
        }
    }

    /// One group, from the source to the source.
    pub fn turn(&mut self, source: &dyn Source) -> Turn {
        let empty = Group::new(self.group.tag_bytes());
        let mut group = std::mem::replace(&mut self.group, empty);
        source.gather(&mut group);
        if group.is_empty() {
            self.group = group;
            return Turn::Idle;
        }
        let outcome = self.commit(group.frames());
        let is_full = &self.inner.counters.is_full;
        match &outcome {
            Ok(()) => is_full.store(false, Ordering::Relaxed),
            Err(StoreError::Full(_)) => is_full.store(true, Ordering::Relaxed),
            Err(StoreError::Failed(reason)) => self.inner.fail(reason.clone()),
            Err(_) => {}
        }
        // Before anybody is answered: who sends again at once comes with the next group.
        self.siblings.settled(source.arrivals(), self.inner.world.clock.monotonic());
        match &outcome {
            Ok(()) => source.settled(Ok(&self.entries)),
            Err(error) => source.settled(Err(error)),
        }
        // Whoever waits is told first: freeing the frames is nobody's hurry.
        group.clear();
        self.group = group;
        Turn::Settled
    }

    fn commit(&mut self, frames: &[Frame]) -> Result<(), StoreError> {
        self.entries.clear();
        if let Some(reason) = self.inner.failed() {
            return Err(StoreError::Failed(reason));
        }
        let bytes_max = self.inner.frame_bytes_max();
        let tag_bytes = self.group.tag_bytes();
        let largest =
            frames.iter().map(|frame| (frame::total_bytes(frame) + tag_bytes) as u64).max();
        if let Some(bytes) = largest.filter(|&bytes| bytes > bytes_max) {
            return Err(StoreError::TooLarge { bytes, bytes_max });
        }
        self.check_space()?;
        self.make_room(frames)?;
        let started = self.inner.world.clock.monotonic();
        let padded = self.write(frames)?;
        let took = self.inner.world.clock.monotonic().saturating_sub(started);
        self.counters.commits.increment(1);
        self.counters.bytes.increment(padded);
        self.counters.seconds.record(took.as_secs_f64());
        self.inner.counters.committed(frames.len() as u64, padded);
        Ok(())
    }

    /// Refuses while the file system is fuller than allowed; looks again each time it was.
    fn check_space(&mut self) -> Result<(), StoreError> {
        let now = self.inner.world.clock.monotonic();
        self.space.commits_since += 1;
        let is_fresh = self.space.commits_since < SPACE_CHECK_COMMITS
            && self.space.checked_at.is_some_and(|at| now.saturating_sub(at) < SPACE_CHECK_EVERY);
        if is_fresh {
            return Ok(());
        }
        let space = match self.inner.device.space() {
            Ok(space) => space,
            // Not knowing is no reason to refuse: a full disk still shows when it is written to.
            Err(error) => {
                tracing::warn!(%error, "the free space of the log's file system is not known");
                return Ok(());
            }
        };
        let free_bytes_min = self.inner.options.free_bytes_min;
        self.inner.counters.free_bytes.store(space.free_bytes, Ordering::Relaxed);
        if space.free_bytes < free_bytes_min {
            self.space.checked_at = None;
            let free_bytes = space.free_bytes;
            let text = format!("{free_bytes} bytes are free, at least {free_bytes_min} must be");
            return Err(StoreError::Full(text));
        }
        self.space = SpaceWatch { commits_since: 0, checked_at: Some(now) };
        Ok(())
    }

    /// Opens the next extent when these frames and the footer they will cause do not fit.
    fn make_room(&mut self, frames: &[Frame]) -> Result<(), StoreError> {
        if self.open.as_mut().is_some_and(|open| open.fits(frames)) {
            return Ok(());
        }
        // A fresh extent that holds nothing would be no better.
        let is_fresh = self.open.as_ref().is_some_and(OpenExtent::is_fresh);
        if !is_fresh {
            self.roll()?;
        }
        let fits = self.open.as_mut().is_some_and(|open| open.fits(frames));
        let bytes = open::commit_bytes(frames);
        let bytes_max = self.inner.frame_bytes_max();
        fits.then_some(()).ok_or(StoreError::TooLarge { bytes, bytes_max })
    }

    /// Opens the next extent, then hands the full one to be sealed: without a next one the old
    /// one stays, since a smaller group may still fit.
    fn roll(&mut self) -> Result<(), StoreError> {
        let (spare, seal) = self.inner.pool.activate().map_err(|error| {
            let text = error.to_string();
            if is_full(&error) { StoreError::Full(text) } else { StoreError::Failed(text) }
        })?;
        let live = Knowledge::Live { index: Default::default(), phase: Phase::Open };
        let origin = Origin {
            order: seal.generation,
            created: self.inner.world.clock.now_ms(),
            ..Origin::default()
        };
        let extent = Arc::new(Extent::new(spare.id, seal, spare.len, origin, live));
        let keys = self.inner.vault.keys().cloned();
        let written_at = self.open.as_ref().map_or(0, OpenExtent::written_at);
        let next = OpenExtent::new(extent.clone(), spare, keys, written_at);
        self.inner.pool.set_open(Some(next.view()));
        self.inner.extents.write().insert(extent.id, extent);
        if let Some(full) = self.open.replace(next) {
            self.inner.enqueue_seal(full.into_job());
        }
        Ok(())
    }

    /// Encodes, writes and flushes one commit, then adds it to the index.
    fn write(&mut self, frames: &[Frame]) -> Result<u64, StoreError> {
        let missing = || StoreError::Failed("no extent is open".to_owned());
        let open = self.open.as_mut().ok_or_else(missing)?;
        let size = open.plan(frames)?;
        let padded = size.padded;
        let mut large = None;
        let buffer = if padded > self.buffer.len() as u64 {
            large.insert(Blocks::new(padded as usize))
        } else {
            &mut self.buffer
        };
        let bytes = buffer.first_mut(padded as usize);
        let now = self.inner.world.clock.now_ms();
        open.encode(frames, size, now, bytes, &mut self.entries)?;
        open.preparation.claim(open.position + padded);
        match self.inner.device.write(&*open.file, bytes, open.position) {
            Ok(()) => {}
            Err(WriteError::Full(error)) => {
                return Err(open.retract(&self.inner.device, bytes, error));
            }
            Err(WriteError::Failed(error)) => return Err(StoreError::Failed(error.to_string())),
        }
        open.advance(frames, &self.entries, size);
        if open.position / CHUNK_BYTES != (open.position - padded) / CHUNK_BYTES {
            self.inner.pool.nudge();
        }
        Ok(padded)
    }

    /// Ends in good order: the next start need not search for the end of the data.
    pub fn close(&mut self) {
        self.inner.pool.set_open(None);
        let Some(open) = self.open.take() else { return };
        if self.inner.failed().is_some() {
            return;
        }
        let prepared_bytes = open.preparation.until();
        open.preparation.claim(open.len);
        let trailer = Trailer {
            kind: Kind::Closed,
            seal: open.extent.seal,
            data_end: open.data_end,
            footer_at: 0,
            footer_bytes: 0,
            streams: 0,
            directory_crc: 0,
            prepared_bytes,
        };
        let at = open.len - BLOCK_BYTES as u64;
        if let Err(error) = seal::write_trailer(&self.inner.device, &*open.file, &trailer, at) {
            tracing::warn!(%error, "the log was not closed in order; the next start takes longer");
        }
    }
}
