//! What happened in a run, in order: lines for people, and one number that two runs share only
//! when every step, every answer and every byte that passed the disk was the same.

use parking_lot::Mutex;
use std::sync::Arc;
use testkit::disk::{Call, Watch};

/// Lines kept at most; a run has a few hundred.
const LINES_MAX: usize = 100_000;

#[derive(Debug, Default)]
struct Told {
    lines: Vec<String>,
    digest: u64,
    calls: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<Told>>);

impl Trace {
    pub fn line(&self, line: String) {
        let mut told = self.0.lock();
        told.mix(line.as_bytes());
        if told.lines.len() < LINES_MAX {
            told.lines.push(line);
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone()
    }

    pub fn digest(&self) -> u64 {
        self.0.lock().digest
    }

    /// Calls of the disk so far.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }
}

impl Told {
    fn mix(&mut self, bytes: &[u8]) {
        let checksum = u64::from(crc_fast::crc32_iscsi(bytes));
        self.mix_number(checksum << 32 | bytes.len() as u64);
    }

    /// FNV-1a over whole words: enough to tell two runs apart.
    fn mix_number(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
}

impl Watch for Trace {
    fn called(&self, call: &Call<'_>) {
        let mut told = self.0.lock();
        told.calls += 1;
        told.mix_number(call.operation as u64);
        told.mix_number(call.at);
        if !call.bytes.is_empty() {
            told.mix(call.bytes);
        }
    }
}
