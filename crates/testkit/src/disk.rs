//! A disk in memory that fails like a real one: what was not flushed may be lost sector by sector
//! at a crash, names are durable only after `flush_dir`, the n-th call of a kind fails, a flush
//! that failed has dropped what it should have kept, space runs out, bits flip. Everything random
//! comes from the seed. It must not know who uses it.
//!
//! A crash ends the process: every handle and lock of before is dead, and every call fails until
//! `restart`, which is the next process looking at what survived.

mod content;
mod fault;
mod watch;

use content::Content;
pub use fault::{Failure, Fault, Operation};
use fault::{Faults, Verdict};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stdx::disk::{Lock, Open, Space};
use stdx::{Disk, File, Rng};
pub use watch::{Call, Watch};

use crate::rng::SeededRng;

/// The unit that is either written whole or not at all.
pub const SECTOR_BYTES: usize = 512;

pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    rng: SeededRng,
    faults: Faults,
    inodes: BTreeMap<u64, Content>,
    inode_next: u64,
    names: BTreeMap<PathBuf, u64>,
    /// Names as they survive a crash, and what happened to them since the last `flush_dir`.
    names_durable: BTreeMap<PathBuf, u64>,
    names_pending: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    /// Rises at each restart; handles of an older process are dead.
    epoch: u64,
    is_crashed: bool,
    capacity_bytes: u64,
    direct_align: Option<usize>,
    bytes_written: u64,
    is_lying: bool,
    watch: Option<Arc<dyn Watch>>,
}

#[derive(Clone)]
enum NameChange {
    Set(PathBuf, u64),
    Remove(PathBuf),
}

impl SimDisk {
    /// An empty disk of 1 TiB that offers direct writes of 4 KiB alignment.
    pub fn shared(seed: u64) -> Arc<SimDisk> {
        let state = State {
            rng: SeededRng::new(seed),
            faults: Faults::default(),
            inodes: BTreeMap::new(),
            inode_next: 1,
            names: BTreeMap::new(),
            names_durable: BTreeMap::new(),
            names_pending: Vec::new(),
            dirs: BTreeSet::new(),
            locks: BTreeSet::new(),
            epoch: 0,
            is_crashed: false,
            capacity_bytes: 1 << 40,
            direct_align: Some(4096),
            bytes_written: 0,
            is_lying: false,
            watch: None,
        };
        Arc::new(SimDisk { state: Arc::new(Mutex::new(state)) })
    }

    /// `None`: the disk cannot write directly, so that users fall back to writing and flushing.
    pub fn set_direct_align(&self, align: Option<usize>) {
        self.state.lock().direct_align = align;
    }

    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// The fault strikes once, at the `nth` call of its kind from now (1 is the next).
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.add(fault);
    }

    /// How many calls that change the disk were made so far.
    pub fn changes(&self) -> u64 {
        self.state.lock().faults.changes
    }

    /// Loses power during the change with this number (the first is 1): a write in flight is torn.
    pub fn crash_at(&self, change: u64) {
        self.state.lock().faults.crash_at = Some(change);
    }

    pub fn crash(&self) {
        self.state.lock().crash();
    }

    pub fn is_crashed(&self) -> bool {
        self.state.lock().is_crashed
    }

    /// The next process: crashes first if nothing else has, forgets faults, handles and locks.
    pub fn restart(&self) {
        let mut state = self.state.lock();
        state.crash();
        state.is_crashed = false;
        state.epoch += 1;
        state.faults.clear();
        state.locks.clear();
    }

    /// The process is killed and the machine goes on: nothing written is lost, but every handle
    /// and lock of before is dead.
    pub fn kill_process(&self) {
        let mut state = self.state.lock();
        state.is_crashed = false;
        state.epoch += 1;
        state.faults.clear();
        state.locks.clear();
    }

    /// From now on every call fails; nothing is lost. Between this and `kill_process` the old
    /// process can be put away without its last words reaching the disk.
    pub fn halt(&self) {
        self.state.lock().is_crashed = true;
    }

    /// What is random from here on comes from this seed.
    pub fn reseed(&self, seed: u64) {
        self.state.lock().rng = SeededRng::new(seed);
    }

    /// From now on flushes and direct writes say that they are done and only reach the cache, as a
    /// log would have it that does not wait for them.
    pub fn lie_about_flushes(&self) {
        self.state.lock().is_lying = true;
    }

    /// Told of every call from now on.
    pub fn watch(&self, watch: Arc<dyn Watch>) {
        self.state.lock().watch = Some(watch);
    }

    /// The faults that struck since this was last asked, oldest first.
    pub fn take_struck(&self) -> Vec<(Operation, Failure)> {
        std::mem::take(&mut self.state.lock().faults.struck)
    }

    /// Forgets the faults that still wait, and the crash that is due.
    pub fn calm(&self) {
        self.state.lock().faults.clear();
    }

    /// All files there are, in the order of their names, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let len = |inode: &u64| state.inodes.get(inode).map_or(0, Content::len);
        state.names.iter().map(|(path, inode)| (path.clone(), len(inode))).collect()
    }

    /// A disk of its own with the same files, as they are now; nobody watches it.
    pub fn fork(&self, seed: u64) -> Arc<SimDisk> {
        let state = self.state.lock();
        let state = State {
            rng: SeededRng::new(seed),
            faults: Faults::default(),
            inodes: state.inodes.clone(),
            inode_next: state.inode_next,
            names: state.names.clone(),
            names_durable: state.names_durable.clone(),
            names_pending: state.names_pending.clone(),
            dirs: state.dirs.clone(),
            locks: BTreeSet::new(),
            watch: None,
            ..*state
        };
        Arc::new(SimDisk { state: Arc::new(Mutex::new(state)) })
    }

    /// Space that is taken.
    pub fn allocated(&self) -> u64 {
        self.state.lock().allocated()
    }

    /// Silent damage: inverts the bits of `mask` in one byte, on the medium and in the cache.
    /// False when there is no such byte.
    pub fn flip_bits(&self, path: &Path, at: u64, mask: u8) -> bool {
        let mut state = self.state.lock();
        let Some(&inode) = state.names.get(path) else { return false };
        state.inodes.get_mut(&inode).is_some_and(|content| content.flip(at, mask))
    }

    /// The file as a reader sees it now.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let content = state.inodes.get(state.names.get(path)?)?;
        let mut bytes = vec![0; usize::try_from(content.len()).ok()?];
        content.read(&mut bytes, 0);
        Some(bytes)
    }

    /// Bytes given to `write_at` so far, whether they survived or not.
    pub fn bytes_written(&self) -> u64 {
        self.state.lock().bytes_written
    }
}

