//! Reading frames and footers. Everything read is checked against what it should be; what does not
//! fit is answered as damage, never skipped.

use crate::cache::Cache;
use crate::device::Device;
use crate::extent::{Extent, Knowledge, Phase};
use crate::index::{self, LiveIndex, Row, StreamView};
use crate::layout::BLOCK_BYTES;
use crate::layout::footer::{self, DIRECTORY_ROW_BYTES, DirectoryRow};
use crate::layout::frame::{self, FrameHeader};
use crate::layout::key::KEY_STREAM;
use crate::layout::trailer::Trailer;
use crate::lookup::Fences;
use crate::scan::{self, Target};
use crate::{Entry, ExtentId, Span, StoreError, StreamId};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::Offset;

/// Neighbouring frames are read together up to this many bytes.
pub const READ_BYTES_MAX: u64 = 1 << 20;
/// Frames this far apart still count as neighbours: reading on costs less than another call.
pub const READ_GAP_BYTES_MAX: u64 = 16 << 10;

type Directory = Arc<[DirectoryRow]>;
type Keys = Arc<[(u64, Offset)]>;
pub type Section = (Arc<[Entry]>, Keys);
type SectionId = (ExtentId, u64, StreamId);

/// Footers of sealed extents, read once and kept while there is room.
pub struct Footers {
    directories: Mutex<Cache<(ExtentId, u64), Directory>>,
    sections: Mutex<Cache<SectionId, Section>>,
    fences: Mutex<Cache<SectionId, Arc<Fences>>>,
}

impl Footers {
    pub fn new(bytes_max: u64) -> Footers {
        Footers {
            directories: Mutex::new(Cache::new(bytes_max / 4)),
            sections: Mutex::new(Cache::new(bytes_max / 2)),
            fences: Mutex::new(Cache::new(bytes_max / 4)),
        }
    }

    /// The stream's section, if it is in memory.
    pub fn cached(&self, extent: &Extent, stream: StreamId) -> Option<Section> {
        self.sections.lock().get(&(extent.id, extent.seal.generation, stream))
    }

    /// The fences of the stream's section; `None` when it has none.
    pub fn fences(
        &self,
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
        stream: StreamId,
    ) -> Result<Option<Arc<Fences>>, StoreError> {
        let id = (extent.id, extent.seal.generation, stream);
        if let Some(fences) = self.fences.lock().get(&id) {
            return Ok(Some(fences));
        }
        let row = self.row(device, extent, trailer, stream)?;
        if row.fences_crc == 0 {
            return Ok(None);
        }
        let fences = Arc::new(Fences::read(device, extent, trailer, row)?);
        self.fences.lock().put(id, Arc::clone(&fences), fences.weight());
        Ok(Some(fences))
    }

    fn row(
        &self,
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
        stream: StreamId,
    ) -> Result<DirectoryRow, StoreError> {
        let directory = self.directory(device, extent, trailer)?;
        let found = directory.binary_search_by_key(&stream, |row| row.stream).ok();
        let row = found.and_then(|index| directory.get(index));
        row.copied().ok_or(StoreError::NotFound(extent.id))
    }

    pub fn section(
        &self,
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
        stream: StreamId,
    ) -> Result<Section, StoreError> {
        let id = (extent.id, extent.seal.generation, stream);
        if let Some(section) = self.sections.lock().get(&id) {
            return Ok(section);
        }
        let row = self.row(device, extent, trailer, stream)?;
        let section = read_section(device, extent, trailer, &row)?;
        let weight = (section.0.len() * size_of::<Entry>() + section.1.len() * 16) as u64;
        self.sections.lock().put(id, section.clone(), weight + 128);
        Ok(section)
    }

    /// Whether the extent's footer says that it holds frames of the stream.
    pub fn holds(
        &self,
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
        stream: StreamId,
    ) -> bool {
        let directory = self.directory(device, extent, trailer);
        directory.is_ok_and(|rows| rows.binary_search_by_key(&stream, |row| row.stream).is_ok())
    }

