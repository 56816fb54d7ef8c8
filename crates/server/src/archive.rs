//! What joins backups to this binary: the running server's own, and the commands that work on a
//! place of backups or on a data directory that no server has open.

mod commands;
mod log;

pub use commands::Backup;
pub use log::LogCommand;

use crate::app::{StartError, World};
use crate::config::Config;
use backup::seal::BackupKey;
use backup::{BackupError, Backups, Source, instance};
use eventlog::EmbeddedLog;
use identity::Secrets;
use secrecy::ExposeSecret;
use std::path::Path;
use std::sync::Arc;
use stdx::Disk;
use stdx::disk::SystemDisk;
use tenancy::Tenancy;

/// What the root secret's derived key for backups is called.
const PURPOSE: &str = "backup";

fn key(secrets: &Secrets) -> BackupKey {
    BackupKey::new(secrets.derive(PURPOSE).expose_secret())
}

/// A restore that was interrupted leaves a directory that must not be served.
pub fn check_whole(data_dir: &Path) -> Result<(), StartError> {
    if data_dir.join(backup::restore::UNFINISHED).exists() {
        let cause = "a restore into it did not end: remove it and restore again".to_owned();
        return Err(StartError::Data { path: data_dir.to_owned(), cause });
    }
    Ok(())
}

/// Backups of the server that is about to run.
pub fn backups(
    config: &Config,
    world: &World,
    secrets: &Secrets,
    log: &Arc<EmbeddedLog>,
    tenancy: &Arc<Tenancy>,
) -> Result<Arc<Backups>, StartError> {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let failed = |error: BackupError| StartError::Data {
        path: config.data_dir.clone(),
        cause: error.to_string(),
    };
    let instance = instance(&*disk, &config.data_dir, &*world.rng).map_err(failed)?;
    let source = Source {
        log: Arc::clone(log),
        tenancy: Arc::clone(tenancy),
        disk,
        extents_dir: eventlog::Options::new(config.data_dir.join("log")).store.dir,
        instance,
        clock: Arc::clone(&world.clock),
        rng: Arc::clone(&world.rng),
        runtime: tokio::runtime::Handle::current(),
    };
    Ok(Backups::new(source, key(secrets), config.backup.clone()))
}
