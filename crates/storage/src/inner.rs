//! What the writer, the background threads and the readers share. Each field guards itself; no two
//! locks are held at once, except that knowledge of one extent is taken while nothing else is, and
//! that the lock of one extent's file is taken before any other.

use crate::device::Device;
use crate::extent::{Extent, Knowledge, Phase};
use crate::pin::Pins;
use crate::pool::Pool;
use crate::read::Footers;
use crate::rewrite::Leftovers;
use crate::seal::{self, Report, SealJob};
use crate::vault::Vault;
use crate::{ExtentId, Options, Span, Stats, World};
use parking_lot::{Condvar, Mutex, RwLock};
use port::metric;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};
use stdx::disk::Lock;

/// The largest frame, whatever the extent's size: the largest append with all its framing.
pub const FRAME_BYTES_MAX: u64 = 25 << 20;
/// A frame takes at most this part of an extent.
const FRAME_SHARE: u64 = 2;

const _: () = assert!(
    FRAME_BYTES_MAX
        > types::batch::BATCH_BYTES_MAX as u64
            + 8 * types::limits::RECORDS_PER_APPEND_MAX as u64
            + 4096
);
/// Full extents that wait for their footer. One more, and the writer lends a hand.
const SEAL_BACKLOG_MAX: usize = 4;

/// Files are cut to their content only this long after opening: a start should not wait for it.
const SHRINK_AFTER: Duration = Duration::from_secs(2);
/// More than this many are cut while opening, so that even a process that never lives that long
/// does not fill the disk.
const SHRINK_BACKLOG_MAX: usize = 8;

pub struct Inner {
    pub world: World,
    pub options: Options,
    pub device: Arc<Device>,
    pub pool: Pool,
    pub extents: RwLock<BTreeMap<ExtentId, Arc<Extent>>>,
    pub footers: Footers,
    pub vault: Vault,
    pub counters: Counters,
    pub pins: Pins,
    pub bell: Bell,
    pub leftovers: Mutex<Leftovers>,
    sealed: Mutex<Vec<Span>>,
    jobs: Mutex<Jobs>,
    opened_at: Duration,
    jobs_changed: Condvar,
    failed: OnceLock<String>,
    /// Kept until the last user of the store is gone.
    _lock: Box<dyn Lock>,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<SealJob>,
    /// Sealed extents whose files are to be cut to their content.
    shrinking: VecDeque<Arc<Extent>>,
    is_stopping: bool,
}

#[derive(Default)]
pub struct Counters {
    commits: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
    pub free_bytes: AtomicU64,
    /// The last append was refused for want of space.
    pub is_full: AtomicBool,
}

