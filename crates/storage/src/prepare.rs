//! How far a file has been written at least once. Writing where the file system has only promised
//! space costs a journal commit per flush and halves the rate, so zeros go ahead of the writer;
//! this keeps the two from ever writing the same place.

use parking_lot::{Condvar, Mutex};

/// Zeros are written in pieces of this size: the longest the writer waits for one.
pub const CHUNK_BYTES: u64 = 1 << 20;

pub struct Preparation {
    len: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    until: u64,
    is_busy: bool,
}

impl Preparation {
    pub fn new(until: u64, len: u64) -> Preparation {
        let state = State { until: until.min(len), is_busy: false };
        Preparation { len, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub fn until(&self) -> u64 {
        self.state.lock().until
    }

    pub fn is_done(&self) -> bool {
        self.until() >= self.len
    }

    /// The caller is about to write below `end`: no zeros are written there from now on. Waits for
    /// a piece that is under way, at most `CHUNK_BYTES`.
    pub fn claim(&self, end: u64) {
        let mut state = self.state.lock();
        if end <= state.until {
            return;
        }
        while state.is_busy {
            self.changed.wait(&mut state);
        }
        state.until = state.until.max(end);
    }

    /// The next piece to fill with zeros, which `finish` ends; `None` when nothing is left.
    pub fn begin(&self) -> Option<(u64, u64)> {
        let mut state = self.state.lock();
        if state.is_busy || state.until >= self.len {
            return None;
        }
        state.is_busy = true;
        Some((state.until, (state.until + CHUNK_BYTES).min(self.len)))
    }

    pub fn finish(&self, end: u64) {
        let mut state = self.state.lock();
        state.until = state.until.max(end);
        state.is_busy = false;
        self.changed.notify_all();
    }
}