impl State {
    fn crash(&mut self) {
        if self.is_crashed {
            return;
        }
        self.is_crashed = true;
        // Metadata is journalled in order: some prefix of the changes survives.
        let kept = self.rng.below(self.names_pending.len() as u64 + 1) as usize;
        for change in self.names_pending.drain(..).take(kept) {
            change.apply(&mut self.names_durable);
        }
        self.names = self.names_durable.clone();
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
        let State { inodes, rng, .. } = self;
        inodes.values_mut().for_each(|content| content.crash(rng));
    }

    fn alive(&self, epoch: u64) -> io::Result<()> {
        if self.is_crashed || epoch != self.epoch {
            return Err(io::Error::other("the simulated machine has crashed"));
        }
        Ok(())
    }

    /// Asks the faults what happens to this call. A crash that is due happens before the call,
    /// except that a write tears.
    fn begin(&mut self, operation: Operation, epoch: u64) -> io::Result<Verdict> {
        self.alive(epoch)?;
        self.tell(operation, 0, &[]);
        match self.faults.judge(operation) {
            Verdict::Fail(error) => Err(error),
            Verdict::Crash if operation != Operation::Write => {
                self.crash();
                Err(io::Error::other("the simulated machine has crashed"))
            }
            verdict => Ok(verdict),
        }
    }

    fn tell(&self, operation: Operation, at: u64, bytes: &[u8]) {
        if let Some(watch) = &self.watch {
            watch.called(&Call { operation, at, bytes });
        }
    }

    fn allocated(&self) -> u64 {
        self.inodes.values().map(Content::allocated).sum()
    }

