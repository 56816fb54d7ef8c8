//! Finds what an extent holds by reading its frames: after a crash, or when a footer is not whole.
//!
//! ```text
//! | commit 0 | commit 1 | commit 2, torn | zeros, or what an older generation left
//!                         ^ cut: nothing valid follows, so it was never acknowledged
//! | commit 0 | commit 1, bad | commit 2 |
//!              ^ damage: commit 2 was only written after commit 1 had been acknowledged
//! | commit 0 | commit 1, whole but for one bit | zeros
//!              ^ damage: what power cut short lacks whole sectors
//! ```

use crate::index::{LiveIndex, Row};
use crate::layout::commit::{self, CommitHeader};
use crate::layout::frame::{self, Flaw, FrameHeader};
use crate::layout::key::KEY_STREAM;
use crate::layout::{BLOCK_BYTES, Seal, round_up};
use crate::{Damage, DamagedRange, Entry, ExtentId, Location, StreamId, rot};
use bytes::Bytes;
use std::io;
use std::ops::Range;
use stdx::File;

/// Reads are made in pieces of this size.
const WINDOW_BYTES: usize = 1 << 20;

/// How far behind a bad place a whole commit is looked for: twice the largest commit and more,
/// which would have begun right behind the bad one. Looking through whole extents would double the
/// time a start takes after a crash.
const SEARCH_BYTES_MAX: u64 = 64 << 20;
/// The search reads pieces of this size into one buffer.
const SEARCH_STEP_BYTES: usize = 256 << 10;

/// Sees every whole frame.
pub type Each<'a> = dyn FnMut(&Entry, StreamId, &Bytes) + 'a;

/// What to scan.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub extent: ExtentId,
    pub seal: Seal,
    /// Bytes of the file that may hold commits.
    pub limit: u64,
    /// Where the data ends, when the extent was closed or sealed in good order.
    pub data_end: Option<u64>,
}

#[derive(Debug, Default)]
pub struct Scan {
    pub index: LiveIndex,
    /// The byte after the last whole frame.
    pub data_end: u64,
    /// The last commit of which anything is kept, with its padding.
    pub last_commit: Option<Range<u64>>,
    /// Bytes of an unacknowledged commit that are not kept.
    pub cut_bytes: u64,
    pub damage: Vec<Damage>,
}

/// Reads the whole extent.
pub fn scan(file: &dyn File, target: Target, each: &mut Each<'_>) -> io::Result<Scan> {
    let window = Window { file, bytes: Bytes::new(), at: 0 };
    let scan = Scan { data_end: BLOCK_BYTES as u64, ..Scan::default() };
    let mut scanner = Scanner { window, target, scan, each, sequence: 0, frame_next: 0 };
    let mut position = BLOCK_BYTES as u64;
    while let Some(next) = scanner.commit(position)? {
        position = next;
    }
    let mut scan = scanner.scan;
    find_ranges(&scan.index, &mut scan.damage);
    Ok(scan)
}

struct Scanner<'a, 'b> {
    window: Window<'a>,
    target: Target,
    scan: Scan,
    each: &'a mut Each<'b>,
    /// The sequences expected next.
    sequence: u64,
    frame_next: u64,
}

/// Where the first bad frame of a commit begins, and why it is bad.
struct Bad {
    at: u64,
    flaw: Flaw,
}

