//! Backups of a running server: one at a time, started by an operator or by the clock, watched and
//! cancelled from outside. It must not know how operators reach it.

use crate::create::{self, Source, Wanted};
use crate::manifest::Manifest;
use crate::repository::Repository;
use crate::seal::BackupKey;
use crate::target::{self, Address, S3};
use crate::{BackupError, Progress};
use parking_lot::Mutex;
use port::metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stdx::disk::Open;
use stdx::{Disk, Rng};
use tenancy::Actor;
use tokio::task::JoinHandle;
use types::TimestampMs;

/// How the server makes backups of itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where backups go when nobody says otherwise: a directory on another disk, or
    /// `s3://bucket/prefix`.
    pub to: Option<String>,
    /// Minutes between backups that the server makes by itself; absent makes none. Incremental,
    /// with a full one in 64.
    pub every_minutes: Option<u32>,
    /// Backups kept, with all that they need; older ones go after each backup. Absent keeps all.
    pub keep: Option<u32>,
    /// Mebibytes read in a second at most; 0 for no limit.
    pub mib_per_second_max: u32,
    /// The S3-compatible store.
    pub s3: S3,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            to: None,
            every_minutes: None,
            keep: None,
            mib_per_second_max: 64,
            s3: S3::default(),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `None`: where the settings say.
    pub to: Option<String>,
    pub wanted: Wanted,
    /// `None`: as the settings say.
    pub keep: Option<u32>,
}

/// What is going on, and how the last one ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub running: Option<Running>,
    pub last: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub to: String,
    pub started_ms: TimestampMs,
    /// Bytes of the log to be copied; 0 until that is known.
    pub expected_bytes: u64,
    pub copied_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub to: String,
    pub ended_ms: TimestampMs,
    pub outcome: Result<Made, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub id: String,
    pub is_full: bool,
    /// What it brought; files of earlier backups not counted.
    pub bytes: u64,
    /// Everything acknowledged until then is in it.
    pub cut_ms: TimestampMs,
    /// Older backups that were given up.
    pub pruned: Vec<String>,
}

pub struct Backups {
    source: Source,
    key: BackupKey,
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Job>,
    last: Option<Ended>,
    task: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Job {
    to: String,
    started_ms: TimestampMs,
    progress: Arc<Progress>,
}

impl std::fmt::Debug for Backups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backups").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Backups {
    pub fn new(source: Source, key: BackupKey, settings: Settings) -> Arc<Backups> {
        Arc::new(Backups { source, key, settings, state: Mutex::default() })
    }

    /// Begins one and answers at once. `Busy` while another is under way.
    pub async fn start(self: &Arc<Self>, request: Request, by: &Actor) -> Result<(), BackupError> {
        let to = request.to.clone().or_else(|| self.settings.to.clone()).ok_or_else(|| {
            let advice = "name a directory or `s3://bucket/prefix` with --to, or set `backup.to`";
            BackupError::refused("nobody said where the backup is to go", advice)
        })?;
        let address = Address::parse(&to)?;
        let progress = self.enter(&to)?;
        let details = json!({"to": to, "full": request.wanted == Wanted::Full});
        if let Err(error) = self.source.tenancy.note("backup.create", &to, details, by).await {
            self.state.lock().running = None;
            return Err(error.into());
        }
        let this = Arc::clone(self);
        let runtime = self.source.runtime.clone();
        let work = move || this.work(&to, &address, &request, &progress);
        self.state.lock().task = Some(runtime.spawn_blocking(work));
        Ok(())
    }

    fn enter(&self, to: &str) -> Result<Arc<Progress>, BackupError> {
        let mut state = self.state.lock();
        if state.running.is_some() {
            return Err(BackupError::Busy);
        }
        let rate = u64::from(self.settings.mib_per_second_max) << 20;
        let progress = Arc::new(Progress::new((rate > 0).then_some(rate)));
        let started_ms = self.source.clock.now_ms();
        let to = to.to_owned();
        state.running = Some(Job { to, started_ms, progress: Arc::clone(&progress) });
        Ok(progress)
    }

    fn work(&self, to: &str, address: &Address, request: &Request, progress: &Progress) {
        let started = self.source.clock.monotonic();
        let made = self.make(address, request, progress);
        let took = self.source.clock.monotonic().saturating_sub(started);
        let ended_ms = self.source.clock.now_ms();
        metrics::histogram!(metric::BACKUP_DURATION).record(took.as_secs_f64());
        let details = match &made {
            Ok(made) => {
                metrics::gauge!(metric::BACKUP_LAST).set(made.cut_ms as f64 / 1_000.0);
                metrics::gauge!(metric::BACKUP_BYTES).set(made.bytes as f64);
                tracing::info!(id = made.id, bytes = made.bytes, ?took, to, "backup made");
                json!({"id": made.id, "bytes": made.bytes, "pruned": made.pruned})
            }
            Err(error) => {
                metrics::counter!(metric::BACKUP_FAILURES).increment(1);
                tracing::error!(%error, to, "no backup was made");
                json!({"error": error.to_string()})
            }
        };
        let action = if made.is_ok() { "backup.made" } else { "backup.failed" };
        let by = Actor::system();
        let noted = self.source.tenancy.note(action, to, details, &by);
        if let Err(error) = self.source.runtime.block_on(noted) {
            tracing::error!(%error, "the audit trail lacks the end of a backup");
        }
        let outcome = made.map_err(|error| error.to_string());
        let mut state = self.state.lock();
        state.running = None;
        state.last = Some(Ended { to: to.to_owned(), ended_ms, outcome });
    }

