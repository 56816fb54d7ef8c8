//! A data directory from a backup: verified first, then the log's extents, cut back to the wanted
//! moment, then the metadata, so that a server opens it as if it had been closed in order. Nothing
//! that is there is touched: the directory must be empty.

mod layout;
mod point;

pub use layout::LogTarget;
pub use point::{Place, Point, parse_places};

use crate::BackupError;
use crate::manifest::{File, Manifest};
use crate::repository::Repository;
use eventlog::{EmbeddedLog, TopicSpec};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::Disk;
use stdx::disk::Open;
use storage::{StreamId, World};
use tenancy::Tenancy;
use types::Offset;

/// A directory that has this file is not a whole data directory: no server opens it.
pub const UNFINISHED: &str = "restore.unfinished";
/// Offsets left out behind each partition's end by default: a reader may hold cursors of records
/// that the source took after the backup, and must never find others under their offsets.
pub const GAP: Offset = 1 << 32;

/// What is wanted.
#[derive(Clone)]
pub struct Order {
    /// The backup, or the one that the point asks for.
    pub backup: Option<String>,
    pub data_dir: PathBuf,
    pub point: Point,
    /// Offsets left out behind each partition's end.
    pub gap: Offset,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    pub backup: String,
    pub extents: usize,
    pub bytes: u64,
    pub partitions: usize,
    /// Partitions that end before the backup did.
    pub cut_partitions: usize,
}

/// Chooses the backup that reaches the point with the least beyond it.
pub fn choose(repository: &Repository, order: &Order) -> Result<Manifest, BackupError> {
    if let Some(id) = &order.backup {
        let manifest = repository.manifest(id)?;
        return point::reaches(&manifest, &order.point).map(|()| manifest);
    }
    let mut manifests = repository.usable()?;
    manifests.sort_unstable_by(|left, right| left.id.cmp(&right.id));
    let newest = manifests.last().cloned();
    let found = match order.point {
        Point::Time(_) => {
            manifests.into_iter().find(|manifest| point::reaches(manifest, &order.point).is_ok())
        }
        Point::End | Point::Places(_) => newest.clone(),
    };
    match (found, newest) {
        (Some(found), _) => Ok(found),
        (None, Some(newest)) => Err(point::reaches(&newest, &order.point)
            .err()
            .unwrap_or_else(|| BackupError::Missing("a backup that reaches the time".into()))),
        (None, None) => {
            let what = format!("{} holds no backup that can be used", repository.target.describe());
            Err(BackupError::refused(what, "`mainstem backup list` says why, one by one"))
        }
    }
}

/// That nothing is in the directory, which is made when it is missing.
pub fn check_empty(dir: &Path) -> Result<(), BackupError> {
    let place = dir.display().to_string();
    std::fs::create_dir_all(dir).map_err(BackupError::io(&*place))?;
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .map_err(BackupError::io(&*place))?
        .take(5)
        .map_while(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort_unstable();
    if names.iter().any(|name| name == UNFINISHED) {
        let what = format!("{place} holds a restore that did not end");
        return Err(BackupError::refused(what, "remove the directory and restore again"));
    }
    if !names.is_empty() {
        let what = format!("{place} is not empty: it holds {}", names.join(", "));
        return Err(BackupError::refused(what, "name a directory that is empty or not there yet"));
    }
    Ok(())
}

/// Writes the mark that keeps servers from a directory under way.
pub fn mark_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), BackupError> {
    let place = || BackupError::io(dir.display().to_string());
    let file = disk.open(&dir.join(UNFINISHED), Open::Write).map_err(place())?;
    file.flush().map_err(place())?;
    disk.flush_dir(dir).map_err(place())
}

/// Takes the mark away: the directory is whole.
pub fn mark_finished(disk: &dyn Disk, dir: &Path) -> Result<(), BackupError> {
    let place = || BackupError::io(dir.display().to_string());
    disk.remove(&dir.join(UNFINISHED)).map_err(place())?;
    disk.flush_dir(dir).map_err(place())
}

/// Reads every file that the backup needs before anything is written.
pub fn verify(
    repository: &Repository,
    manifest: &Manifest,
    each: &mut dyn FnMut(&File) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    repository.verify(manifest, each).map(|_| ())
}

/// Fills an empty database with the backup's metadata. Blocks.
pub fn metadata(
    repository: &Repository,
    manifest: &Manifest,
    database: &tenancy::Options,
    runtime: &tokio::runtime::Handle,
) -> Result<(), BackupError> {
    repository
        .read_metadata(manifest, |source| Ok(runtime.block_on(Tenancy::load(database, source))?))?;
    Ok(())
}

/// Writes the log and opens it once, so that all that is in it was read and nothing is left for the
/// server's first start. Blocks.
pub fn log(
    repository: &Repository,
    manifest: &Manifest,
    order: &Order,
    into: &LogTarget,
    topics: &[(TopicSpec, String)],
) -> Result<Restored, BackupError> {
    let bytes = layout::write_extents(repository, manifest, into)?;
    let ends = point::ends(manifest, &order.point, into, topics)?;
    let mut marks = layout::cut_back(manifest, &ends, into)?;
    let specs: Vec<TopicSpec> = topics.iter().map(|(spec, _)| spec.clone()).collect();
    eventlog::write_marks(&*into.world.disk, &into.options.dir, &marks.kept)
        .map_err(BackupError::io(into.options.dir.display().to_string()))?;
    let (log, report) = open(into, &specs)?;
    into.runtime.block_on(layout::append_halves(&log, &mut marks))?;
    into.runtime.block_on(log.close());
    drop(log);
    if let Some(damage) = report.damaged.first() {
        tracing::warn!(damage, "the backup holds records that were damaged when it was made");
    }
    let streams: Vec<StreamId> = marks.kept.iter().map(|mark| mark.stream).collect();
    eventlog::leave_gaps(&*into.world.disk, &into.options.dir, &streams, order.gap)
        .map_err(BackupError::io(into.options.dir.display().to_string()))?;
    Ok(Restored {
        backup: manifest.id.clone(),
        extents: manifest.extents.len(),
        bytes,
        partitions: marks.kept.len(),
        cut_partitions: marks.cut,
    })
}

type Opened = (Arc<EmbeddedLog>, eventlog::OpenReport);

fn open(into: &LogTarget, specs: &[TopicSpec]) -> Result<Opened, BackupError> {
    let mut options = into.options.clone();
    options.maintain_interval = None;
    let world: World = into.world.clone();
    // The log's calls need a runtime around them.
    let _entered = into.runtime.enter();
    Ok(EmbeddedLog::open(world, options, specs.to_vec())?)
}
