//! Making a backup of a running log: first the cut, then the extents' bytes up to it, then the
//! metadata, last the manifest. What was acknowledged before the cut is in it; the extents are held
//! in place while they are copied, and the copy yields when it is told to.

use crate::manifest::{self, Extent, FORMAT, File, Kind, Manifest, Stream};
use crate::repository::Repository;
use crate::seal::{Sealing, hexadecimal};
use crate::target::{Claim, PIECE_BYTES, Writing};
use crate::{BackupError, Progress};
use aws_lc_rs::digest;
use eventlog::{EmbeddedLog, LogCut};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stdx::disk::Open;
use stdx::{Clock, Disk, Rng};
use storage::{ExtentCut, offline};
use tenancy::{DumpSize, Tenancy};
use types::TimestampMs;

/// How long the extents are held without progress: a store that does not answer for longer loses
/// the backup, not the log its space.
pub const LEASE: Duration = Duration::from_secs(120);
/// What an interrupted backup left in a shared store is removed when it is this old.
const ABANDONED_AFTER_MS: i64 = 24 * 3_600_000;
/// Incremental backups in a row at most: a restore needs all of them.
pub const CHAIN_MAX: usize = 64;

/// Which backup is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Full,
    /// On top of the newest one that can be built on, or else a full one.
    Incremental,
}

/// What a backup is made from.
pub struct Source {
    pub log: Arc<EmbeddedLog>,
    pub tenancy: Arc<Tenancy>,
    pub disk: Arc<dyn Disk>,
    /// Where the extents are.
    pub extents_dir: std::path::PathBuf,
    /// Which data directory this is.
    pub instance: String,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub runtime: tokio::runtime::Handle,
}

/// `20261121T151700123Z-0123abcd`: sorts by age, also when two are made at once or the clock was
/// set back.
pub fn new_id(now: TimestampMs, newest: Option<&str>, rng: &dyn Rng) -> String {
    let now = newest.and_then(time_of).map_or(now, |newest| now.max(newest + 1));
    let time = jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let (seconds, ms) = (time.strftime("%Y%m%dT%H%M%S"), time.subsec_millisecond());
    format!("{seconds}{ms:03}Z-{:08x}", rng.next_u64() as u32)
}

fn time_of(id: &str) -> Option<TimestampMs> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", id.get(..15)?).ok()?;
    let ms: TimestampMs = id.get(15..18)?.parse().ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond() + ms)
}

/// Makes one. Blocks. After an error what was written is removed again, as far as that is
/// possible; the rest is swept by a later backup.
pub fn create(
    source: &Source,
    repository: &Repository,
    wanted: Wanted,
    progress: &Progress,
) -> Result<Manifest, BackupError> {
    let claim = repository.target.claim()?;
    let now = source.clock.now_ms();
    let is_abandoned = |id: &str| match &claim {
        Claim::Sole(_) => true,
        Claim::Shared => time_of(id).is_some_and(|at| now - at > ABANDONED_AFTER_MS),
    };
    let swept = repository.sweep(is_abandoned)?;
    if swept > 0 {
        tracing::info!(swept, "files of interrupted backups were removed");
    }
    let newest_id = repository.newest_id()?;
    let id = new_id(now, newest_id.as_deref(), &*source.rng);
    let parent = match wanted {
        Wanted::Full => None,
        Wanted::Incremental => newest(repository, &source.instance)?,
    };
    let mut making = Making { source, repository, progress, id, files: Vec::new() };
    let made = making.make(parent, now);
    if made.is_err() {
        for file in &making.files {
            if let Err(error) = repository.target.remove(&file.name) {
                tracing::warn!(%error, file = file.name, "a file of a failed backup stays");
            }
        }
    }
    made
}

