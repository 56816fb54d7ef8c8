//! A log's directory that no server has open: what is in it, whether it is whole, and what can be
//! mended. Looking changes nothing; mending keeps a copy of all that it takes away.

mod repair;

pub use repair::{Action, Repaired};

use crate::BackupError;
use eventlog::{LastEnd, StreamMark};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::Disk;
use stdx::disk::Lock;
use storage::offline::{self, Content, ExtentFile, Scanned};
use storage::{ExtentId, StreamId};
use types::Offset;

/// The directory, held against servers as long as this lives.
pub struct LogDir {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    extents: PathBuf,
    _lock: Box<dyn Lock>,
}

/// What all extents together hold of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub frames: u64,
    pub bytes: u64,
    pub extents: u32,
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Nobody can say what the extent holds.
    Headless { extent: ExtentId },
    /// Acknowledged bytes that are not what they were.
    Damage { extent: ExtentId, from: u64, to: u64, reason: &'static str, lost: Vec<String> },
    /// The end of a commit that was never acknowledged: what a crash leaves.
    TornTail { extent: ExtentId, bytes: u64 },
    /// An index that does not say what the frames do.
    Footer { extent: ExtentId },
    /// The checkpoint cannot be read.
    Checkpoint { reason: String },
    /// Extents hold records and nothing says which offsets were given.
    NoCheckpoint,
    /// Records that were stored are in no extent.
    Missing { stream: StreamId, from: Offset, to: Offset },
}

impl Finding {
    /// Whether acknowledged records are affected.
    pub fn is_loss(&self) -> bool {
        match self {
            Finding::Headless { .. } | Finding::Damage { .. } | Finding::Missing { .. } => true,
            Finding::TornTail { .. } | Finding::Footer { .. } => false,
            Finding::Checkpoint { .. } | Finding::NoCheckpoint => false,
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::Headless { extent } => {
                write!(f, "extent {extent}: neither copy of its header is whole")
            }
            Finding::Damage { extent, from, to, reason, lost } => {
                write!(f, "extent {extent}, bytes {from}..{to}: {reason}")?;
                lost.iter().try_for_each(|range| write!(f, "; {range}"))
            }
            Finding::TornTail { extent, bytes } => {
                write!(f, "extent {extent}: {bytes} bytes of a commit that nobody was told of")
            }
            Finding::Footer { extent } => {
                write!(f, "extent {extent}: its footer does not say what its frames do")
            }
            Finding::Checkpoint { reason } => write!(f, "the checkpoint: {reason}"),
            Finding::NoCheckpoint => write!(f, "the checkpoint is missing"),
            Finding::Missing { stream, from, to } => write!(
                f,
                "topic {} partition {}: offsets {from}..{to} were stored and are in no extent",
                stream.topic.0, stream.partition
            ),
        }
    }
}

/// Everything a look through the directory came to.
#[derive(Debug, Default)]
pub struct Survey {
    pub extents: u64,
    pub free_extents: u64,
    pub frames: u64,
    pub bytes: u64,
    pub streams: BTreeMap<StreamId, Held>,
    pub marks: Vec<StreamMark>,
    pub last_end: Option<LastEnd>,
    pub findings: Vec<Finding>,
}

