//! What the store tells about itself: what opening found, and what an operator wants to know. Plain
//! data.

use crate::{ExtentId, Span, StreamId};
use types::Offset;

/// What `Store::open` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Everything the extents hold, by age of the extent, then by stream. After opening, no extent
    /// with data takes any more.
    pub spans: Vec<Span>,
    /// Bytes of commits that were cut because they were never acknowledged.
    pub tail_cut_bytes: u64,
    /// Extents that had no footer and were scanned.
    pub scanned_extents: u32,
    /// Acknowledged data that is not readable any more. Never truncated.
    pub damaged: Vec<Damage>,
}

/// A part of an extent that held acknowledged frames and does not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub extent: ExtentId,
    /// 0 when the extent's header cannot be read.
    pub generation: u64,
    pub from_position: u64,
    /// Whole frames inside the part were saved all the same.
    pub to_position: u64,
    pub reason: &'static str,
    /// The offsets known to be lost, where frames of the same stream lie on both sides in this
    /// extent. Others show as a gap between the spans of two extents.
    pub ranges: Vec<DamagedRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    pub stream: StreamId,
    pub from: Offset,
    /// The first offset after the range.
    pub to: Offset,
}

/// Counters are since opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub commits: u64,
    pub flushes: u64,
    pub frames: u64,
    /// Bytes written by commits, padding included.
    pub bytes: u64,
    /// Extents that hold data and take no more, with those whose footer is still to be written.
    pub extents_sealed: u32,
    pub extents_free: u32,
    /// Bytes of all files that hold data or are open.
    pub stored_bytes: u64,
    /// As seen within the last second or so; asked anew while appends are refused for want of it.
    pub free_bytes: u64,
    /// Why the log takes no more appends, if so.
    pub failed: Option<String>,
}
