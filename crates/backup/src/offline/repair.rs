//! Mending what can be mended without inventing anything: indexes and checkpoints are made anew
//! from frames, what nobody was told of is cut, what nobody can read is set aside. Damaged records
//! are left where they are: reading them answers an error, and only a backup has them.

use super::{Finding, LogDir, Survey};
use crate::BackupError;
use eventlog::StreamMark;
use std::path::Path;
use stdx::disk::Open;
use storage::offline::{self, Content, Used};
use storage::{ExtentCut, ExtentId};
use types::{Offset, TimestampMs};

/// Offsets left out where nothing says any more which ones were given: as many as a partition may
/// have given without storing them.
const LEAP: Offset = 1 << 20;
/// Copies are made in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;
const CHECKPOINT: &str = "checkpoint";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// End the extent behind its last whole frame.
    CutTail { extent: ExtentId, data_end: u64, bytes: u64 },
    /// Forget the footer: the next start makes it from the frames.
    RebuildFooter { extent: ExtentId, data_end: u64 },
    /// Move the file out of the log's way.
    Quarantine { extent: ExtentId },
    /// Make the checkpoint from the frames.
    RebuildCheckpoint { partitions: usize },
    /// Nothing can be done here; it says what else.
    Leave { what: String, advice: &'static str },
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Action::CutTail { extent, data_end, bytes } => {
                write!(f, "cut {bytes} bytes off extent {extent}: it then ends at {data_end}")
            }
            Action::RebuildFooter { extent, .. } => {
                write!(f, "drop the footer of extent {extent}: the next start makes it anew")
            }
            Action::Quarantine { extent } => write!(f, "move extent {extent} out of the way"),
            Action::RebuildCheckpoint { partitions } => write!(
                f,
                "make the checkpoint anew from the frames of {partitions} partitions; each goes \
                 on {LEAP} offsets further"
            ),
            Action::Leave { what, advice } => write!(f, "leave as it is: {what}; {advice}"),
        }
    }
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    pub done: usize,
    /// Where copies of all that was changed or taken away are.
    pub copies: Option<String>,
}

impl LogDir {
    /// What mending would do, by what a survey found.
    pub fn plan(&self, survey: &Survey) -> Result<Vec<Action>, BackupError> {
        survey.findings.iter().map(|finding| self.action(finding, survey)).collect()
    }

    fn action(&self, finding: &Finding, survey: &Survey) -> Result<Action, BackupError> {
        let data_end = |extent| {
            let scanned = offline::scan(&*self.disk, &self.extents, extent, &mut |_, _, _| {});
            scanned.map(|scanned| scanned.data_end)
        };
        Ok(match finding {
            Finding::Headless { extent } => Action::Quarantine { extent: *extent },
            Finding::TornTail { extent, bytes } => {
                let (extent, bytes) = (*extent, *bytes);
                Action::CutTail { extent, data_end: data_end(extent)?, bytes }
            }
            Finding::Footer { extent } => {
                Action::RebuildFooter { extent: *extent, data_end: data_end(*extent)? }
            }
            Finding::Checkpoint { .. } | Finding::NoCheckpoint => {
                Action::RebuildCheckpoint { partitions: survey.streams.len() }
            }
            Finding::Damage { .. } | Finding::Missing { .. } => Action::Leave {
                what: finding.to_string(),
                advice: "reading there answers LOG_DAMAGED; restore the records from a backup",
            },
        })
    }

    /// Does it. What is changed is copied to a directory of its own beside the log first.
    pub fn apply(
        &self,
        survey: &Survey,
        actions: &[Action],
        now: TimestampMs,
    ) -> Result<Repaired, BackupError> {
        let copies = self.dir.join(format!("removed-{now}"));
        let mut repaired = Repaired::default();
        for action in actions {
            let is_change = !matches!(action, Action::Leave { .. });
            if is_change && repaired.copies.is_none() {
                let place = copies.display().to_string();
                self.disk.create_dir(&copies).map_err(BackupError::io(&*place))?;
                repaired.copies = Some(place);
            }
            match action {
                Action::Leave { .. } => {}
                Action::CutTail { extent, data_end, .. }
                | Action::RebuildFooter { extent, data_end } => {
                    self.copy(&self.extent_path(*extent), &copies)?;
                    self.close(*extent, *data_end)?;
                }
                Action::Quarantine { extent } => {
                    let from = self.extent_path(*extent);
                    let place = from.display().to_string();
                    let to = copies.join(offline::file_name(*extent));
                    self.disk.rename(&from, &to).map_err(BackupError::io(&*place))?;
                    self.disk.flush_dir(&copies).map_err(BackupError::io(&*place))?;
                    self.disk.flush_dir(&self.extents).map_err(BackupError::io(place))?;
                }
                Action::RebuildCheckpoint { .. } => self.rebuild_checkpoint(survey, &copies)?,
            }
            repaired.done += usize::from(is_change);
        }
        Ok(repaired)
    }

    fn extent_path(&self, extent: ExtentId) -> std::path::PathBuf {
        self.extents.join(offline::file_name(extent))
    }

    /// Ends the extent there and says so in its last block, which the next start believes.
    fn close(&self, extent: ExtentId, data_end: u64) -> Result<(), BackupError> {
        let file = offline::look(&*self.disk, &self.extents, extent)?;
        let Content::Used(Used { generation, salt, .. }) = file.content else { return Ok(()) };
        let data_end = data_end.next_multiple_of(offline::HEAD_BYTES);
        let file_bytes = file.file_bytes;
        let cut = ExtentCut { extent, generation, salt, data_end, file_bytes };
        Ok(offline::close_copy(&*self.disk, &self.extents, &cut)?)
    }

    fn rebuild_checkpoint(&self, survey: &Survey, copies: &Path) -> Result<(), BackupError> {
        let path = self.dir.join(CHECKPOINT);
        let place = || BackupError::io(path.display().to_string());
        let names = self.disk.list(&self.dir).map_err(place())?;
        if names.iter().any(|name| name.as_os_str() == CHECKPOINT) {
            self.copy(&path, copies)?;
        }
        let marks: Vec<StreamMark> = survey
            .streams
            .iter()
            .map(|(stream, held)| StreamMark {
                stream: *stream,
                start: held.first_offset,
                stored: held.next_offset,
                floor: held.next_offset + LEAP,
            })
            .collect();
        eventlog::write_marks(&*self.disk, &self.dir, &marks).map_err(place())
    }

    fn copy(&self, from: &Path, to_dir: &Path) -> Result<(), BackupError> {
        let place = || BackupError::io(from.display().to_string());
        let to = to_dir.join(from.file_name().unwrap_or_default());
        let source = self.disk.open(from, Open::Read).map_err(place())?;
        let target = self.disk.open(&to, Open::Write).map_err(place())?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        loop {
            let read = source.read_at(&mut piece, at).map_err(place())?;
            if read == 0 {
                break;
            }
            let bytes = piece.get(..read).unwrap_or_default();
            target.write_at(bytes, at).map_err(place())?;
            at += read as u64;
        }
        target.flush().map_err(place())?;
        self.disk.flush_dir(to_dir).map_err(place())
    }
}
