//! The ends of a process and what comes after: the log is opened again, perhaps with trouble, and
//! everything is looked at.

use super::{Broken, Outcome, Run};
use crate::checks::{Event, Moment};
use crate::draw::Draw;
use crate::live::Live;
use crate::plan::{End, Trouble};
use crate::sabotage::Sabotage;
use crate::world::tenant;
use eventlog::{EmbeddedLog, Engine, LogError};
use testkit::disk::Fault;
use types::Retention;

/// Groups that a stop may have left to write.
const COMMITS_MAX: u64 = 64;
/// How often opening is tried; faults strike at the first attempt only.
const ATTEMPTS_MAX: usize = 3;

impl Run {
    pub(super) fn prepare_sabotage(&mut self) {
        self.sabotage.prepare(&self.machine.disk);
        if self.sabotage == Sabotage::Unsealed {
            self.machine.lose_keys();
        }
    }

    pub(super) fn restart(&mut self, how: End, trouble: Trouble) -> Outcome {
        self.end(how)?;
        match trouble {
            Trouble::None => {}
            Trouble::Fault { operation, nth, failure } => {
                self.machine.disk.inject(Fault { operation, nth, failure });
            }
            Trouble::CrashAt { changes } => {
                self.machine.disk.crash_at(self.machine.disk.changes() + changes);
            }
        }
        self.open()
    }

    fn end(&mut self, how: End) -> Outcome {
        if how == End::Stop {
            // Told now, since nobody is there any more to be told afterwards.
            self.commit(COMMITS_MAX)?;
        }
        self.look_at_faults();
        self.stop_hub();
        let disk = self.machine.disk.clone();
        let Some(live) = self.live.take() else {
            disk.restart();
            return Ok(());
        };
        let mut how = how;
        match how {
            End::Stop => {
                let Live { log, driver, witness } = live;
                let health = log.health();
                driver.stop();
                drop((log, witness));
                self.collect(Moment::AfterCommit)?;
                // Relaxed records that the device refused to the end are lost as in a crash, and so
                // is what retention did when the last checkpoint failed.
                // Power may also go amid the last words.
                let has_fault = !self.look_at_faults().is_empty() || disk.is_crashed();
                if has_fault || !health.is_writable || health.pending_bytes > 0 {
                    how = if disk.is_crashed() { End::Crash } else { End::Kill };
                }
                disk.calm();
            }
            End::Crash => {
                disk.crash();
                drop(live);
                self.collect(Moment::AfterCommit)?;
            }
            End::Kill => {
                disk.halt();
                drop(live);
                self.collect(Moment::AfterCommit)?;
            }
        }
        self.waiting.clear();
        self.clients.process_ended();
        match how {
            End::Crash => disk.restart(),
            End::Kill => disk.kill_process(),
            End::Stop => {}
        }
        self.has_failed = false;
        self.tell(&Event::Ended { how })
    }

    /// Power went during a step.
    pub(super) fn after_power_loss(&mut self) -> Outcome {
        self.trace.line("  the power went".to_owned());
        self.end(End::Crash)?;
        self.open()
    }

    pub(super) fn open(&mut self) -> Outcome {
        self.counts.restarts += 1;
        for _ in 0..ATTEMPTS_MAX {
            self.look_at_faults();
            self.has_excuse = false;
            let (world, options) = (self.machine.world(), self.machine.options.clone());
            let opened = EmbeddedLog::open_driven(world, options, self.machine.specs());
            self.look_at_faults();
            match opened {
                Ok((log, driver, report)) => {
                    self.trace.line(format!("  open: {report:?}"));
                    let live = Live::new(log, driver);
                    self.live = Some(live);
                    return self.opened(&report.damaged);
                }
                Err(error) => self.not_opened(&error)?,
            }
        }
        let text = "the log does not open any more".to_owned();
        Err(Broken { checker: "the log opens", text })
    }

    fn opened(&mut self, damaged: &[String]) -> Outcome {
        if let Some(text) = damaged.first() {
            self.trouble("opening", &LogError::Failed(text.clone()))?;
        }
        for (number, bytes_max) in self.machine.tenant_bytes_max.clone() {
            let bounds = Retention { bytes_max: Some(bytes_max), ..Retention::default() };
            self.with_log(|log| log.set_tenant_retention(tenant(number), bounds));
        }
        self.tell(&Event::Opened)?;
        if self.machine.disk.is_crashed() {
            return Ok(());
        }
        self.survey_all()?;
        if self.machine.disk.is_crashed() {
            return Ok(());
        }
        self.tell(&Event::Stored)?;
        self.start_hub()
    }

    fn not_opened(&mut self, error: &LogError) -> Outcome {
        self.trouble("the log does not open", error)?;
        let is_told = super::names_a_file(error);
        if let Some((path, at, mask)) = self.flipped.take_if(|_| is_told) {
            // The operator restores it, as he was told.
            self.machine.disk.flip_bits(&path, at, mask);
        }
        if self.machine.disk.is_crashed() {
            self.machine.disk.restart();
        } else {
            self.machine.disk.kill_process();
        }
        Ok(())
    }

    /// One bit of one file.
    pub(super) fn flip(&mut self, seed: u64) {
        let draw = Draw::new(seed);
        let files: Vec<_> =
            self.machine.disk.files().into_iter().filter(|(_, len)| *len > 0).collect();
        if files.is_empty() {
            return;
        }
        let (path, len) = files[draw.below(files.len() as u64) as usize].clone();
        // Most of a file is empty: half of the flips go where the data begins.
        let at = if draw.one_in(2) { draw.below(len) } else { draw.below(len.min(100_000)) };
        let mask = 1 << draw.below(8);
        self.trace.line(format!("  flips bit {mask:#x} of byte {at} of {}", path.display()));
        if self.machine.disk.flip_bits(&path, at, mask) {
            self.may_be_damaged();
            self.flipped = Some((path, at, mask));
        }
    }

    /// The end of every run: a crash, and everything acknowledged is there.
    pub(super) fn finish(&mut self) -> Outcome {
        self.machine.disk.calm();
        self.commit(COMMITS_MAX)?;
        self.survey_all()?;
        if self.desk.is_some() {
            self.sabotage.free(&self.machine.disk);
        }
        self.restart(End::Crash, Trouble::None)?;
        self.finish_hub()?;
        self.restart(End::Stop, Trouble::None)?;
        self.search_files()
    }

    /// Nothing readable is in any file.
    fn search_files(&mut self) -> Outcome {
        if !self.machine.is_sealed() {
            return Ok(());
        }
        for (path, _) in self.machine.disk.files() {
            let bytes = self.machine.disk.bytes(&path).unwrap_or_default();
            self.tell(&Event::File { path: &path, bytes: &bytes })?;
        }
        Ok(())
    }
}