    fn directory(
        &self,
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
    ) -> Result<Directory, StoreError> {
        let id = (extent.id, extent.seal.generation);
        if let Some(directory) = self.directories.lock().get(&id) {
            return Ok(directory);
        }
        let directory: Directory = read_directory(device, extent, trailer)?.into();
        let weight = (directory.len() * size_of::<DirectoryRow>()) as u64;
        self.directories.lock().put(id, directory.clone(), weight + 128);
        Ok(directory)
    }
}

pub fn read_directory(
    device: &Device,
    extent: &Extent,
    trailer: &Trailer,
) -> Result<Vec<DirectoryRow>, StoreError> {
    let len = u64::from(trailer.streams) * DIRECTORY_ROW_BYTES as u64;
    let flaw = || extent.damaged(trailer.footer_at, "the footer's directory is not whole");
    if len > trailer.footer_bytes {
        return Err(flaw());
    }
    // The footer lies inside the file, which the trailer's checksum and the length above ensure.
    let bytes = extent.read_exact(device, len as usize, trailer.footer_at)?;
    footer::decode_directory(&bytes, extent.seal.salt, trailer.directory_crc).ok_or_else(flaw)
}

pub fn spans(extent: &Extent, directory: &[DirectoryRow]) -> Vec<Span> {
    let span = |row: &DirectoryRow| Span {
        extent: extent.id,
        generation: extent.seal.generation,
        stream: row.stream,
        first_offset: row.first_offset,
        next_offset: row.next_offset,
        max_timestamp: row.max_timestamp,
        bytes: row.bytes,
        frames: row.frames,
    };
    directory.iter().filter(|row| row.stream != KEY_STREAM).map(span).collect()
}

fn read_section(
    device: &Device,
    extent: &Extent,
    trailer: &Trailer,
    row: &DirectoryRow,
) -> Result<Section, StoreError> {
    let at = trailer.footer_at + u64::from(row.section_at);
    let flaw = || extent.damaged(at, "a footer's section is not whole");
    let len = row.section_bytes();
    if u64::from(row.section_at) + len as u64 > trailer.footer_bytes {
        return Err(flaw());
    }
    let bytes = extent.read_exact(device, len, at)?;
    let section = footer::decode_section(&bytes, extent.seal.salt, row).ok_or_else(flaw)?;
    let (rows, keys) = section;
    Ok((entries_of(extent, &rows), keys.into()))
}

fn entries_of(extent: &Extent, rows: &[Row]) -> Arc<[Entry]> {
    rows.iter().map(|row| row.entry(extent.id, extent.seal.generation)).collect()
}

/// The stream's frames from memory, or the trailer that says where they are on disk.
pub fn live_entries(extent: &Extent, stream: StreamId) -> Live<Arc<[Entry]>> {
    let copied = copy_live(extent, stream, |held| held.rows());
    copied.map(|rows| entries_of(extent, &index::sort_rows(rows)))
}

pub fn live_keys(extent: &Extent, stream: StreamId) -> Live<Keys> {
    let copied = copy_live(extent, stream, |held| held.keys());
    copied.map(|keys| index::sort_keys(keys).into())
}

