//! How far a backup is, seen from outside, and the two ways to hold it: stop it, or slow it down.

use crate::BackupError;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared by the one who copies and those who watch.
#[derive(Debug)]
pub struct Progress {
    expected_bytes: AtomicU64,
    copied_bytes: AtomicU64,
    /// Copied at most in a second; 0 for no limit.
    bytes_per_second_max: u64,
    is_cancelled: Mutex<bool>,
    cancelled: Condvar,
}

impl Progress {
    pub fn new(bytes_per_second_max: Option<u64>) -> Progress {
        Progress {
            expected_bytes: AtomicU64::new(0),
            copied_bytes: AtomicU64::new(0),
            bytes_per_second_max: bytes_per_second_max.unwrap_or(0),
            is_cancelled: Mutex::new(false),
            cancelled: Condvar::new(),
        }
    }

    pub fn expected_bytes(&self) -> u64 {
        self.expected_bytes.load(Ordering::Relaxed)
    }

    pub fn copied_bytes(&self) -> u64 {
        self.copied_bytes.load(Ordering::Relaxed)
    }

    pub fn cancel(&self) {
        *self.is_cancelled.lock() = true;
        self.cancelled.notify_all();
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.expected_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<(), BackupError> {
        if *self.is_cancelled.lock() { Err(BackupError::Cancelled) } else { Ok(()) }
    }

    /// Counts, and waits as long as the budget asks, unless it is cancelled meanwhile.
    pub(crate) fn copied(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.bytes_per_second_max > 0 {
            let seconds = bytes as f64 / self.bytes_per_second_max as f64;
            let mut is_cancelled = self.is_cancelled.lock();
            if !*is_cancelled {
                self.cancelled.wait_for(&mut is_cancelled, Duration::from_secs_f64(seconds));
            }
        }
    }
}
