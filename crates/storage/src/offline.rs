//! Extents looked at from outside, without a store: what the tools for operators and a restore from
//! a backup need. Nothing here takes the directory's lock, which is the caller's business, and
//! nothing but `filter` writes.

use crate::index::LiveIndex;
use crate::layout::commit::{self, CommitHeader};
use crate::layout::frame::{self, FrameHeader};
use crate::layout::header::{Header, Use};
use crate::layout::key::KEY_STREAM;
use crate::layout::trailer::{Kind, Trailer};
use crate::layout::{BLOCK_BYTES, Seal, footer, round_up};
use crate::scan::{self, Target};
use crate::{Damage, Entry, ExtentCut, ExtentId, Span, StoreError, StreamId};
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::Arc;
use stdx::disk::Open;
use stdx::{Disk, File};
use types::{Offset, TimestampMs};

/// Bytes of an extent before its first commit: its header.
pub const HEAD_BYTES: u64 = BLOCK_BYTES as u64;
/// The lock that whoever opens the directory holds.
pub const LOCK_NAME: &str = crate::device::LOCK_NAME;

/// One file of the log's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtentFile {
    pub extent: ExtentId,
    pub file_bytes: u64,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Neither copy of the header is whole: nobody knows what the file holds.
    Headless,
    /// Waits to be used; what is in it is of no use.
    Free {
        generation: u64,
    },
    Used(Used),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub generation: u64,
    pub salt: u64,
    /// Frames that were written elsewhere first, so that times of writing say nothing of them.
    pub is_rewritten: bool,
    pub created: TimestampMs,
    pub end: End,
}

/// What the file says about where its data ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing: it was open when its process ended, or is now.
    Unknown,
    /// It was closed in order; it has no footer yet.
    Closed { data_end: u64 },
    /// A footer follows the data.
    Sealed { data_end: u64, footer_bytes: u64, streams: u32 },
}

/// What a scan of one extent found.
#[derive(Debug, Default)]
pub struct Scanned {
    pub spans: Vec<Span>,
    pub frames: u64,
    pub data_end: u64,
    /// Bytes of a commit that was never acknowledged.
    pub tail_cut_bytes: u64,
    pub damaged: Vec<Damage>,
    index: LiveIndex,
}

/// One frame as far as it is known without keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFacts {
    pub stream: StreamId,
    pub base_offset: Offset,
    pub next_offset: Offset,
    pub max_timestamp: TimestampMs,
    /// When its commit was written; `None` where that is not known.
    pub written_at: Option<TimestampMs>,
}

/// The extents of a directory, in the order of their numbers.
pub fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<ExtentId>> {
    let mut extents: Vec<ExtentId> = disk
        .list(dir)?
        .iter()
        .filter_map(|name| name.to_str()?.strip_suffix(".extent")?.parse().ok())
        .map(ExtentId)
        .collect();
    extents.sort_unstable();
    Ok(extents)
}

/// The name of an extent's file in the log's directory.
pub fn file_name(extent: ExtentId) -> String {
    format!("{extent}.extent")
}

fn read_block(file: &dyn File, at: u64) -> Result<Vec<u8>, StoreError> {
    let mut block = vec![0; BLOCK_BYTES];
    let read = file.read_at(&mut block, at).map_err(StoreError::io("reading an extent"))?;
    block.truncate(read);
    Ok(block)
}

struct Opened {
    file: Arc<dyn File>,
    len: u64,
    header: Option<Header>,
}

fn open(disk: &dyn Disk, dir: &Path, extent: ExtentId) -> Result<Opened, StoreError> {
    let path = dir.join(file_name(extent));
    let file = disk.open(&path, Open::Read).map_err(StoreError::io("opening an extent"))?;
    let len = file.len().map_err(StoreError::io("measuring an extent"))?;
    let header = Header::decode(&read_block(&*file, 0)?).filter(|header| header.id == extent.0);
    Ok(Opened { file, len, header })
}

impl Opened {
    fn trailer(&self, seal: Seal) -> Result<Option<Trailer>, StoreError> {
        let Some(at) = self.len.checked_sub(BLOCK_BYTES as u64) else { return Ok(None) };
        let trailer = Trailer::decode(&read_block(&*self.file, at)?, seal);
        Ok(trailer.filter(|trailer| {
            let footer_end = trailer.footer_at.saturating_add(trailer.footer_bytes);
            trailer.data_end <= at && footer_end <= at
        }))
    }
}

/// What a file says about itself.
pub fn look(disk: &dyn Disk, dir: &Path, extent: ExtentId) -> Result<ExtentFile, StoreError> {
    let opened = open(disk, dir, extent)?;
    let content = match opened.header {
        None => Content::Headless,
        Some(Header { use_now: Use::Free, seal, .. }) => {
            Content::Free { generation: seal.generation }
        }
        Some(header) => {
            let end = match opened.trailer(header.seal)? {
                None => End::Unknown,
                Some(Trailer { kind: Kind::Closed, data_end, .. }) => End::Closed { data_end },
                Some(Trailer { kind: Kind::Sealed, data_end, footer_bytes, streams, .. }) => {
                    End::Sealed { data_end, footer_bytes, streams }
                }
            };
            Content::Used(Used {
                generation: header.seal.generation,
                salt: header.seal.salt,
                is_rewritten: !matches!(header.use_now, Use::Taken),
                created: header.created,
                end,
            })
        }
    };
    Ok(ExtentFile { extent, file_bytes: opened.len, content })
}