/// Only copies under the lock, since the writer needs it before it acknowledges.
fn copy_live<T>(extent: &Extent, stream: StreamId, copy: fn(StreamView<'_>) -> T) -> Live<T> {
    match &*extent.knowledge.read() {
        Knowledge::Sealed(trailer) => Live::OnDisk(*trailer),
        Knowledge::Live { index, .. } => match index.get(&stream) {
            Some(held) => Live::Here(copy(held)),
            None => Live::Nothing,
        },
    }
}

/// Answers from the frames of an extent whose footer is not whole. The index is kept in memory from
/// then on, unless frames are damaged too: then the answer is `flaw`, since nobody would learn what
/// is missing.
pub fn rebuilt_section(
    device: &Device,
    extent: &Extent,
    trailer: &Trailer,
    stream: StreamId,
    flaw: StoreError,
) -> Result<Section, StoreError> {
    let mut is_hopeless = extent.is_rebuild_hopeless.lock();
    let is_rebuilt = matches!(&*extent.knowledge.read(), Knowledge::Live { .. });
    if !is_rebuilt {
        if *is_hopeless {
            return Err(flaw);
        }
        tracing::warn!(extent = %extent.id, reason = %flaw, "a footer is rebuilt by a scan");
        let index = rebuild(device, extent, trailer)?;
        *is_hopeless = index.is_none();
        let index = index.ok_or(flaw)?;
        *extent.knowledge.write() = Knowledge::Live { index, phase: Phase::Kept };
    }
    drop(is_hopeless);
    match (live_entries(extent, stream), live_keys(extent, stream)) {
        (Live::Here(entries), Live::Here(keys)) => Ok((entries, keys)),
        _ => Err(StoreError::NotFound(extent.id)),
    }
}

/// `None` when not every frame is whole.
fn rebuild(
    device: &Device,
    extent: &Extent,
    trailer: &Trailer,
) -> Result<Option<LiveIndex>, StoreError> {
    let file = device.open_reading(extent.id).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Recycled(extent.id),
        _ => StoreError::io("opening an extent")(error),
    })?;
    let limit = extent.len.load(Ordering::Relaxed).saturating_sub(BLOCK_BYTES as u64);
    let data_end = Some(trailer.data_end);
    let target = Target { extent: extent.id, seal: extent.seal, limit, data_end };
    let scan = scan::scan(&*file, target, &mut |_, _, _| {});
    let scan = scan.map_err(StoreError::io("scanning an extent"))?;
    Ok(scan.damage.is_empty().then_some(scan.index))
}

/// Where an extent's knowledge of a stream is.
pub enum Live<T> {
    Here(T),
    Nothing,
    /// In the footer.
    OnDisk(Trailer),
}

impl<T> Live<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Live<U> {
        match self {
            Live::Here(found) => Live::Here(change(found)),
            Live::Nothing => Live::Nothing,
            Live::OnDisk(trailer) => Live::OnDisk(trailer),
        }
    }
}

/// Checks that the bytes are the frame they should be. `Err` says what is wrong; whether that is
/// damage or reuse of the file the caller knows.
pub fn check(
    extent: &Extent,
    stream: StreamId,
    position: u32,
    bytes: &[u8],
) -> Result<FrameHeader, StoreError> {
    let damaged = |flaw| extent.damaged(u64::from(position), flaw);
    let header = frame::decode(bytes, extent.seal.salt).map_err(damaged)?;
    if header.generation != extent.seal.generation {
        return Err(damaged("a frame of another generation"));
    }
    if header.stream != stream {
        return Err(damaged("a frame of another stream"));
    }
    if header.total_bytes as usize != bytes.len() {
        return Err(damaged("a frame of another length"));
    }
    Ok(header)
}

/// How many of the leading entries one read covers, and how long it is. The first alone may be
/// longer than a read usually is.
pub fn run(entries: &[Entry]) -> Option<(usize, u64)> {
    let first = entries.first()?.location;
    let start = u64::from(first.position);
    let mut end = start + u64::from(first.len);
    let mut count = 1;
    for entry in &entries[1..] {
        let next = entry.location;
        let (at, next_end) =
            (u64::from(next.position), u64::from(next.position) + u64::from(next.len));
        let is_near = (next.extent, next.generation) == (first.extent, first.generation)
            && at >= end
            && at - end <= READ_GAP_BYTES_MAX
            && next_end - start <= READ_BYTES_MAX;
        if !is_near {
            break;
        }
        end = next_end;
        count += 1;
    }
    Some((count, end - start))
}
