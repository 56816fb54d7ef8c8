//! An extent that takes frames, the writer's or the collector's: what still fits, a commit's bytes,
//! and what a commit that was written or refused changes. Its owner decides when; nothing waits.

use crate::device::Device;
use crate::extent::{Extent, Knowledge, Phase};
use crate::index::Row;
use crate::layout::commit::{self, CommitHeader};
use crate::layout::footer::FooterSize;
use crate::layout::frame::{self, Cover};
use crate::layout::{BLOCK_BYTES, round_up};
use crate::pool::{OpenView, Spare};
use crate::prepare::Preparation;
use crate::seal::{Report, SealJob};
use crate::sealers::Sealers;
use crate::{DataKeys, Entry, Frame, Location, StoreError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stdx::File;
use types::TimestampMs;

pub struct OpenExtent {
    pub extent: Arc<Extent>,
    pub file: Arc<dyn File>,
    pub preparation: Arc<Preparation>,
    /// Where the next commit goes; a copy for the background is in `position_seen`.
    pub position: u64,
    position_seen: Arc<AtomicU64>,
    pub data_end: u64,
    pub len: u64,
    sequence: u64,
    frame_next: u64,
    /// When the last commit was written; 0 in what the collector writes.
    written_at: TimestampMs,
    /// Without them frames are plain.
    sealers: Option<Sealers>,
    /// Of the commit being made: where its key frames will lie.
    key_entries: Vec<Entry>,
}

/// The sizes of a commit that was encoded.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Without padding.
    pub total: u64,
    pub padded: u64,
}

impl OpenExtent {
    pub fn new(
        extent: Arc<Extent>,
        spare: Spare,
        keys: Option<Arc<dyn DataKeys>>,
        written_at: TimestampMs,
    ) -> OpenExtent {
        let position = BLOCK_BYTES as u64;
        let id = extent.reference();
        OpenExtent {
            extent,
            file: spare.file,
            preparation: spare.preparation,
            position,
            position_seen: Arc::new(AtomicU64::new(position)),
            data_end: position,
            len: spare.len,
            sequence: 0,
            frame_next: 0,
            written_at,
            sealers: keys.map(|keys| Sealers::new(keys, id)),
            key_entries: Vec::new(),
        }
    }

    pub fn view(&self) -> OpenView {
        OpenView {
            id: self.extent.id,
            preparation: self.preparation.clone(),
            position: self.position_seen.clone(),
            len: self.len,
        }
    }

    pub fn into_job(self) -> SealJob {
        if let Knowledge::Live { phase, .. } = &mut *self.extent.knowledge.write() {
            *phase = Phase::Sealing;
        }
        SealJob {
            extent: self.extent,
            file: self.file,
            preparation: self.preparation,
            data_end: self.data_end,
            report: Report::Sealed,
        }
    }

    pub fn is_fresh(&self) -> bool {
        self.frame_next == 0
    }

    pub fn written_at(&self) -> TimestampMs {
        self.written_at
    }

    /// As if every frame brought a new stream: at most one commit too careful.
    pub fn fits(&mut self, frames: &[Frame]) -> bool {
        let held = match &*self.extent.knowledge.read() {
            Knowledge::Live { index, .. } => index.size(),
            Knowledge::Sealed(_) => return false,
        };
        let count = frames.len();
        let (key_frames, extra_bytes) = self.sealers.as_mut().map_or((0, 0), |sealers| {
            sealers.refresh();
            sealers.extra(frames)
        });
        let keys: u64 = frames.iter().map(|frame| frame.keys.len() as u64).sum();
        let footer = FooterSize {
            // One for the stream of key frames.
            streams: held.streams + count as u64 + u64::from(key_frames > 0),
            entries: held.entries + (count + key_frames) as u64,
            keys: held.keys + keys,
        };
        let bytes = commit_bytes(frames) + extra_bytes as u64;
        self.position + round_up(bytes) + footer.bytes() <= self.len
    }

    /// Finds the keys of a commit's frames and answers how long the commit will be.
    pub fn plan(&mut self, frames: &[Frame]) -> Result<Size, StoreError> {
        let mut total = commit_bytes(frames);
        if let Some(sealers) = &mut self.sealers {
            sealers.plan(frames)?;
            let key_frames = sealers.key_frames().iter().map(frame::total_bytes).sum::<usize>();
            total += (key_frames + frames.len() * crate::cipher::TAG_BYTES) as u64;
        }
        Ok(Size { total, padded: round_up(total) })
    }