/// Reads every frame of a used extent and checks each checksum. `each` sees the whole ones.
pub fn scan(
    disk: &dyn Disk,
    dir: &Path,
    extent: ExtentId,
    each: &mut dyn FnMut(&Entry, StreamId, &Bytes),
) -> Result<Scanned, StoreError> {
    let opened = open(disk, dir, extent)?;
    let header = opened.header.ok_or(StoreError::NotFound(extent))?;
    let trailer = opened.trailer(header.seal)?;
    let limit = opened.len.saturating_sub(BLOCK_BYTES as u64);
    let data_end = trailer.map(|trailer| trailer.data_end);
    let target = Target { extent, seal: header.seal, limit, data_end };
    let mut frames = 0;
    let scan = scan::scan(&*opened.file, target, &mut |entry, stream, body| {
        frames += 1;
        each(entry, stream, body);
    });
    let scan = scan.map_err(StoreError::io("scanning an extent"))?;
    Ok(Scanned {
        spans: scan.index.spans(extent, header.seal.generation),
        frames,
        data_end: scan.data_end,
        tail_cut_bytes: scan.cut_bytes,
        damaged: scan.damage,
        index: scan.index,
    })
}

/// Whether the footer on disk says what the frames do; `None` for an extent without one.
pub fn footer_fits(
    disk: &dyn Disk,
    dir: &Path,
    extent: ExtentId,
    scanned: &Scanned,
) -> Result<Option<bool>, StoreError> {
    let opened = open(disk, dir, extent)?;
    let header = opened.header.ok_or(StoreError::NotFound(extent))?;
    let trailer = opened.trailer(header.seal)?;
    let Some(trailer) = trailer.filter(|trailer| trailer.kind == Kind::Sealed) else {
        return Ok(None);
    };
    let wanted = footer::encode(&scanned.index, header.seal.salt);
    if trailer.footer_bytes != wanted.bytes.len() as u64 {
        return Ok(Some(false));
    }
    let mut found = vec![0; wanted.bytes.len()];
    let read = opened.file.read_at(&mut found, trailer.footer_at);
    let read = read.map_err(StoreError::io("reading a footer"))?;
    Ok(Some(read == found.len() && found == wanted.bytes))
}

/// Marks a copied extent as ended where its cut says, so that opening it neither searches for its
/// end nor finds anything behind it. The file gets the length that it had.
pub fn close_copy(disk: &dyn Disk, dir: &Path, cut: &ExtentCut) -> Result<(), StoreError> {
    let failed = StoreError::io("closing a copied extent");
    let path = dir.join(file_name(cut.extent));
    let file = disk.open(&path, Open::Write).map_err(&failed)?;
    close(&*file, cut).map_err(&failed)
}

fn close(file: &dyn File, cut: &ExtentCut) -> io::Result<()> {
    let trailer = Trailer {
        kind: Kind::Closed,
        seal: Seal { generation: cut.generation, salt: cut.salt },
        data_end: cut.data_end,
        footer_at: 0,
        footer_bytes: 0,
        streams: 0,
        directory_crc: 0,
        prepared_bytes: cut.data_end,
    };
    // Behind the data there must be room for the footer to come, which is never larger than the
    // data; a file that was cut to its content has less.
    let room = round_up(cut.data_end).saturating_mul(2) + 2 * BLOCK_BYTES as u64;
    let len = cut.file_bytes.max(room.min(u64::from(crate::options::EXTENT_BYTES_MAX)));
    let mut block = [0; BLOCK_BYTES];
    trailer.encode(&mut block);
    file.set_len(len)?;
    file.write_at(&block, len - BLOCK_BYTES as u64)?;
    file.flush()
}

/// The facts of every frame below `data_end`, and the bytes of each. The first bad place ends it.
pub fn walk(
    disk: &dyn Disk,
    dir: &Path,
    extent: ExtentId,
    data_end: u64,
    each: &mut dyn FnMut(&FrameFacts),
) -> Result<(), StoreError> {
    let opened = open(disk, dir, extent)?;
    let header = opened.header.ok_or(StoreError::NotFound(extent))?;
    let mut walk = Walk { file: &*opened.file, extent, header, position: HEAD_BYTES, data_end };
    while let Some((commit, bytes)) = walk.next()? {
        for (frame, _) in frames(extent, walk.header.seal, &commit, &bytes)? {
            if frame.stream != KEY_STREAM {
                each(&walk.facts(&commit, &frame));
            }
        }
    }
    Ok(())
}

