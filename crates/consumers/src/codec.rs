//! What of a ledger is kept, and as which bytes: a version, then LEB128 numbers. Pending records
//! that are alike and follow each other are one run, so that a consumer which fetches and settles
//! in batches keeps a few bytes.
//!
//! ```text
//! version=1 generation committed next runs { gap count deliveries not_before_ms }*
//! ```

use types::consumer::PENDING_MAX;
use types::cursor::{read_varint, write_varint};
use types::{Offset, TimestampMs};

const VERSION: u8 = 1;
/// No state holds more; what does is damaged.
const KEPT_PENDING_MAX: u64 = 4 * PENDING_MAX as u64;

/// One partition of a consumer, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// Counts resets: deliveries of before one settle nothing after it.
    pub generation: u32,
    pub committed: Offset,
    pub next: Offset,
    pub(crate) runs: Vec<Run>,
}

/// Pending records that follow each other and are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub start: Offset,
    pub count: u64,
    pub deliveries: u32,
    /// On the wall clock; 0 is at once.
    pub not_before_ms: TimestampMs,
}

impl Run {
    pub fn offsets(&self) -> std::ops::Range<Offset> {
        self.start..self.start.saturating_add(self.count)
    }

    pub fn takes(&self, next: &Run) -> bool {
        self.offsets().end == next.start
            && self.deliveries == next.deliveries
            && self.not_before_ms == next.not_before_ms
    }
}

impl Kept {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write_varint(&mut out, u64::from(self.generation));
        write_varint(&mut out, self.committed);
        write_varint(&mut out, self.next);
        write_varint(&mut out, self.runs.len() as u64);
        let mut end = 0;
        for run in &self.runs {
            write_varint(&mut out, run.start - end);
            write_varint(&mut out, run.count);
            write_varint(&mut out, u64::from(run.deliveries));
            write_varint(&mut out, run.not_before_ms.max(0).unsigned_abs());
            end = run.offsets().end;
        }
        out
    }

    /// `None` when the bytes are not what `encode` writes.
    pub fn decode(bytes: &[u8]) -> Option<Kept> {
        let (&version, mut rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let rest = &mut rest;
        let generation = u32::try_from(read_varint(rest)?).ok()?;
        let (committed, next) = (read_varint(rest)?, read_varint(rest)?);
        let run_count = read_varint(rest)?;
        if committed > next || run_count > KEPT_PENDING_MAX {
            return None;
        }
        let mut runs: Vec<Run> = Vec::new();
        let (mut end, mut pending) = (0u64, 0u64);
        for _ in 0..run_count {
            let start = end.checked_add(read_varint(rest)?)?;
            let count = read_varint(rest)?;
            let deliveries = u32::try_from(read_varint(rest)?).ok()?;
            let not_before_ms = i64::try_from(read_varint(rest)?).ok()?;
            end = start.checked_add(count)?;
            pending = pending.checked_add(count)?;
            if count == 0 || end > next || pending > KEPT_PENDING_MAX {
                return None;
            }
            runs.push(Run { start, count, deliveries, not_before_ms });
        }
        rest.is_empty().then_some(Kept { generation, committed, next, runs })
    }
}