impl Scanner<'_, '_> {
    /// Takes the commit at `position` and answers where the next one is, or `None` at the end.
    fn commit(&mut self, position: u64) -> io::Result<Option<u64>> {
        // What lies behind the end was refused, or is an older generation's.
        if self.target.data_end.is_some_and(|end| position >= end) {
            return Ok(None);
        }
        let Some(header) = self.header_at(position)? else {
            let flaw = "a commit's header is not whole";
            return self.resume(Bad { at: position, flaw }, position, None);
        };
        let end = position + u64::from(header.total_bytes);
        let bytes = self.window.get(position, header.total_bytes as usize)?;
        self.sequence = header.sequence + 1;
        match self.frames(&header, &bytes, position) {
            None => Ok(Some(round_up(end))),
            Some(bad) if self.target.data_end.is_some_and(|data_end| bad.at >= data_end) => {
                Ok(None)
            }
            Some(bad) => {
                let (bad_at, damage_before) = (bad.at, self.scan.damage.len());
                let rotten = bytes.get((bad_at - position) as usize..).unwrap_or_default();
                let is_rotten = rot::is_one_bit_off(rotten, self.target.seal.salt);
                let next = self.resume(bad, position, is_rotten.then_some(end))?;
                if self.scan.damage.len() > damage_before {
                    self.salvage(&header, &bytes, position, bad_at);
                } else {
                    self.scan.cut_bytes += end - bad_at;
                }
                Ok(next)
            }
        }
    }

    fn header_at(&mut self, position: u64) -> io::Result<Option<CommitHeader>> {
        if position + commit::HEADER_BYTES as u64 > self.target.limit {
            return Ok(None);
        }
        let bytes = self.window.get(position, commit::HEADER_BYTES)?;
        let whole = self.header_in(&bytes, position);
        Ok(whole.or_else(|| {
            let repaired = rot::repaired_header(&bytes, self.target.seal)?;
            let extent = self.target.extent;
            tracing::warn!(%extent, position, "a flipped bit in a commit's header");
            self.fitting(repaired, position)
        }))
    }

    fn header_in(&self, bytes: &[u8], position: u64) -> Option<CommitHeader> {
        let header = CommitHeader::decode(bytes, self.target.seal)?;
        self.fitting(header, position)
    }

    fn fitting(&self, header: CommitHeader, position: u64) -> Option<CommitHeader> {
        let end = position + u64::from(header.total_bytes);
        (header.sequence >= self.sequence && end <= self.target.limit).then_some(header)
    }

    /// Looks for a whole commit header at the block boundaries from `at` on.
    fn find_commit(&self, mut at: u64) -> io::Result<Option<u64>> {
        let end = self.target.data_end.unwrap_or(self.target.limit).min(at + SEARCH_BYTES_MAX);
        let mut buffer = vec![0; SEARCH_STEP_BYTES];
        while at < end {
            let read = self.window.file.read_at(&mut buffer, at)?;
            for block in buffer[..read].chunks(BLOCK_BYTES) {
                if self.header_in(block, at).is_some() {
                    return Ok(Some(at).filter(|&at| at < end));
                }
                at += BLOCK_BYTES as u64;
            }
            if read < buffer.len() {
                break;
            }
        }
        Ok(None)
    }

    /// Takes the frames of one commit up to the first bad one.
    fn frames(&mut self, header: &CommitHeader, bytes: &Bytes, position: u64) -> Option<Bad> {
        let mut at = commit::HEADER_BYTES;
        self.frame_next = header.frame_first;
        for _ in 0..header.frames {
            match self.frame(bytes, at) {
                Ok(frame) => {
                    self.take(&frame, bytes, at, position);
                    at += frame.total_bytes as usize;
                }
                Err(flaw) => return Some(Bad { at: position + at as u64, flaw }),
            }
        }
        None
    }

    fn frame(&self, commit: &Bytes, at: usize) -> Result<FrameHeader, Flaw> {
        let bytes = commit.get(at..).ok_or("a commit has fewer frames than it says")?;
        let frame = frame::decode(bytes, self.target.seal.salt)?;
        if frame.generation != self.target.seal.generation {
            return Err("a frame of another generation");
        }
        if frame.sequence != self.frame_next {
            return Err("a frame is not the one expected here");
        }
        Ok(frame)
    }