    fn make(
        &self,
        address: &Address,
        request: &Request,
        progress: &Progress,
    ) -> Result<Made, BackupError> {
        let (disk, runtime) = (&self.source.disk, &self.source.runtime);
        let target = target::open(address, disk, &self.settings.s3, runtime)?;
        let repository = Repository { target, key: self.key.clone() };
        let manifest = create::create(&self.source, &repository, request.wanted, progress)?;
        let keep = request.keep.or(self.settings.keep);
        let pruned = match keep {
            // The backup is made whatever becomes of the old ones.
            Some(keep) => repository.prune(keep as usize).unwrap_or_else(|error| {
                tracing::warn!(%error, "old backups were not given up");
                Vec::new()
            }),
            None => Vec::new(),
        };
        Ok(Made::of(&manifest, pruned))
    }

    pub fn status(&self) -> Status {
        let state = self.state.lock();
        let running = state.running.as_ref().map(|job| Running {
            to: job.to.clone(),
            started_ms: job.started_ms,
            expected_bytes: job.progress.expected_bytes(),
            copied_bytes: job.progress.copied_bytes(),
        });
        Status { running, last: state.last.clone() }
    }

    /// Whether there was one to cancel. It ends soon after.
    pub async fn cancel(&self, by: &Actor) -> Result<bool, BackupError> {
        let Some(job) = self.state.lock().running.clone() else { return Ok(false) };
        job.progress.cancel();
        self.source.tenancy.note("backup.cancel", &job.to, json!({}), by).await?;
        Ok(true)
    }

    /// Makes one every now and then, as the settings say; ends when dropped.
    pub async fn keep_time(self: Arc<Self>) {
        let Some(minutes) = self.settings.every_minutes.filter(|&minutes| minutes > 0) else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(Duration::from_secs(60 * u64::from(minutes))).await;
            let request = Request { to: None, wanted: Wanted::Incremental, keep: None };
            if let Err(error) = self.start(request, &Actor::system()).await {
                tracing::error!(%error, "the backup that was due was not begun");
            }
        }
    }

    /// Cancels what is under way and waits for its end: the server goes.
    pub async fn stop(&self) {
        let task = {
            let mut state = self.state.lock();
            if let Some(job) = &state.running {
                job.progress.cancel();
            }
            state.task.take()
        };
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a backup ended with a panic");
        }
    }
}

impl Made {
    fn of(manifest: &Manifest, pruned: Vec<String>) -> Made {
        Made {
            id: manifest.id.clone(),
            is_full: manifest.parent.is_none(),
            bytes: manifest.own_bytes(),
            cut_ms: manifest.cut_ms,
            pruned,
        }
    }
}

/// What names a data directory, made when it has no name yet. A restored directory gets a new one:
/// backups of it never build on those of its source.
pub fn instance(disk: &dyn Disk, data_dir: &Path, rng: &dyn Rng) -> Result<String, BackupError> {
    const FILE: &str = "instance.id";
    const DIGITS: usize = 16;
    let path = data_dir.join(FILE);
    let failed = || BackupError::io(path.display().to_string());
    if disk.list(data_dir).map_err(failed())?.iter().any(|name| name.as_os_str() == FILE) {
        let mut text = vec![0; DIGITS];
        let file = disk.open(&path, Open::Read).map_err(failed())?;
        let read = file.read_at(&mut text, 0).map_err(failed())?;
        let is_whole = read == DIGITS && text.iter().all(u8::is_ascii_hexdigit);
        return String::from_utf8(text).ok().filter(|_| is_whole).ok_or_else(|| {
            let what = format!("{} does not hold {DIGITS} hexadecimal digits", path.display());
            BackupError::refused(what, "remove the file: the next backup is then a full one")
        });
    }
    let id = format!("{:016x}", rng.next_u64());
    let draft = data_dir.join(format!("{FILE}.new"));
    let file = disk.open(&draft, Open::Write).map_err(failed())?;
    file.set_len(0).map_err(failed())?;
    file.write_at(id.as_bytes(), 0).map_err(failed())?;
    file.flush().map_err(failed())?;
    disk.rename(&draft, &path).map_err(failed())?;
    disk.flush_dir(data_dir).map_err(failed())?;
    Ok(id)
}