impl LogDir {
    /// Takes the log of a data directory; refused while a server has it.
    pub fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<LogDir, BackupError> {
        let dir = data_dir.join("log");
        let extents = eventlog::Options::new(&dir).store.dir;
        let place = extents.display().to_string();
        match disk.list(&extents) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("{} holds no log", data_dir.display());
                let advice = "name the server's data directory with --data-dir";
                return Err(BackupError::refused(what, advice));
            }
            listed => drop(listed.map_err(BackupError::io(&*place))?),
        }
        let lock = disk.lock(&extents.join(offline::LOCK_NAME));
        let lock = lock.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                let what = format!("a server has {} open", data_dir.display());
                BackupError::refused(what, "stop it first: this looks at a log that stands still")
            }
            _ => BackupError::io(place)(error),
        })?;
        Ok(LogDir { disk, dir, extents, _lock: lock })
    }

    /// What each file says about itself, without reading what it holds.
    pub fn files(&self) -> Result<Vec<ExtentFile>, BackupError> {
        let place = self.extents.display().to_string();
        let extents = offline::list(&*self.disk, &self.extents).map_err(BackupError::io(place))?;
        let look = |extent| Ok(offline::look(&*self.disk, &self.extents, extent)?);
        extents.into_iter().map(look).collect()
    }

    /// Reads everything and checks every checksum. `each` sees what every file came to.
    pub fn survey(
        &self,
        each: &mut dyn FnMut(&ExtentFile, Option<&Scanned>),
    ) -> Result<Survey, BackupError> {
        let mut survey = Survey::default();
        for file in self.files()? {
            match &file.content {
                Content::Headless => {
                    survey.findings.push(Finding::Headless { extent: file.extent });
                    each(&file, None);
                }
                Content::Free { .. } => {
                    survey.free_extents += 1;
                    each(&file, None);
                }
                Content::Used(_) => {
                    let scanned = self.scan(&file, &mut survey)?;
                    each(&file, Some(&scanned));
                }
            }
        }
        self.compare(&mut survey);
        Ok(survey)
    }

    fn scan(&self, file: &ExtentFile, survey: &mut Survey) -> Result<Scanned, BackupError> {
        let (disk, dir, extent) = (&*self.disk, &self.extents, file.extent);
        let scanned = offline::scan(disk, dir, extent, &mut |_, _, _| {})?;
        survey.extents += 1;
        survey.frames += scanned.frames;
        survey.bytes += scanned.data_end;
        for span in &scanned.spans {
            let held = survey.streams.entry(span.stream).or_insert(Held {
                first_offset: span.first_offset,
                next_offset: span.next_offset,
                frames: 0,
                bytes: 0,
                extents: 0,
            });
            held.first_offset = held.first_offset.min(span.first_offset);
            held.next_offset = held.next_offset.max(span.next_offset);
            held.frames += u64::from(span.frames);
            held.bytes += span.bytes;
            held.extents += 1;
        }
        if scanned.tail_cut_bytes > 0 {
            survey.findings.push(Finding::TornTail { extent, bytes: scanned.tail_cut_bytes });
        }
        for damage in &scanned.damaged {
            let lost = damage.ranges.iter().map(|range| {
                let StreamId { topic, partition } = range.stream;
                format!(
                    "topic {} partition {partition} offsets {}..{}",
                    topic.0, range.from, range.to
                )
            });
            survey.findings.push(Finding::Damage {
                extent,
                from: damage.from_position,
                to: damage.to_position,
                reason: damage.reason,
                lost: lost.collect(),
            });
        }
        let is_whole = scanned.damaged.is_empty();
        if is_whole && offline::footer_fits(disk, dir, extent, &scanned)? == Some(false) {
            survey.findings.push(Finding::Footer { extent });
        }
        Ok(scanned)
    }

    /// The checkpoint against what the extents hold.
    fn compare(&self, survey: &mut Survey) {
        match eventlog::read_marks(&*self.disk, &self.dir) {
            Err(error) => {
                survey.findings.push(Finding::Checkpoint { reason: error.to_string() });
            }
            Ok(None) if survey.streams.is_empty() => {}
            Ok(None) => survey.findings.push(Finding::NoCheckpoint),
            Ok(Some((marks, last_end))) => {
                for mark in &marks {
                    let held = survey.streams.get(&mark.stream);
                    let end = held.map_or(0, |held| held.next_offset).max(mark.start);
                    if end < mark.stored {
                        let (stream, to) = (mark.stream, mark.stored);
                        survey.findings.push(Finding::Missing { stream, from: end, to });
                    }
                }
                survey.marks = marks;
                survey.last_end = Some(last_end);
            }
        }
    }
}
