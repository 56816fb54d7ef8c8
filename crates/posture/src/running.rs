//! The checks of the process that runs, and of its machine.

mod checks;

use crate::{Finding, Severity};
pub(crate) use checks::ALL;
use checks::*;
use types::TimestampMs;

/// Of the disk that has the log.
const DISK_FREE_LOW: f64 = 0.15;
const DISK_FREE_LAST: f64 = 0.05;
/// How far the time of day may go from the time that passed between two looks.
const CLOCK_JUMP_MS_MAX: i64 = 2_000;
/// A backup that is made by itself may be so many of its intervals late.
const BACKUP_INTERVALS_MAX: i64 = 3;
/// Where none is made by itself.
const BACKUP_AGE_MS_MAX: i64 = 7 * 24 * 3_600_000;

/// The time of day and the time since some moment, read together, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    pub wall_ms: [TimestampMs; 2],
    pub passed_ms: [i64; 2],
}

impl Clocks {
    /// How far the time of day was set forward, or back.
    pub fn jump_ms(&self) -> i64 {
        let [wall_first, wall_second] = self.wall_ms;
        let [first, second] = self.passed_ms;
        (wall_second - wall_first) - (second - first)
    }
}

/// What is known of the process and its machine. What is not known is not judged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Running {
    pub now: TimestampMs,
    pub is_root: bool,
    /// Between 0 and 1.
    pub disk_free: Option<f64>,
    /// The greatest jump that was seen, in milliseconds.
    pub clock_jump_ms: i64,
    /// Why the key ring cannot be written.
    pub key_ring_failure: Option<String>,
    /// Keys of the configuration that wait for a restart.
    pub waiting: Vec<String>,
    /// When the last good backup was made; `None`: the trail knows of none.
    pub backup_at: Option<TimestampMs>,
    pub backup_every_minutes: Option<u32>,
    /// When the process began: a fresh one need not have a backup.
    pub started_at: TimestampMs,
}

/// What is not as it should be.
pub fn findings(running: &Running) -> Vec<Finding> {
    let mut found = Vec::new();
    if running.is_root {
        found.push(RUNS_AS_ROOT.found("process", "its user is root"));
    }
    if let Some(free) = running.disk_free.filter(|free| *free < DISK_FREE_LOW) {
        let severity = if free < DISK_FREE_LAST { Severity::Critical } else { Severity::Warning };
        let text = format!("{:.0} % of the log's file system is free", 100.0 * free);
        found.push(DISK_LOW.found("disk", text).with_severity(severity));
    }
    let jump = running.clock_jump_ms;
    if jump.abs() > CLOCK_JUMP_MS_MAX {
        let text = format!("by {jump} ms between two looks");
        found.push(CLOCK_JUMPED.found("clock", text));
    }
    if let Some(failure) = &running.key_ring_failure {
        found.push(KEY_RING_FAILED.found("keys", failure.clone()));
    }
    if !running.waiting.is_empty() {
        let text = format!("of {}", running.waiting.join(", "));
        found.push(CHANGES_WAIT.found("configuration", text));
    }
    backup(running, &mut found);
    found
}

fn backup(running: &Running, found: &mut Vec<Finding>) {
    let every_ms = running.backup_every_minutes.filter(|minutes| *minutes > 0);
    let every_ms = every_ms.map(|minutes| i64::from(minutes) * 60_000);
    let age_ms_max = every_ms.map_or(BACKUP_AGE_MS_MAX, |every| BACKUP_INTERVALS_MAX * every);
    match running.backup_at {
        Some(at) if running.now - at > age_ms_max => {
            let hours = (running.now - at) / 3_600_000;
            found.push(BACKUP_OLD.found("backup", format!("it was made {hours} hours ago")));
        }
        Some(_) => {}
        None if running.now - running.started_at > age_ms_max => {
            found.push(BACKUP_NONE.found("backup", "the audit trail knows of none"));
        }
        None => {}
    }
}
