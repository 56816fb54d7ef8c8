//! The log's files of a restored directory: extents put together from a backup's parts, frames
//! behind the wanted ends left out of them, and the marks that say where each partition stands.
//!
//! ```text
//!  extent as backed up   | a 0..4 | b 0..9 | a 4..8 | b 9..12 | a 8..9 |
//!  a is to end at 6      | a 0..4 | b 0..9 | b 9..12 |   and 4, 5 are appended: half a batch
//! ```

use crate::BackupError;
use crate::manifest::{Extent, Manifest};
use crate::repository::Repository;
use eventlog::{EmbeddedLog, Engine, StreamMark};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use stdx::disk::Open;
use stdx::{Disk, File};
use storage::{ExtentId, Store, StreamId, World, offline};
use types::{Batch, Offset, Record};

/// Where the log is written to.
#[derive(Clone)]
pub struct LogTarget {
    pub world: World,
    pub options: eventlog::Options,
    pub runtime: tokio::runtime::Handle,
}

/// What is left of every partition.
pub struct Marks {
    pub kept: Vec<StreamMark>,
    /// Partitions that were cut back.
    pub cut: usize,
    /// Of those whose end lies within a batch: its records in front of the end.
    halves: Vec<Half>,
}

/// The first records of a batch that is not kept as a whole.
pub struct Half {
    stream: StreamId,
    base_offset: Offset,
    records: Vec<Record>,
}

/// Puts every extent together; answers how many bytes that was.
pub fn write_extents(
    repository: &Repository,
    manifest: &Manifest,
    into: &LogTarget,
) -> Result<u64, BackupError> {
    let (disk, dir) = (&*into.world.disk, &into.options.store.dir);
    let place = || BackupError::io(dir.display().to_string());
    disk.create_dir(dir).map_err(place())?;
    let mut heads = Vec::new();
    let file = listed(manifest, &manifest.heads)?;
    repository.read_file(file, &mut |piece| {
        heads.extend_from_slice(piece);
        Ok(())
    })?;
    let mut bytes = 0;
    for (index, extent) in manifest.extents.iter().enumerate() {
        let at = index * offline::HEAD_BYTES as usize;
        let head = heads.get(at..at + offline::HEAD_BYTES as usize);
        let head = head.ok_or_else(|| short(&manifest.heads))?;
        bytes += write_extent(repository, manifest, extent, head, disk, dir)?;
    }
    disk.flush_dir(dir).map_err(place())?;
    Ok(bytes)
}

fn short(name: &str) -> BackupError {
    BackupError::refused(format!("{name} is shorter than it must be"), "use another backup")
}

fn listed<'a>(
    manifest: &'a Manifest,
    name: &str,
) -> Result<&'a crate::manifest::File, BackupError> {
    manifest.file(name).ok_or_else(|| short(name))
}

fn write_extent(
    repository: &Repository,
    manifest: &Manifest,
    extent: &Extent,
    head: &[u8],
    disk: &dyn Disk,
    dir: &Path,
) -> Result<u64, BackupError> {
    let path = dir.join(offline::file_name(ExtentId(extent.extent)));
    let failed = || BackupError::io(path.display().to_string());
    let out: Arc<dyn File> = disk.open(&path, Open::Write).map_err(failed())?;
    out.write_at(head, 0).map_err(failed())?;
    let mut at = head.len() as u64;
    for part in &extent.parts {
        repository.read_file(listed(manifest, part)?, &mut |piece| {
            out.write_at(piece, at).map_err(failed())?;
            at += piece.len() as u64;
            Ok(())
        })?;
    }
    if at != extent.data_end {
        return Err(short(&offline::file_name(ExtentId(extent.extent))));
    }
    offline::close_copy(disk, dir, &extent.cut()).map_err(|error| match error {
        storage::StoreError::Io { message, .. } => {
            BackupError::Io { place: path.display().to_string(), message }
        }
        error => error.into(),
    })?;
    let found = offline::look(disk, dir, ExtentId(extent.extent))?;
    let is_ours = matches!(found.content, offline::Content::Used(used)
        if (used.generation, used.salt) == (extent.generation, extent.salt));
    if is_ours { Ok(at) } else { Err(foreign(extent)) }
}

fn foreign(extent: &Extent) -> BackupError {
    let name = offline::file_name(ExtentId(extent.extent));
    let what = format!("{name} in the backup is not the extent that its manifest names");
    BackupError::refused(what, "use another backup")
}