/// Writes the extent anew under another name, with the frames that `keep` says and no others, and
/// answers its cut. The frames' own bytes stay as they are, but for their numbers.
pub fn filter(
    disk: &dyn Disk,
    dir: &Path,
    cut: &ExtentCut,
    to: &Path,
    keep: &mut dyn FnMut(&FrameFacts) -> bool,
) -> Result<ExtentCut, StoreError> {
    let failed = StoreError::io("writing a filtered extent");
    let opened = open(disk, dir, cut.extent)?;
    let header = opened.header.ok_or(StoreError::NotFound(cut.extent))?;
    let out = disk.open(to, Open::Write).map_err(&failed)?;
    out.set_len(0).map_err(&failed)?;
    out.write_at(&read_block(&*opened.file, 0)?, 0).map_err(&failed)?;
    let (file, data_end) = (&*opened.file, cut.data_end);
    let mut walk = Walk { file, extent: cut.extent, header, position: HEAD_BYTES, data_end };
    let (mut at, mut sequence, mut frame_next) = (HEAD_BYTES, 0, 0);
    while let Some((commit, bytes)) = walk.next()? {
        let mut kept = vec![0; commit::HEADER_BYTES];
        let frame_first = frame_next;
        for (frame, range) in frames(cut.extent, header.seal, &commit, &bytes)? {
            // Without its key no frame that is kept could be read.
            if frame.stream == KEY_STREAM || keep(&walk.facts(&commit, &frame)) {
                let start = kept.len();
                kept.extend_from_slice(bytes.get(range).unwrap_or_default());
                frame::renumber(&mut kept[start..], header.seal.salt, frame_next);
                frame_next += 1;
            }
        }
        if frame_next == frame_first {
            continue;
        }
        let total_bytes = kept.len() as u32;
        let frames = (frame_next - frame_first) as u32;
        let remade = CommitHeader { sequence, frame_first, frames, total_bytes, ..commit };
        if let Some(head) = kept.first_chunk_mut() {
            remade.encode(head);
        }
        kept.resize(round_up(kept.len() as u64) as usize, 0);
        out.write_at(&kept, at).map_err(&failed)?;
        at += kept.len() as u64;
        sequence += 1;
    }
    let filtered = ExtentCut { data_end: at, ..*cut };
    close(&*out, &filtered).map_err(&failed)?;
    Ok(filtered)
}

/// The commits of an extent, one after the other.
struct Walk<'a> {
    file: &'a dyn File,
    extent: ExtentId,
    header: Header,
    position: u64,
    data_end: u64,
}

impl Walk<'_> {
    fn next(&mut self) -> Result<Option<(CommitHeader, Bytes)>, StoreError> {
        let (extent, position) = (self.extent, self.position);
        if position >= self.data_end {
            return Ok(None);
        }
        let damaged = |reason| StoreError::Damaged { extent, position, reason };
        let head = self.read(commit::HEADER_BYTES as u64)?;
        let commit = CommitHeader::decode(&head, self.header.seal)
            .ok_or_else(|| damaged("a commit's header is not whole"))?;
        let len = u64::from(commit.total_bytes);
        if position + len > self.data_end {
            return Err(damaged("a commit is longer than the data"));
        }
        let bytes = self.read(len)?;
        if (bytes.len() as u64) < len {
            return Err(damaged("the file is cut short"));
        }
        self.position = position + round_up(len);
        Ok(Some((commit, bytes)))
    }

    fn read(&self, len: u64) -> Result<Bytes, StoreError> {
        let mut bytes = vec![0; len as usize];
        let read = self.file.read_at(&mut bytes, self.position);
        bytes.truncate(read.map_err(StoreError::io("reading an extent"))?);
        Ok(Bytes::from(bytes))
    }

    fn facts(&self, commit: &CommitHeader, frame: &FrameHeader) -> FrameFacts {
        let is_first_writing = matches!(self.header.use_now, Use::Taken);
        FrameFacts {
            stream: frame.stream,
            base_offset: frame.base_offset,
            next_offset: frame.base_offset.saturating_add(u64::from(frame.count)),
            max_timestamp: frame.max_timestamp,
            written_at: Some(commit.written_at).filter(|&at| at > 0 && is_first_writing),
        }
    }
}

/// The frames of one commit with where their bytes are in it.
fn frames(
    extent: ExtentId,
    seal: Seal,
    commit: &CommitHeader,
    bytes: &Bytes,
) -> Result<Vec<(FrameHeader, std::ops::Range<usize>)>, StoreError> {
    let mut found = Vec::new();
    let mut at = commit::HEADER_BYTES;
    for number in 0..u64::from(commit.frames) {
        let damaged = |reason| StoreError::Damaged { extent, position: at as u64, reason };
        let rest = bytes.get(at..).ok_or_else(|| damaged("a commit has too few frames"))?;
        let header = frame::decode(rest, seal.salt).map_err(damaged)?;
        let is_next = header.sequence == commit.frame_first + number;
        if header.generation != seal.generation || !is_next {
            return Err(damaged("a frame is not the one expected here"));
        }
        let end = at + header.total_bytes as usize;
        found.push((header, at..end));
        at = end;
    }
    Ok(found)
}
