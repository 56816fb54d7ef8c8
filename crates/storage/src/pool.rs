//! The extents ahead of need: free files, already written once, and the background work that
//! makes them so. It must not know what is in an extent that is in use.

use crate::device::{Blocks, Device, WriteError, is_full};
use crate::layout::header::{Header, Use};
use crate::layout::{BLOCK_BYTES, Seal};
use crate::prepare::{CHUNK_BYTES, Preparation};
use crate::{ExtentId, Options, World};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stdx::File;

/// While the log is hardly used, only this much is written ahead: a small installation should not
/// pay for extents it will not need.
const AHEAD_BYTES_MAX: u64 = 32 << 20;
/// With less than this ahead the background work does not hold itself back.
const AHEAD_BYTES_MIN: u64 = 16 << 20;
/// The log counts as used once this part of the open extent is.
const USED_SHARE: u64 = 16;

/// A file for the next extent.
pub struct Spare {
    pub id: ExtentId,
    pub file: Arc<dyn File>,
    pub preparation: Arc<Preparation>,
    pub len: u64,
}

/// What the background needs to know of the extent being written.
#[derive(Clone)]
pub struct OpenView {
    pub id: ExtentId,
    pub preparation: Arc<Preparation>,
    pub position: Arc<AtomicU64>,
    pub len: u64,
}

/// What one step of the background work did.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Idle,
    Wrote {
        bytes: u64,
        is_urgent: bool,
    },
    Created,
    /// The open extent's file failed, and with it the log.
    OpenFailed(String),
}

pub struct Pool {
    device: Arc<Device>,
    world: World,
    options: Options,
    state: Mutex<State>,
    /// Held while a file is made, so that the writer waits for one under way.
    creating: Mutex<()>,
    changed: Condvar,
}

struct State {
    spares: VecDeque<Spare>,
    id_next: u32,
    generation_next: u64,
    open: Option<OpenView>,
    is_stopping: bool,
}

enum Task {
    Zero { id: ExtentId, preparation: Arc<Preparation>, is_urgent: bool },
    Create,
}

impl Pool {
    pub fn new(device: Arc<Device>, world: World, options: Options) -> Pool {
        let state = State {
            spares: VecDeque::new(),
            id_next: 1,
            generation_next: 1,
            open: None,
            is_stopping: false,
        };
        let (creating, changed) = (Mutex::new(()), Condvar::new());
        Pool { device, world, options, state: Mutex::new(state), creating, changed }
    }

    /// A file found in the directory: later numbers and generations are higher.
    pub fn saw(&self, id: ExtentId, generation: u64) {
        let mut state = self.state.lock();
        state.id_next = state.id_next.max(id.0.saturating_add(1));
        state.generation_next = state.generation_next.max(generation.saturating_add(1));
    }

    pub fn spares(&self) -> usize {
        self.state.lock().spares.len()
    }

    /// Whether a released file of that length should come back rather than be removed. While
    /// less is free than must be, its space serves appends better than the file.
    pub fn wants(&self, len: u64) -> bool {
        let is_right = len == u64::from(self.options.extent_bytes);
        is_right && self.spares() <= self.options.pool_extents as usize && !self.lacks_space()
    }

    fn lacks_space(&self) -> bool {
        let free_bytes_min = self.options.free_bytes_min;
        // Not knowing is no reason to give a written file away.
        self.device.space().is_ok_and(|space| space.free_bytes < free_bytes_min)
    }

    pub fn put(&self, spare: Spare) {
        self.state.lock().spares.push_back(spare);
        self.changed.notify_all();
    }

    /// Something changed that may give the background work.
    pub fn nudge(&self) {
        self.changed.notify_all();
    }