    fn take(&mut self, frame: &FrameHeader, commit: &Bytes, at: usize, position: u64) {
        let end = at + frame.total_bytes as usize;
        let bytes = commit.slice(at..end);
        let location = Location {
            extent: self.target.extent,
            generation: frame.generation,
            // An extent has at most 1 GiB.
            position: (position + at as u64) as u32,
            len: frame.total_bytes,
        };
        let (base_offset, count) = (frame.base_offset, frame.count);
        let max_timestamp = frame.max_timestamp;
        let entry = Entry { base_offset, count, max_timestamp, location };
        self.scan.index.add(frame.stream, Row::of(&entry), frame.keys(&bytes));
        if frame.stream != KEY_STREAM {
            (self.each)(&entry, frame.stream, &bytes.slice(frame.body_start() as usize..));
        }
        self.scan.data_end = position + end as u64;
        self.scan.last_commit = Some(position..round_up(self.scan.data_end));
        self.frame_next = frame.sequence + 1;
    }

    /// After something bad: the next whole commit proves damage, and reading goes on there. None
    /// means that the bad part was never acknowledged, unless the end of the data is known, or the
    /// bad part rotted and ends at `rotten_end`.
    fn resume(
        &mut self,
        bad: Bad,
        position: u64,
        rotten_end: Option<u64>,
    ) -> io::Result<Option<u64>> {
        if let Some(at) = self.find_commit(position + BLOCK_BYTES as u64)? {
            self.damage(&bad, at);
            return Ok(Some(at));
        }
        match self.target.data_end.or(rotten_end) {
            Some(data_end) if bad.at < data_end => {
                self.damage(&bad, data_end);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn damage(&mut self, bad: &Bad, to_position: u64) {
        self.scan.damage.push(Damage {
            extent: self.target.extent,
            generation: self.target.seal.generation,
            from_position: bad.at,
            to_position,
            reason: bad.flaw,
            ranges: Vec::new(),
        });
    }

    /// Takes the whole frames behind bad ones of the same acknowledged commit: the bad frame's own
    /// length is believed where the next frame then has the right sequence and checksum.
    fn salvage(&mut self, header: &CommitHeader, commit: &Bytes, position: u64, bad_at: u64) {
        let mut at = (bad_at - position) as usize;
        let sequence_end = header.frame_first + u64::from(header.frames);
        while self.frame_next < sequence_end {
            match self.frame(commit, at) {
                Ok(frame) => {
                    self.take(&frame, commit, at, position);
                    at += frame.total_bytes as usize;
                }
                Err(_) => {
                    let claimed = commit.get(at..).and_then(frame::claimed_bytes);
                    let Some(claimed) = claimed else { return };
                    at = at.saturating_add(claimed as usize);
                    self.frame_next += 1;
                }
            }
        }
    }
}

/// Names the offsets lost where frames of a stream lie on both sides of the damage.
fn find_ranges(index: &LiveIndex, damage: &mut [Damage]) {
    if damage.is_empty() {
        return;
    }
    for (stream, held) in index.sorted_streams() {
        if stream == KEY_STREAM {
            continue;
        }
        for pair in held.rows_sorted().windows(2) {
            let [before, after] = pair else { continue };
            let (from, to) = (before.next_offset(), after.base_offset);
            let around = |damage: &&mut Damage| {
                u64::from(before.position) < damage.to_position
                    && u64::from(after.position) > damage.from_position
            };
            if from < to
                && let Some(damage) = damage.iter_mut().find(around)
            {
                damage.ranges.push(DamagedRange { stream, from, to });
            }
        }
    }
}

/// The part of the file read last.
struct Window<'a> {
    file: &'a dyn File,
    bytes: Bytes,
    at: u64,
}

impl Window<'_> {
    /// Answers fewer bytes than asked only where the file ends.
    fn get(&mut self, at: u64, len: usize) -> io::Result<Bytes> {
        if let Some(found) = self.held(at, len) {
            return Ok(found);
        }
        let mut buffer = vec![0; len.max(WINDOW_BYTES)];
        let read = self.file.read_at(&mut buffer, at)?;
        buffer.truncate(read);
        (self.bytes, self.at) = (Bytes::from(buffer), at);
        Ok(self.bytes.slice(..len.min(read)))
    }

    fn held(&self, at: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(at.checked_sub(self.at)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}
