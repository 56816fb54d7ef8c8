//! What is said of each check of the running process. It must not judge.

use crate::{Area, Check, Severity};

pub(super) static RUNS_AS_ROOT: Check = Check {
    id: "runs-as-root",
    area: Area::Running,
    severity: Severity::Warning,
    title: "The server runs as root",
    why: "A fault in it is a fault in the whole machine.",
    cure: "Run it as a user of its own; ports below 1024 need `CAP_NET_BIND_SERVICE` only.",
};

pub(super) static DISK_LOW: Check = Check {
    id: "disk-low",
    area: Area::Running,
    severity: Severity::Warning,
    title: "The disk is nearly full",
    why: "When it is full, publishes are refused, and so is whatever the trail would tell.",
    cure: "Give the log more room, or keep less: docs/operating/runbook-disk-full.md.",
};

pub(super) static CLOCK_JUMPED: Check = Check {
    id: "clock-jumped",
    area: Area::Running,
    severity: Severity::Warning,
    title: "The machine's clock jumped",
    why: "Sessions, tokens, expiry of keys and the order of the trail depend on it.",
    cure: "Let the clock follow a time server (chrony, systemd-timesyncd) that slews instead of \
          stepping.",
};

pub(super) static KEY_RING_FAILED: Check = Check {
    id: "key-ring-failed",
    area: Area::Running,
    severity: Severity::Critical,
    title: "The key ring cannot be written",
    why: "New tenants get no keys, and keys cannot be rotated or shredded.",
    cure: "`mainstem keys-at-rest status` says why.",
};

pub(super) static CHANGES_WAIT: Check = Check {
    id: "changes-wait",
    area: Area::Running,
    severity: Severity::Info,
    title: "Changes of the configuration wait for a restart",
    why: "What somebody believes to be in force is not.",
    cure: "Restart the server when it suits, or take the changes back.",
};

pub(super) static BACKUP_NONE: Check = Check {
    id: "backup-none",
    area: Area::Running,
    severity: Severity::Warning,
    title: "There is no backup",
    why: "What is lost with the disk is lost for good.",
    cure: "`mainstem backup create`, and let the server make them by itself: \
          `backup.every_minutes`.",
};

pub(super) static BACKUP_OLD: Check = Check {
    id: "backup-old",
    area: Area::Running,
    severity: Severity::Warning,
    title: "The newest backup is old",
    why: "All that was acknowledged since would be lost with the disk.",
    cure: "`mainstem backup status` says why; `mainstem backup create` makes one now.",
};

/// All of them.
pub(crate) static ALL: &[&Check] = &[
    &RUNS_AS_ROOT,
    &DISK_LOW,
    &CLOCK_JUMPED,
    &KEY_RING_FAILED,
    &CHANGES_WAIT,
    &BACKUP_NONE,
    &BACKUP_OLD,
];