    /// Takes the file written furthest, or makes one, and stamps it with a new generation.
    /// `StorageFull` when there is none and no space for one.
    pub fn activate(&self) -> io::Result<(Spare, Seal)> {
        let spare = match self.take() {
            Some(spare) => spare,
            None => {
                let _creating = self.creating.lock();
                match self.take() {
                    Some(spare) => spare,
                    None => self.create()?,
                }
            }
        };
        let seal = self.next_seal();
        spare.preparation.claim(BLOCK_BYTES as u64);
        let prepared_bytes = spare.preparation.until();
        self.write_header(&spare, Use::Taken, seal, prepared_bytes)?;
        Ok((spare, seal))
    }

    /// A number that no file has had.
    pub fn next_id(&self) -> ExtentId {
        let mut state = self.state.lock();
        state.id_next = state.id_next.saturating_add(1);
        ExtentId(state.id_next - 1)
    }

    /// The generation and the salt of an extent's next use.
    pub fn next_seal(&self) -> Seal {
        let generation = {
            let mut state = self.state.lock();
            state.generation_next += 1;
            state.generation_next - 1
        };
        Seal { generation, salt: self.world.rng.next_u64() }
    }

    pub fn set_open(&self, view: Option<OpenView>) {
        self.state.lock().open = view;
        self.changed.notify_all();
    }

    /// Marks a released extent's file as free, durably.
    pub fn write_free(&self, spare: &Spare, seal: Seal) -> io::Result<()> {
        self.write_header(spare, Use::Free, seal, spare.preparation.until())
    }

    fn write_header(
        &self,
        spare: &Spare,
        use_now: Use,
        seal: Seal,
        prepared_bytes: u64,
    ) -> io::Result<()> {
        let created = self.world.clock.now_ms();
        let mut block = [0; BLOCK_BYTES];
        Header { id: spare.id.0, use_now, seal, prepared_bytes, created }.encode(&mut block);
        self.device.write_padded(&*spare.file, &block, 0)
    }

    fn take(&self) -> Option<Spare> {
        let mut state = self.state.lock();
        let best = (0..state.spares.len()).max_by_key(|&index| {
            let spare = state.spares.get(index);
            spare.map(|spare| (spare.preparation.until(), std::cmp::Reverse(index)))
        })?;
        state.spares.remove(best)
    }

