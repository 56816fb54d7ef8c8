//! Tests of the whole store, mostly on the simulated disk and without threads: a `Rig` does each
//! step when told to, so that a crash falls exactly where a test wants it.

mod appending;
mod crash;
mod damage;
mod layouts;
mod offline;
mod panics;
mod pins;
mod real_disk;
mod rewriting;
mod ring;
mod rot;
mod sealed;
mod sealing;
mod siblings;
mod space;

use crate::append::{Appender, Turn};
use crate::device::Blocks;
use crate::pool::Step;
use crate::{
    Entry, ExtentId, Frame, Group, Options, Recovery, Source, Store, StoreError, StreamId, World,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::{TenantId, TopicId};

pub const DIR: &str = "/data/log";
const EXTENT_BYTES: u32 = 1 << 20;

pub fn stream(number: u64) -> StreamId {
    StreamId { topic: TopicId(number), partition: 0 }
}

/// Stream n is of tenant n.
pub fn tenant(number: u64) -> TenantId {
    TenantId(uuid::Uuid::from_u128(number.into()))
}

/// A frame whose body tells which one it is.
pub fn frame(number: u64, base_offset: u64, body_bytes: usize) -> Frame {
    let mut body = format!("{number}/{base_offset}/").into_bytes();
    body.resize(body_bytes.max(body.len()), (base_offset % 251) as u8);
    Frame {
        tenant: tenant(number),
        stream: stream(number),
        base_offset,
        count: 1,
        max_timestamp: 1_000 + base_offset as i64,
        keys: Box::new([base_offset % 7]),
        body: Bytes::from(body),
    }
}

/// Hands over what was pushed and remembers what became of it.
#[derive(Default)]
pub struct Script {
    waiting: Mutex<VecDeque<Frame>>,
    taken: Mutex<Vec<Frame>>,
    pub outcomes: Mutex<Vec<Outcome>>,
}

pub type Outcome = Result<Vec<(Frame, Entry)>, StoreError>;

impl Script {
    pub fn push(&self, frame: Frame) {
        self.waiting.lock().push_back(frame);
    }

    /// What was acknowledged so far, in order.
    pub fn acknowledged(&self) -> Vec<(Frame, Entry)> {
        self.outcomes.lock().iter().flatten().flatten().cloned().collect()
    }
}

impl Source for Script {
    fn gather(&self, group: &mut Group) {
        let mut waiting = self.waiting.lock();
        while let Some(frame) = waiting.pop_front() {
            let copy = frame.clone();
            if let Err(frame) = group.push(frame) {
                waiting.push_front(frame);
                return;
            }
            self.taken.lock().push(copy);
        }
    }

    fn settled(&self, outcome: Result<&[Entry], &StoreError>) {
        let taken = std::mem::take(&mut *self.taken.lock());
        let outcome = outcome.map_err(Clone::clone).map(|entries| {
            assert_eq!(entries.len(), taken.len());
            taken.into_iter().zip(entries.iter().copied()).collect()
        });
        self.outcomes.lock().push(outcome);
    }
}

pub fn options() -> Options {
    Options { extent_bytes: EXTENT_BYTES, free_bytes_min: 0, ..Options::new(DIR) }
}

pub fn world(disk: &Arc<SimDisk>) -> World {
    let rng = SeededRng::shared(disk.changes() + 1);
    World { disk: disk.clone(), clock: ManualClock::shared(1_000), rng, keys: None }
}

pub fn extent_path(id: ExtentId) -> PathBuf {
    Path::new(DIR).join(format!("{id}.extent"))
}

/// A store whose threads are the test's own hands.
pub struct Rig {
    pub store: Arc<Store>,
    pub script: Arc<Script>,
    pub recovery: Recovery,
    /// What `each` saw at opening.
    pub seen: Vec<(StreamId, Entry, Bytes)>,
    appender: Appender,
}

impl Rig {
    pub fn open(disk: &Arc<SimDisk>) -> Result<Rig, StoreError> {
        Rig::open_with(disk, options())
    }

    pub fn open_with(disk: &Arc<SimDisk>, options: Options) -> Result<Rig, StoreError> {
        Rig::open_in(world(disk), options)
    }

    pub fn open_in(world: World, options: Options) -> Result<Rig, StoreError> {
        let mut seen = Vec::new();
        let (store, recovery) = Store::open(world, options, &mut |entry, stream, body| {
            seen.push((stream, *entry, body.clone()));
        })?;
        let appender = Appender::new(store.inner.clone());
        let script = Arc::new(Script::default());
        Ok(Rig { store, script, recovery, seen, appender })
    }

    /// Commits until the source has nothing left.
    pub fn run(&mut self) {
        while self.appender.turn(&*self.script) == Turn::Settled {}
    }

    pub fn append(&mut self, frames: impl IntoIterator<Item = Frame>) -> Outcome {
        frames.into_iter().for_each(|frame| self.script.push(frame));
        let before = self.script.outcomes.lock().len();
        self.run();
        let outcomes = self.script.outcomes.lock();
        let mut all = Vec::new();
        for outcome in &outcomes[before..] {
            all.extend(outcome.clone()?);
        }
        Ok(all)
    }

    pub fn seal(&self) {
        while self.store.inner.seal_step() {}
        while self.store.inner.shrink_step() {}
    }

    pub fn prepare(&self) {
        let mut zeros = Blocks::new(crate::prepare::CHUNK_BYTES as usize);
        while self.store.inner.pool.step(&mut zeros) != Step::Idle {}
    }

    /// Ends the process in good order.
    pub fn close(mut self) {
        self.run();
        self.seal();
        self.appender.close();
    }

    /// Everything a reader can find of a stream, by spans, entries and frames.
    pub fn read_all(&self, number: u64) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let mut extents: Vec<_> =
            self.store.inner.extents.read().values().map(|e| (e.origin.order, e.id)).collect();
        extents.sort_unstable();
        let mut all = Vec::new();
        for (_, extent) in extents {
            let entries = match self.store.entries(extent, stream(number)) {
                Ok(entries) => entries,
                Err(StoreError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            let bodies = self.store.read_range(&entries, stream(number))?;
            assert_eq!(bodies.len(), entries.len());
            all.extend(entries.iter().map(|entry| entry.base_offset).zip(bodies));
        }
        Ok(all)
    }
}
