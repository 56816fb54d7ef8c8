//! What waits for the device: the queue of partitions that have drafts, the bound on waiting
//! bytes, and whether the device takes anything at all.

use super::draft::Flight;
use super::partition::Partition;
use crate::LogError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use storage::Arrivals;

pub struct Intake {
    pending_bytes: AtomicUsize,
    pending_bytes_max: usize,
    /// Appends that have joined a draft since the beginning.
    appends: AtomicU64,
    /// The writer is told when so many have.
    expected: AtomicU64,
    ready: Mutex<VecDeque<Arc<Partition>>>,
    /// Finished batches for the next group, ahead of everything in `ready`.
    pub carried: Mutex<VecDeque<Flight>>,
    /// The last group, in its order.
    pub in_flight: Mutex<Vec<Flight>>,
    /// The device had no space the last time.
    is_full: AtomicBool,
    /// What was missing then is room for another extent.
    lacks_extent: AtomicBool,
    /// Somebody wants it tried again all the same.
    is_probed: AtomicBool,
    failed: Mutex<Option<String>>,
    has_failed: AtomicBool,
}

impl Intake {
    pub fn new(pending_bytes_max: usize) -> Intake {
        Intake {
            pending_bytes: AtomicUsize::new(0),
            pending_bytes_max,
            appends: AtomicU64::new(0),
            expected: AtomicU64::new(u64::MAX),
            ready: Mutex::default(),
            carried: Mutex::default(),
            in_flight: Mutex::default(),
            is_full: AtomicBool::new(false),
            lacks_extent: AtomicBool::new(false),
            is_probed: AtomicBool::new(false),
            failed: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Counts bytes that are about to wait, or says why they may not. One append is always let in
    /// when nothing waits.
    pub fn admit(&self, bytes: usize) -> Result<(), LogError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(LogError::Failed(self.failure().unwrap_or_default()));
        }
        let before = self.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before > 0 && before.saturating_add(bytes) > self.pending_bytes_max {
            self.discharge(bytes);
            return Err(LogError::Busy);
        }
        Ok(())
    }

    pub fn discharge(&self, bytes: usize) {
        self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Counts an append that waits for the writer from now on; answers whether the writer waits for
    /// no more than this one.
    pub fn arrive(&self) -> bool {
        let appends = self.appends.fetch_add(1, Ordering::AcqRel) + 1;
        appends == self.expected.load(Ordering::Acquire)
    }

    pub fn arrivals(&self) -> Arrivals {
        Arrivals { appends: self.appends.load(Ordering::Acquire), bytes: self.pending_bytes() }
    }

    pub fn expect(&self, appends: u64) {
        self.expected.store(appends, Ordering::Release);
    }

    /// The partition has drafts; it must not be in the queue already (`State::is_queued`).
    pub fn enqueue(&self, partition: Arc<Partition>) {
        self.ready.lock().push_back(partition);
    }

    pub fn next_ready(&self) -> Option<Arc<Partition>> {
        self.ready.lock().pop_front()
    }

    /// Lets the next group be tried although the device was full.
    pub fn probe(&self) {
        if self.is_full() {
            self.is_probed.store(true, Ordering::Release);
        }
    }

    /// Whether a group may be made now. When the device is full, publishers who wait are still
    /// served, since they want an answer; what is only carried waits for a probe.
    pub fn may_gather(&self) -> bool {
        !self.is_full()
            || self.is_probed.swap(false, Ordering::AcqRel)
            || !self.ready.lock().is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    pub fn set_full(&self, is_full: bool) {
        // Called with every commit: the common case only reads.
        if self.is_full() != is_full {
            self.is_full.store(is_full, Ordering::Release);
        }
    }

    pub fn lacks_extent(&self) -> bool {
        self.lacks_extent.load(Ordering::Acquire)
    }

    pub fn set_lacks_extent(&self, lacks_extent: bool) {
        self.lacks_extent.store(lacks_extent, Ordering::Release);
    }

    pub fn failure(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    pub fn fail(&self, reason: String) {
        self.failed.lock().get_or_insert(reason);
        self.has_failed.store(true, Ordering::Release);
    }
}