    fn has_space_for_another(&self) -> io::Result<()> {
        let free_bytes = self.device.space()?.free_bytes;
        let needed = self.options.free_bytes_min + u64::from(self.options.extent_bytes);
        if free_bytes < needed {
            let text = format!("{free_bytes} bytes free, {needed} needed for the next extent");
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        Ok(())
    }

    /// Makes a file under a name that does not count, and renames it when it is whole.
    fn create(&self) -> io::Result<Spare> {
        self.has_space_for_another()?;
        let id = self.next_id();
        let outcome = self.create_as(id);
        if outcome.is_err() {
            // What is left under that name is removed at the next start.
            drop(self.device.remove_unfinished(id));
        }
        outcome
    }

    fn create_as(&self, id: ExtentId) -> io::Result<Spare> {
        let len = u64::from(self.options.extent_bytes);
        let file = self.device.open_writing(&self.device.path_unfinished(id))?;
        file.allocate(len)?;
        let preparation = Arc::new(Preparation::new(BLOCK_BYTES as u64, len));
        let spare = Spare { id, file, preparation, len };
        self.write_header(&spare, Use::Free, Seal { generation: 0, salt: 0 }, 0)?;
        spare.file.flush()?;
        self.device.rename_finished(id)?;
        Ok(spare)
    }

    /// Does one piece of the background work, if there is any.
    pub fn step(&self, zeros: &mut Blocks) -> Step {
        match self.task() {
            None => Step::Idle,
            Some(Task::Create) => self.create_spare(),
            Some(Task::Zero { id, preparation, is_urgent }) => {
                let Some((from, end)) = preparation.begin() else { return Step::Idle };
                let bytes = end - from;
                let piece = zeros.first_mut(bytes as usize);
                let (until, step) = match self.write_ahead(id, piece, from) {
                    Ok(()) => (end, Step::Wrote { bytes, is_urgent }),
                    // The writer has not come here yet, and may find space when it does.
                    Err(WriteError::Full(_)) => (from, Step::Idle),
                    // Nobody tries this file again.
                    Err(WriteError::Failed(error)) => (u64::MAX, self.drop_failed(id, error)),
                };
                preparation.finish(until);
                step
            }
        }
    }

    /// Through a descriptor of its own: the kernel reports a page that could not be written back
    /// once per descriptor, and on the writer's it must be the writer who hears of it.
    fn write_ahead(&self, id: ExtentId, zeros: &[u8], at: u64) -> Result<(), WriteError> {
        let file = self.device.open_existing(id).map_err(WriteError::Failed)?;
        self.device.write(&*file, zeros, at)
    }

    fn task(&self) -> Option<Task> {
        let state = self.state.lock();
        let open = state.open.as_ref()?;
        let position = open.position.load(Ordering::Relaxed);
        let ahead = open.preparation.until().saturating_sub(position);
        let is_used = position >= open.len / USED_SHARE;
        if !open.preparation.is_done() && (is_used || ahead < AHEAD_BYTES_MAX) {
            let (id, preparation) = (open.id, open.preparation.clone());
            return Some(Task::Zero { id, preparation, is_urgent: ahead < AHEAD_BYTES_MIN });
        }
        if !is_used {
            return None;
        }
        if let Some(spare) = state.spares.iter().find(|spare| !spare.preparation.is_done()) {
            let (id, preparation) = (spare.id, spare.preparation.clone());
            return Some(Task::Zero { id, preparation, is_urgent: false });
        }
        let wanted = self.options.pool_extents as usize;
        (state.spares.len() < wanted).then_some(Task::Create)
    }

    fn create_spare(&self) -> Step {
        let _creating = self.creating.lock();
        match self.create() {
            Ok(spare) => {
                self.put(spare);
                Step::Created
            }
            Err(error) => {
                if !is_full(&error) {
                    tracing::warn!(%error, "the next extent could not be made ahead of need");
                }
                Step::Idle
            }
        }
    }

    /// Decides by what the file is now: a free one may have been taken while it was written to.
    fn drop_failed(&self, id: ExtentId, error: io::Error) -> Step {
        let mut state = self.state.lock();
        let before = state.spares.len();
        state.spares.retain(|spare| spare.id != id);
        if state.spares.len() == before {
            return Step::OpenFailed(error.to_string());
        }
        tracing::error!(extent = %id, %error, "a free extent failed and is not used any more");
        Step::Idle
    }

    /// The background thread: works in pieces until told to stop, no faster than allowed unless
    /// the writer is close behind. `idle` is called before each wait for work, which is short.
    pub fn run(&self, failed: &dyn Fn(String), idle: &dyn Fn()) {
        let mut zeros = Blocks::new(CHUNK_BYTES as usize);
        while !self.state.lock().is_stopping {
            match self.step(&mut zeros) {
                Step::Idle => {
                    idle();
                    self.pause(None);
                }
                Step::Wrote { bytes, is_urgent: false } => {
                    let rate = self.options.prepare_bytes_per_second.max(1);
                    self.pause(Some(Duration::from_secs_f64(bytes as f64 / rate as f64)));
                }
                Step::Wrote { .. } | Step::Created => {}
                Step::OpenFailed(reason) => failed(reason),
            }
        }
    }

    pub fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_all();
    }

    fn pause(&self, at_most: Option<Duration>) {
        let mut state = self.state.lock();
        if state.is_stopping {
            return;
        }
        match at_most {
            None => self.wait_for_work(&mut state),
            Some(time) => drop(self.changed.wait_for(&mut state, time)),
        }
    }

    /// The writer nudges without the lock, so a nudge can be missed; the bound repairs that.
    fn wait_for_work(&self, state: &mut MutexGuard<'_, State>) {
        const MISSED_NUDGE: Duration = Duration::from_secs(1);
        self.changed.wait_for(state, MISSED_NUDGE);
    }
}