/// The newest backup of this very data directory, unless the chain is long enough.
fn newest(repository: &Repository, instance: &str) -> Result<Option<Manifest>, BackupError> {
    let mut manifests = repository.usable()?;
    manifests.retain(|manifest| manifest.instance == instance);
    manifests.sort_unstable_by(|left, right| left.id.cmp(&right.id));
    let since_full = manifests.iter().rev().take_while(|found| found.kind == Kind::Incremental);
    if since_full.count() >= CHAIN_MAX {
        return Ok(None);
    }
    Ok(manifests.pop())
}

struct Making<'a> {
    source: &'a Source,
    repository: &'a Repository,
    progress: &'a Progress,
    id: String,
    /// Written so far.
    files: Vec<File>,
}

impl Making<'_> {
    fn make(
        &mut self,
        parent: Option<Manifest>,
        started_ms: TimestampMs,
    ) -> Result<Manifest, BackupError> {
        let cut = self.source.runtime.block_on(self.source.log.cut(LEASE))?;
        let parent = parent.as_ref();
        let wanted_bytes = cut.extents.iter().map(|extent| self.missing(extent, parent)).sum();
        self.progress.expect(wanted_bytes);
        let (extents, inherited) = self.copy_extents(&cut, parent)?;
        let heads = self.copy_heads(&cut)?;
        // From here on the log may have its space back.
        let LogCut { at: cut_ms, marks, pin, .. } = cut;
        drop(pin);
        let (metadata, records) = self.dump()?;
        let mut files = inherited;
        files.extend(self.files.iter().cloned());
        let manifest = Manifest {
            format: FORMAT,
            id: self.id.clone(),
            kind: if parent.is_some() { Kind::Incremental } else { Kind::Full },
            parent: parent.map(|parent| parent.id.clone()),
            key: self.repository.key.fingerprint().to_owned(),
            instance: self.source.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms,
            cut_ms,
            finished_ms: self.source.clock.now_ms(),
            streams: marks.iter().map(Stream::of).collect(),
            extents,
            heads,
            metadata,
            records,
            files,
        };
        self.progress.check()?;
        let bytes = manifest.encode(&self.repository.key)?;
        let mut out = self.repository.target.begin(&manifest.file_name())?;
        out.write(&bytes)?;
        out.finish()?;
        Ok(manifest)
    }

    /// Bytes that no earlier backup has.
    fn missing(&self, cut: &ExtentCut, parent: Option<&Manifest>) -> u64 {
        let had = held(cut, parent).map_or(offline::HEAD_BYTES, |extent| extent.data_end);
        cut.data_end.saturating_sub(had)
    }

    fn copy_extents(
        &mut self,
        cut: &LogCut,
        parent: Option<&Manifest>,
    ) -> Result<(Vec<Extent>, Vec<File>), BackupError> {
        let mut extents = Vec::with_capacity(cut.extents.len());
        let mut inherited = Vec::new();
        for extent in &cut.extents {
            let before = held(extent, parent);
            let mut parts = before.map_or_else(Vec::new, |before| before.parts.clone());
            let files = parts.iter().filter_map(|part| parent?.file(part)).cloned();
            inherited.extend(files);
            let from = before.map_or(offline::HEAD_BYTES, |before| before.data_end);
            if from < extent.data_end {
                parts.push(self.copy_part(cut, extent, from)?);
            }
            extents.push(Extent {
                extent: extent.extent.0,
                generation: extent.generation,
                salt: extent.salt,
                data_end: extent.data_end,
                file_bytes: extent.file_bytes,
                parts,
            });
        }
        Ok((extents, inherited))
    }

    fn copy_part(
        &mut self,
        cut: &LogCut,
        extent: &ExtentCut,
        from: u64,
    ) -> Result<String, BackupError> {
        let (number, generation) = (extent.extent, extent.generation);
        let name = format!("{}.{number}-{generation}-{from}.part", self.id);
        let path = self.source.extents_dir.join(offline::file_name(extent.extent));
        let place = path.display().to_string();
        let file = self.source.disk.open(&path, Open::Read).map_err(BackupError::io(&*place))?;
        let mut out = self.begin(&name)?;
        let mut at = from;
        let mut buffer = vec![0; PIECE_BYTES];
        while at < extent.data_end {
            self.progress.check()?;
            cut.pin.renew()?;
            let wanted = PIECE_BYTES.min((extent.data_end - at) as usize);
            let piece = buffer.get_mut(..wanted).unwrap_or_default();
            let read = file.read_at(piece, at).map_err(BackupError::io(&*place))?;
            if read < wanted {
                let message = "the extent is shorter than it was".to_owned();
                return Err(BackupError::Io { place, message });
            }
            // Only now is it certain that what was read is what was pinned.
            cut.pin.renew()?;
            out.write(piece)?;
            at += wanted as u64;
            self.progress.copied(wanted as u64);
        }
        self.finish(out)?;
        Ok(name)
    }

    /// The first blocks may change while the rest does not, so each backup has its own.
    fn copy_heads(&mut self, cut: &LogCut) -> Result<String, BackupError> {
        let name = format!("{}.heads", self.id);
        let mut out = self.begin(&name)?;
        for extent in &cut.extents {
            let path = self.source.extents_dir.join(offline::file_name(extent.extent));
            out.write(&read_head(&*self.source.disk, &path)?)?;
            cut.pin.renew()?;
        }
        self.finish(out)?;
        Ok(name)
    }

    fn dump(&mut self) -> Result<(String, DumpSize), BackupError> {
        let name = format!("{}.metadata", self.id);
        let mut sealing = Sealing::new(&self.repository.key, &self.id, &name);
        let mut out = self.begin(&name)?;
        let mut failure = None;
        let mut sink = |piece: &[u8]| {
            let written = self.progress.check().and_then(|()| out.write(&sealing.push(piece)));
            written.map_err(|error| {
                let text = error.to_string();
                failure = Some(error);
                std::io::Error::other(text)
            })
        };
        let dumped = self.source.runtime.block_on(self.source.tenancy.dump(&mut sink));
        if let Some(error) = failure {
            return Err(error);
        }
        let size = dumped?;
        out.write(&sealing.finish())?;
        self.finish(out)?;
        Ok((name, size))
    }

    fn begin(&mut self, name: &str) -> Result<Counted, BackupError> {
        let out = self.repository.target.begin(name)?;
        let digest = digest::Context::new(&digest::SHA256);
        Ok(Counted { name: name.to_owned(), out, digest, bytes: 0 })
    }

    fn finish(&mut self, counted: Counted) -> Result<(), BackupError> {
        let sha256 = hexadecimal(counted.digest.finish().as_ref());
        let file = File { name: counted.name, bytes: counted.bytes, sha256 };
        debug_assert!(manifest::is_name(&file.name));
        // Listed first, so that one that failed half-way is removed as well.
        self.files.push(file);
        counted.out.finish()
    }
}

/// A file under way with what the manifest will say of it.
struct Counted {
    name: String,
    out: Box<dyn Writing>,
    digest: digest::Context,
    bytes: u64,
}

impl Counted {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write(bytes)
    }
}

fn held<'a>(cut: &ExtentCut, parent: Option<&'a Manifest>) -> Option<&'a Extent> {
    let found = parent?.extents.iter().find(|extent| extent.is(cut))?;
    (found.data_end <= cut.data_end).then_some(found)
}

fn read_head(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, BackupError> {
    let place = path.display().to_string();
    let mut head = vec![0; offline::HEAD_BYTES as usize];
    let file = disk.open(path, Open::Read).map_err(BackupError::io(&*place))?;
    let read = file.read_at(&mut head, 0).map_err(BackupError::io(&*place))?;
    if read < head.len() {
        return Err(BackupError::Io { place, message: "the extent has no header".to_owned() });
    }
    Ok(head)
}