/// Leaves out of the extents what lies behind the ends.
pub fn cut_back(
    manifest: &Manifest,
    ends: &HashMap<StreamId, Offset>,
    into: &LogTarget,
) -> Result<Marks, BackupError> {
    let (disk, dir) = (&*into.world.disk, &into.options.store.dir);
    let mut last: HashMap<StreamId, Offset> = HashMap::new();
    let mut half = HashMap::new();
    let mut touched = HashSet::new();
    let end_of = |stream: &StreamId| ends.get(stream).copied().unwrap_or(Offset::MAX);
    for extent in &manifest.extents {
        let cut = extent.cut();
        let walked = offline::walk(disk, dir, cut.extent, cut.data_end, &mut |frame| {
            let end = end_of(&frame.stream);
            if frame.next_offset <= end {
                let last = last.entry(frame.stream).or_default();
                *last = (*last).max(frame.next_offset);
                return;
            }
            touched.insert(cut.extent);
            if frame.base_offset < end {
                half.insert(frame.stream, end);
            }
        });
        // A backup of a damaged log is restored with its damage, as long as nothing is cut there.
        match walked {
            Err(storage::StoreError::Damaged { .. }) => {
                tracing::warn!(extent = %cut.extent, "a damaged extent is restored as it is");
            }
            walked => walked?,
        }
    }
    let halves = read_halves(&half, into)?;
    for extent in manifest.extents.iter().filter(|found| touched.contains(&ExtentId(found.extent)))
    {
        let path = dir.join(offline::file_name(ExtentId(extent.extent)));
        let failed = || BackupError::io(path.display().to_string());
        if !is_still_used(extent, into)? {
            continue;
        }
        let filtered = dir.join("filtered.new");
        let keep = &mut |frame: &offline::FrameFacts| frame.next_offset <= end_of(&frame.stream);
        offline::filter(disk, dir, &extent.cut(), &filtered, keep)?;
        disk.rename(&filtered, &path).map_err(failed())?;
        disk.flush_dir(dir).map_err(failed())?;
    }
    let mut cut = 0;
    let mut kept = Vec::with_capacity(manifest.streams.len());
    for stream in &manifest.streams {
        let mut mark = stream.mark();
        let end = end_of(&mark.stream);
        cut += usize::from(end < mark.stored);
        if end < mark.stored {
            let last = last.get(&mark.stream).copied().unwrap_or(mark.start);
            // The half is appended where its batch was.
            let base_offset = halves.iter().find(|half| half.stream == mark.stream);
            mark.stored = last.max(mark.start);
            mark.floor = base_offset.map_or(end, |half| half.base_offset).max(mark.stored);
        }
        kept.push(mark);
    }
    Ok(Marks { kept, cut, halves })
}

/// An extent that another one stands for is gone once the store was opened.
fn is_still_used(extent: &Extent, into: &LogTarget) -> Result<bool, BackupError> {
    let (disk, dir) = (&*into.world.disk, &into.options.store.dir);
    let place = BackupError::io(dir.display().to_string());
    let id = ExtentId(extent.extent);
    if !offline::list(disk, dir).map_err(place)?.contains(&id) {
        return Ok(false);
    }
    let content = offline::look(disk, dir, id)?.content;
    Ok(matches!(content, offline::Content::Used(used) if used.generation == extent.generation))
}

/// The records in front of an end that lies within a batch. Needs the keys that seal them.
fn read_halves(
    half: &HashMap<StreamId, Offset>,
    into: &LogTarget,
) -> Result<Vec<Half>, BackupError> {
    let mut found = Vec::new();
    if half.is_empty() {
        return Ok(found);
    }
    let world = into.world.clone();
    let (store, recovery) = Store::open(world, into.options.store.clone(), &mut |_, _, _| {})?;
    for span in &recovery.spans {
        let Some(&end) = half.get(&span.stream) else { continue };
        if !(span.first_offset..span.next_offset).contains(&end) {
            continue;
        }
        let entries = store.entries(span.extent, span.stream)?;
        let cut = entries.iter().find(|entry| entry.base_offset < end && entry.next_offset() > end);
        let Some(entry) = cut else { continue };
        let body = store.read(entry.location, span.stream)?;
        let batch = Batch::parse(body).map_err(|bad| BackupError::Io {
            place: offline::file_name(span.extent),
            message: bad.to_string(),
        })?;
        let records = batch
            .records()
            .take_while(|(offset, _, _)| *offset < end)
            .map(|(_, timestamp, record)| Record { timestamp: Some(timestamp), ..record })
            .collect();
        found.push(Half { stream: span.stream, base_offset: entry.base_offset, records });
    }
    Ok(found)
}

/// Appends the halves, each at its old place.
pub async fn append_halves(log: &EmbeddedLog, marks: &mut Marks) -> Result<(), BackupError> {
    for half in std::mem::take(&mut marks.halves) {
        let count = half.records.len() as u64;
        let StreamId { topic, partition } = half.stream;
        let appended = log.append(topic, partition, half.records).await?;
        if appended.base_offset != half.base_offset {
            let what = format!(
                "topic {} partition {partition} goes on at {}, not at {}",
                topic.0, appended.base_offset, half.base_offset
            );
            return Err(BackupError::refused(what, "name an offset between two batches"));
        }
        if let Some(mark) = marks.kept.iter_mut().find(|mark| mark.stream == half.stream) {
            mark.stored = appended.base_offset + count;
            mark.floor = mark.stored;
        }
    }
    Ok(())
}