    /// Fills `out` with the commit planned and `entries` with where each frame will lie.
    pub fn encode(
        &mut self,
        frames: &[Frame],
        size: Size,
        now: TimestampMs,
        out: &mut [u8],
        entries: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        self.written_at = self.written_at.max(now);
        let key_frames = self.sealers.as_ref().map_or(0, |sealers| sealers.key_frames().len());
        let header = CommitHeader {
            seal: self.extent.seal,
            sequence: self.sequence,
            frame_first: self.frame_next,
            frames: (key_frames + frames.len()) as u32,
            total_bytes: size.total as u32,
            written_at: self.written_at,
        };
        if let Some(head) = out.first_chunk_mut() {
            header.encode(head);
        }
        let mut cursor = Cursor {
            extent: &self.extent,
            commit_at: self.position,
            at: commit::HEADER_BYTES,
            sequence: self.frame_next,
            out,
        };
        self.key_entries.clear();
        let mut is_sealed = true;
        match &mut self.sealers {
            None => entries.extend(frames.iter().map(|frame| cursor.put(frame, None).0)),
            Some(sealers) => {
                let plain = sealers.key_frames().iter().map(|frame| cursor.put(frame, None).0);
                self.key_entries.extend(plain);
                for (index, frame) in frames.iter().enumerate() {
                    let cover = sealers.cover(index);
                    is_sealed &= cover.is_some();
                    let (entry, was_sealed) = cursor.put(frame, cover);
                    is_sealed &= was_sealed;
                    entries.push(entry);
                }
            }
        }
        out[size.total as usize..].fill(0);
        // Every frame has a cover, and lengths are right: this says that it would not go unseen.
        let refused = || StoreError::Failed("a frame could not be sealed".to_owned());
        is_sealed.then_some(()).ok_or_else(refused)
    }

    /// Takes back what a commit refused for want of space may have left: without its header, which
    /// is in the first block, nothing of it is ever found.
    pub fn retract(
        &mut self,
        device: &Device,
        commit: &mut [u8],
        refused: io::Error,
    ) -> StoreError {
        self.refuse();
        let header = &mut commit[..BLOCK_BYTES];
        header.fill(0);
        match device.write(&*self.file, header, self.position) {
            Ok(()) => StoreError::Full(refused.to_string()),
            Err(error) => {
                let error = error.into_io();
                let text = format!("a commit refused ({refused}) was not taken back: {error}");
                StoreError::Failed(text)
            }
        }
    }

    /// The commit planned is not written.
    pub fn refuse(&mut self) {
        if let Some(sealers) = &mut self.sealers {
            sealers.settle_refused();
        }
    }

    /// The commit encoded is durable.
    pub fn advance(&mut self, frames: &[Frame], entries: &[Entry], size: Size) {
        if let Knowledge::Live { index, .. } = &mut *self.extent.knowledge.write() {
            for entry in &self.key_entries {
                let none = std::iter::empty();
                index.add(crate::layout::key::KEY_STREAM, Row::of(entry), none);
            }
            for (frame, entry) in frames.iter().zip(entries) {
                index.add(frame.stream, Row::of(entry), frame.keys.iter().copied());
            }
        }
        if let Some(sealers) = &mut self.sealers {
            sealers.settle();
        }
        self.data_end = self.position + size.total;
        self.position += size.padded;
        self.position_seen.store(self.position, Ordering::Relaxed);
        self.extent.data_end.store(self.position, Ordering::Release);
        self.sequence += 1;
        self.frame_next += (self.key_entries.len() + frames.len()) as u64;
    }
}

/// Where the next frame of a commit goes.
struct Cursor<'a> {
    extent: &'a Extent,
    commit_at: u64,
    at: usize,
    sequence: u64,
    out: &'a mut [u8],
}

impl Cursor<'_> {
    /// Answers where the frame will lie, and whether it is as it should be.
    fn put(&mut self, frame: &Frame, cover: Option<Cover<'_>>) -> (Entry, bool) {
        let tag_bytes = cover.map_or(0, |_| crate::cipher::TAG_BYTES);
        let len = frame::total_bytes(frame) + tag_bytes;
        let out = &mut self.out[self.at..self.at + len];
        let is_whole = frame::encode(frame, self.extent.seal, self.sequence, cover, out);
        let location = Location {
            extent: self.extent.id,
            generation: self.extent.seal.generation,
            position: (self.commit_at + self.at as u64) as u32,
            len: len as u32,
        };
        self.sequence += 1;
        self.at += len;
        let (base_offset, count) = (frame.base_offset, frame.count);
        let entry = Entry { base_offset, count, max_timestamp: frame.max_timestamp, location };
        (entry, is_whole)
    }
}

/// Bytes of a commit of plain frames, without padding.
pub fn commit_bytes(frames: &[Frame]) -> u64 {
    let frames: u64 = frames.iter().map(|frame| frame::total_bytes(frame) as u64).sum();
    commit::HEADER_BYTES as u64 + frames
}