impl Counters {
    pub fn committed(&self, frames: u64, bytes: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Wakes the writer. Ringing costs one atomic operation while the writer is busy.
#[derive(Default)]
pub struct Bell {
    is_rung: AtomicBool,
    is_stopping: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Bell {
    pub fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.ring();
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// The calling thread is the one to wake; false when another is already.
    pub fn listen(&self) -> bool {
        self.writer.set(std::thread::current()).is_ok()
    }

    /// Forgets rings so far: what they announced is gathered next.
    pub fn clear(&self) {
        self.is_rung.swap(false, Ordering::AcqRel);
    }

    /// Waits until there is enough, whatever rings meanwhile, but for so long at most. What rang is
    /// gathered next.
    pub fn linger(&self, longest: Duration, is_enough: impl Fn() -> bool) {
        self.is_rung.store(true, Ordering::Release);
        let began = Instant::now();
        while !is_enough() && !self.is_stopping() {
            let Some(left) = longest.checked_sub(began.elapsed()) else { break };
            std::thread::park_timeout(left);
        }
        self.clear();
    }

    /// Lets who lingers look again.
    pub fn hurry(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    pub fn wait(&self) {
        while !self.is_rung.load(Ordering::Acquire) {
            std::thread::park();
        }
    }
}

impl Inner {
    pub fn new(
        world: World,
        options: Options,
        device: Arc<Device>,
        pool: Pool,
        lock: Box<dyn Lock>,
    ) -> Inner {
        let inner = Inner {
            footers: Footers::new(options.footer_cache_bytes),
            opened_at: world.clock.monotonic(),
            vault: Vault::new(world.keys.clone()),
            world,
            options,
            device,
            pool,
            extents: RwLock::default(),
            counters: Counters::default(),
            pins: Pins::default(),
            bell: Bell::default(),
            leftovers: Mutex::default(),
            sealed: Mutex::default(),
            jobs: Mutex::default(),
            jobs_changed: Condvar::new(),
            failed: OnceLock::new(),
            _lock: lock,
        };
        inner.look_at_space();
        inner
    }

    /// Asks the file system how much is free, which can take as long as any other call of it.
    pub fn look_at_space(&self) {
        // Not knowing, what was known last is the better answer.
        if let Ok(space) = self.device.space() {
            self.counters.free_bytes.store(space.free_bytes, Ordering::Relaxed);
        }
    }

    pub fn frame_bytes_max(&self) -> u64 {
        FRAME_BYTES_MAX.min(u64::from(self.options.extent_bytes) / FRAME_SHARE)
    }

    /// From now on nothing is appended. The first reason stays.
    pub fn fail(&self, reason: String) {
        if self.failed.set(reason.clone()).is_ok() {
            metrics::gauge!(metric::LOG_FAILED).set(1.0);
            tracing::error!(reason, "the log failed and takes no more appends; reads go on");
        }
    }

    pub fn failed(&self) -> Option<String> {
        self.failed.get().cloned()
    }

    pub fn current(&self, id: ExtentId) -> Option<Arc<Extent>> {
        self.extents.read().get(&id).cloned()
    }

    pub fn enqueue_seal(&self, job: SealJob) {
        let mut jobs = self.jobs.lock();
        jobs.waiting.push_back(job);
        let is_behind = jobs.waiting.len() > SEAL_BACKLOG_MAX;
        drop(jobs);
        self.jobs_changed.notify_all();
        if is_behind {
            self.seal_step();
        }
    }

    /// Seals one extent; false when none waits.
    pub fn seal_step(&self) -> bool {
        let Some(job) = self.jobs.lock().waiting.pop_front() else { return false };
        let spans = seal::seal(&self.device, &job);
        if job.report == Report::Sealed {
            self.sealed.lock().extend(spans);
        }
        self.enqueue_shrink(&job.extent);
        self.set_gauges();
        true
    }

    pub fn enqueue_shrink(&self, extent: &Arc<Extent>) {
        if seal::shrunk_len(extent).is_some() {
            self.jobs.lock().shrinking.push_back(extent.clone());
        }
    }

    /// Cuts one file to its content; false when none waits.
    pub fn shrink_step(&self) -> bool {
        let Some(extent) = self.jobs.lock().shrinking.pop_front() else { return false };
        let _file = extent.file_lock.lock();
        // A released one's file is the pool's now; one released from here on waits.
        if self.current(extent.id).is_some_and(|now| now.seal == extent.seal)
            && let Err(error) = seal::shrink(&self.device, &extent)
        {
            tracing::warn!(extent = %extent.id, %error, "a file was not cut to its content");
        }
        true
    }

    /// While opening: cuts what has gathered over many short lives.
    pub fn shrink_backlog(&self) {
        while self.jobs.lock().shrinking.len() > SHRINK_BACKLOG_MAX && self.shrink_step() {}
    }

    /// The sealing thread: ends once told to stop and nothing waits.
    pub fn run_sealing(&self) {
        loop {
            while self.seal_step() {}
            let mut jobs = self.jobs.lock();
            if !jobs.waiting.is_empty() {
                continue;
            }
            if jobs.is_stopping {
                return;
            }
            if jobs.shrinking.is_empty() {
                self.jobs_changed.wait(&mut jobs);
                continue;
            }
            let open_for = self.world.clock.monotonic().saturating_sub(self.opened_at);
            match SHRINK_AFTER.saturating_sub(open_for) {
                Duration::ZERO => {
                    drop(jobs);
                    self.shrink_step();
                }
                rest => drop(self.jobs_changed.wait_for(&mut jobs, rest)),
            }
        }
    }

    pub fn stop_sealing(&self) {
        self.jobs.lock().is_stopping = true;
        self.jobs_changed.notify_all();
    }

    pub fn take_sealed(&self) -> Vec<Span> {
        std::mem::take(&mut *self.sealed.lock())
    }

    pub fn stats(&self) -> Stats {
        let (mut extents_sealed, mut stored_bytes) = (0, 0);
        for extent in self.extents.read().values() {
            let is_open =
                matches!(&*extent.knowledge.read(), Knowledge::Live { phase: Phase::Open, .. });
            extents_sealed += u32::from(!is_open);
            stored_bytes += extent.len.load(Ordering::Relaxed);
        }
        // Somebody waits for space then, and an old answer could keep him waiting for ever.
        if self.counters.is_full.load(Ordering::Relaxed) {
            self.look_at_space();
        }
        let commits = self.counters.commits.load(Ordering::Relaxed);
        Stats {
            commits,
            // One per commit, in both ways of writing.
            flushes: commits,
            frames: self.counters.frames.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
            extents_sealed,
            extents_free: self.pool.spares() as u32,
            stored_bytes,
            free_bytes: self.counters.free_bytes.load(Ordering::Relaxed),
            failed: self.failed(),
        }
    }

    pub fn set_gauges(&self) {
        self.look_at_space();
        let stats = self.stats();
        metrics::gauge!(metric::LOG_BYTES).set(stats.stored_bytes as f64);
        if let Ok(space) = self.device.space() {
            metrics::gauge!(metric::DISK_FREE_BYTES).set(space.free_bytes as f64);
            let share = space.free_bytes as f64 / space.total_bytes.max(1) as f64;
            metrics::gauge!(metric::DISK_FREE_RATIO).set(share);
        }
        let sealed = f64::from(stats.extents_sealed);
        metrics::gauge!(metric::LOG_EXTENTS, "state" => "sealed").set(sealed);
        let free = f64::from(stats.extents_free);
        metrics::gauge!(metric::LOG_EXTENTS, "state" => "free").set(free);
        metrics::gauge!(metric::LOG_FAILED).set(f64::from(u8::from(stats.failed.is_some())));
    }
}