    fn reserve(&self, inode: u64, end: u64) -> io::Result<()> {
        let held = self.inodes.get(&inode).map_or(0, Content::allocated);
        let more = end.saturating_sub(held);
        if more > 0 && self.allocated().saturating_add(more) > self.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn rename_durably_later(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.names_pending.push(change);
    }

    fn forget_unnamed(&mut self) {
        let State { inodes, names, names_durable, names_pending, .. } = self;
        let is_pending = |inode: &u64| {
            names_pending.iter().any(|c| matches!(c, NameChange::Set(_, held) if held == inode))
        };
        let named: BTreeSet<u64> = names.values().chain(names_durable.values()).copied().collect();
        inodes.retain(|inode, _| named.contains(inode) || is_pending(inode));
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            NameChange::Set(path, inode) => {
                names.retain(|_, held| held != inode);
                names.insert(path.clone(), *inode);
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        let known = state.names.get(path).copied();
        let inode = match known {
            Some(inode) => {
                state.begin(Operation::Open, epoch)?;
                inode
            }
            None if how == Open::Read => {
                state.alive(epoch)?;
                return Err(io::ErrorKind::NotFound.into());
            }
            None => {
                state.begin(Operation::Create, epoch)?;
                let inode = state.inode_next;
                state.inode_next += 1;
                state.inodes.insert(inode, Content::default());
                state.rename_durably_later(NameChange::Set(path.to_owned(), inode));
                inode
            }
        };
        if how == Open::Direct && state.direct_align.is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let failed = state.inodes.get(&inode).map_or(0, Content::flushes_failed);
        let told = AtomicU64::new(failed);
        Ok(Arc::new(SimFile { state: self.state.clone(), inode, epoch, how, told }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        state.begin(Operation::List, epoch)?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name().map(PathBuf::from)).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        state.begin(Operation::MakeDir, epoch)?;
        state.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        state.begin(Operation::Remove, epoch)?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename_durably_later(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        state.begin(Operation::Rename, epoch)?;
        let Some(&inode) = state.names.get(from) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        state.rename_durably_later(NameChange::Set(to.to_owned(), inode));
        Ok(())
    }

    fn flush_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        state.begin(Operation::FlushDir, epoch)?;
        let _ = dir; // One journal: flushing any directory makes all names durable.
        let State { names_pending, names_durable, .. } = &mut *state;
        names_pending.drain(..).for_each(|change| change.apply(names_durable));
        state.forget_unnamed();
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        state.begin(Operation::Space, epoch)?;
        let total_bytes = state.capacity_bytes;
        Ok(Space { total_bytes, free_bytes: total_bytes.saturating_sub(state.allocated()) })
    }

    fn direct_align(&self, _dir: &Path) -> Option<usize> {
        self.state.lock().direct_align
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut state = self.state.lock();
        let epoch = state.epoch;
        state.begin(Operation::Lock, epoch)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held { state: self.state.clone(), path: path.to_owned(), epoch }))
    }
}

struct Held {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    epoch: u64,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.epoch == self.epoch {
            state.locks.remove(&self.path);
        }
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    inode: u64,
    epoch: u64,
    how: Open,
    /// How many failed flushes of the file this handle knows of, or is too young to be told of.
    told: AtomicU64,
}

impl SimFile {
    fn check_alignment(&self, align: Option<usize>, len: usize, at: u64) -> io::Result<()> {
        let align = align.unwrap_or(1);
        let is_aligned = len.is_multiple_of(align) && at.is_multiple_of(align as u64);
        if self.how == Open::Direct && !is_aligned {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::other("the simulated file is gone")
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let verdict = state.begin(Operation::Read, self.epoch)?;
        let content = state.inodes.get(&self.inode).ok_or_else(gone)?;
        let count = match verdict {
            Verdict::Stale => content.read_former(buffer, at),
            _ => content.read(buffer, at),
        };
        state.tell(Operation::Read, at, buffer.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn write_at(&self, buffer: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        self.check_alignment(state.direct_align, buffer.len(), at)?;
        if self.how == Open::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let verdict = state.begin(Operation::Write, self.epoch)?;
        state.reserve(self.inode, at + buffer.len() as u64)?;
        state.bytes_written += buffer.len() as u64;
        state.tell(Operation::Write, at, buffer);
        let State { inodes, rng, is_lying, .. } = &mut *state;
        let content = inodes.get_mut(&self.inode).ok_or_else(gone)?;
        match verdict {
            Verdict::Pass if self.how == Open::Direct && !*is_lying => {
                content.write_through(buffer, at);
            }
            Verdict::Pass => content.write(buffer, at),
            Verdict::Short(error) => {
                // The cache takes any number of bytes, the device itself whole sectors only.
                let part = rng.below(buffer.len() as u64) as usize;
                let unit = if self.how == Open::Direct { SECTOR_BYTES } else { 1 };
                content.write(&buffer[..part - part % unit], at);
                return Err(error);
            }
            Verdict::Crash | Verdict::Fail(_) | Verdict::Stale => {
                content.write(buffer, at);
                state.crash();
                return Err(io::Error::other("the simulated machine has crashed"));
            }
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let verdict = state.begin(Operation::Flush, self.epoch);
        let is_lying = state.is_lying;
        let content = state.inodes.get_mut(&self.inode).ok_or_else(gone)?;
        match verdict {
            // As on Linux, every other handle hears of it at its own next flush, once.
            Ok(_) if content.flushes_failed() > self.told.load(Ordering::Relaxed) => {
                self.told.store(content.flushes_failed(), Ordering::Relaxed);
                content.flush();
                return Err(io::Error::from_raw_os_error(5));
            }
            Ok(_) if is_lying => {}
            Ok(_) => content.flush(),
            // The pages are marked clean although they never reached the medium.
            Err(_) => {
                content.forget_pending();
                self.told.store(content.flushes_failed(), Ordering::Relaxed);
            }
        }
        verdict.map(|_| ())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.begin(Operation::Measure, self.epoch)?;
        state.inodes.get(&self.inode).map(Content::len).ok_or_else(gone)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin(Operation::Resize, self.epoch)?;
        state.inodes.get_mut(&self.inode).ok_or_else(gone)?.set_len(len);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin(Operation::Resize, self.epoch)?;
        state.reserve(self.inode, len)?;
        state.inodes.get_mut(&self.inode).ok_or_else(gone)?.allocate(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
