//! `mainstem backup`: what the running server does is asked of it; the rest is done here, with a
//! place of backups and the secret of the installation that made them.

use super::key;
use crate::app::World;
use crate::config::{self, Config};
use crate::key_files;
use backup::manifest::{File, Kind, Manifest};
use backup::restore::{self, GAP, LogTarget, Order, Point};
use backup::target::{self, Address, S3};
use backup::{BackupError, Repository};
use clap::{Args, Subcommand};
use cli::target::Target;
use eventlog::TopicSpec;
use identity::Secrets;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::Disk;
use stdx::disk::SystemDisk;
use storage::DataKeys;
use tenancy::Tenancy;
use tokio::runtime::Runtime;

#[derive(Subcommand)]
pub enum Backup {
    /// Makes a backup of the running server.
    Create(cli::backup::Create),
    /// Shows the backup under way, and how the last one ended.
    Status,
    /// Cancels the backup under way.
    Cancel,
    /// Lists the backups in a place.
    List(At),
    /// Reads all that a backup needs and compares it with what its manifest says.
    Verify {
        #[command(flatten)]
        at: At,
        /// The newest one when absent.
        backup: Option<String>,
    },
    /// Fills an empty data directory from a backup, up to any moment of it.
    Restore(Restore),
    /// Gives a backup up; refused while a later one needs it.
    Remove {
        #[command(flatten)]
        at: At,
        backup: String,
    },
}

/// A place of backups and what opens it.
#[derive(Args)]
pub struct At {
    /// A directory, or `s3://bucket/prefix` (with AWS_* in the environment).
    #[arg(long)]
    from: String,
    /// The secret.key of the installation that made the backups.
    #[arg(long, default_value = "data/secret.key")]
    secret_key: PathBuf,
}

#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    at: At,
    /// Where to: a directory that is empty or not there yet.
    #[arg(long)]
    data_dir: PathBuf,
    /// The `keys` directory of the installation, or one that `keys-at-rest import` made: without it
    /// sealed records cannot be read. Copied into the data directory.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// The configuration that the server will run with, for where its root key comes from.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The backup's id; the newest one when absent, or the one that the time asks for.
    #[arg(long)]
    backup: Option<String>,
    /// Ends with what was acknowledged at this time, `2026-11-21T15:04:05Z`.
    #[arg(long, conflicts_with = "to_offset")]
    to_time: Option<String>,
    /// `topic/partition=offset`: the first offset left out. May be repeated; other partitions end
    /// with the backup.
    #[arg(long)]
    to_offset: Vec<String>,
    /// An empty PostgreSQL database for the metadata; in the data directory when absent.
    #[arg(long, env = "MAINSTEM_RESTORE_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Offsets left out behind the end of each partition, so that no reader's old cursor finds
    /// other records than it stands behind.
    #[arg(long, default_value_t = GAP)]
    offset_gap: u64,
}

impl Backup {
    pub fn run(self, target: &Target) -> Result<(), String> {
        let runtime = crate::commands::runtime()?;
        match self {
            Backup::Create(create) => runtime.block_on(create.run(target)),
            Backup::Status => runtime.block_on(cli::backup::status(target)),
            Backup::Cancel => runtime.block_on(cli::backup::cancel(target)),
            Backup::List(at) => list(&at, &runtime).map_err(text),
            Backup::Verify { at, backup } => verify(&at, backup, &runtime).map_err(text),
            Backup::Restore(restore) => restore.run(&runtime).map_err(text),
            Backup::Remove { at, backup } => {
                at.open(&runtime).and_then(|found| found.remove(&backup)).map_err(text)
            }
        }
    }
}

fn text(error: BackupError) -> String {
    error.to_string()
}

impl At {
    fn secrets(&self) -> Result<Secrets, BackupError> {
        let refused = |what: String| {
            BackupError::refused(what, "name the installation's secret.key with --secret-key")
        };
        if !self.secret_key.exists() {
            return Err(refused(format!("{} is not there", self.secret_key.display())));
        }
        let rng = World::system().rng;
        Secrets::load_or_create(&self.secret_key, &*rng).map_err(|error| refused(error.to_string()))
    }

    fn open(&self, runtime: &Runtime) -> Result<Repository, BackupError> {
        let secrets = self.secrets()?;
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let address = Address::parse(&self.from)?;
        if let Address::Directory(path) = &address
            && !path.is_dir()
        {
            let what = format!("{} is no directory", path.display());
            return Err(BackupError::refused(what, "name the place of the backups with --from"));
        }
        let target = target::open(&address, &disk, &S3::default(), runtime.handle())?;
        Ok(Repository { target, key: key(&secrets) })
    }
}

fn time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_string()
}

fn list(at: &At, runtime: &Runtime) -> Result<(), BackupError> {
    let listed = at.open(runtime)?.list()?;
    if listed.is_empty() {
        println!("no backups in {}", at.from);
    }
    for found in listed {
        match found.manifest {
            Ok(manifest) => println!("{}", line(&manifest)),
            Err(error) => println!("{}  cannot be used: {error}", found.id),
        }
    }
    Ok(())
}

fn line(manifest: &Manifest) -> String {
    let kind = match manifest.kind {
        Kind::Full => "full",
        Kind::Incremental => "incremental",
    };
    let parent = manifest.parent.as_deref().map(|parent| format!("  on {parent}"));
    format!(
        "{}  {kind:<11}  reaches {}  {} bytes of its own  {} partitions{}",
        manifest.id,
        time(manifest.cut_ms),
        manifest.own_bytes(),
        manifest.streams.len(),
        parent.unwrap_or_default()
    )
}

fn newest(repository: &Repository) -> Result<Manifest, BackupError> {
    let order = Order { backup: None, data_dir: PathBuf::new(), point: Point::End, gap: GAP };
    restore::choose(repository, &order)
}

fn verify(at: &At, backup: Option<String>, runtime: &Runtime) -> Result<(), BackupError> {
    let repository = at.open(runtime)?;
    let manifest = match backup {
        Some(id) => repository.manifest(&id)?,
        None => newest(&repository)?,
    };
    let verified = repository.verify(&manifest, &mut |_: &File| Ok(()))?;
    let (files, bytes) = (verified.files, verified.bytes);
    println!("{}  whole: {files} files, {bytes} bytes", manifest.id);
    Ok(())
}

impl Restore {
    fn settings(&self) -> Result<Config, BackupError> {
        let source = config::Source::with_environment(self.config.clone());
        let mut settings = config::load(&source).map_err(|error| {
            BackupError::refused(error.to_string(), "name the server's configuration with --config")
        })?;
        settings.data_dir = self.data_dir.clone();
        Ok(settings)
    }

    fn point(&self) -> Result<Point, BackupError> {
        if let Some(text) = &self.to_time {
            let parsed: Result<jiff::Timestamp, _> = text.parse();
            let time = parsed.map_err(|_| {
                let what = format!("`{text}` is no time");
                BackupError::refused(what, "write it as 2026-11-21T15:04:05Z")
            })?;
            return Ok(Point::Time(time.as_millisecond()));
        }
        match self.to_offset.as_slice() {
            [] => Ok(Point::End),
            places => Ok(Point::Places(restore::parse_places(places)?)),
        }
    }

    fn run(self, runtime: &Runtime) -> Result<(), BackupError> {
        let (data_dir, gap) = (self.data_dir.clone(), self.offset_gap);
        let order = Order { backup: self.backup.clone(), data_dir, point: self.point()?, gap };
        restore::check_empty(&order.data_dir)?;
        let repository = self.at.open(runtime)?;
        let manifest = restore::choose(&repository, &order)?;
        eprintln!("verifying {}", manifest.id);
        restore::verify(&repository, &manifest, &mut |_: &File| Ok(()))?;
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        restore::mark_unfinished(&*disk, &order.data_dir)?;
        copy_secret(&self.at.secret_key, &order.data_dir.join("secret.key"))?;
        if let Some(keys) = &self.keys {
            copy_keys(keys, &order.data_dir.join("keys"))?;
        }
        eprintln!("writing metadata");
        let database = match &self.database_url {
            Some(url) => tenancy::Options::new(url),
            None => tenancy::Options::sqlite(&order.data_dir.join("metadata.sqlite")),
        };
        restore::metadata(&repository, &manifest, &database, runtime.handle())?;
        eprintln!("writing the log");
        let topics = runtime.block_on(topics(&database))?;
        let into = log_target(&self.settings()?, runtime)?;
        let restored = restore::log(&repository, &manifest, &order, &into, &topics);
        let restored = restored.map_err(|error| match error {
            BackupError::Store(error @ storage::StoreError::NoKey { .. }) => {
                let to = order.data_dir.display();
                let advice = format!("remove {to} and restore again with the keys: --keys DIR");
                BackupError::refused(error.to_string(), advice)
            }
            error => error,
        })?;
        restore::mark_finished(&*disk, &order.data_dir)?;
        println!(
            "{} restored to {}: {} partitions ({} cut back), {} extents, {} bytes",
            restored.backup,
            order.data_dir.display(),
            restored.partitions,
            restored.cut_partitions,
            restored.extents,
            restored.bytes
        );
        Ok(())
    }
}

/// The key that the metadata's hashes and sealed secrets depend on, for its owner only.
fn copy_secret(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |error: std::io::Error| BackupError::Io {
        place: to.display().to_string(),
        message: error.to_string(),
    };
    let bytes = fs::read(from).map_err(failed)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    std::io::Write::write_all(&mut file, &bytes).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Every file of the directory, for the owner only.
fn copy_keys(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |place: &Path| {
        let place = place.display().to_string();
        move |error: std::io::Error| BackupError::Io { place, message: error.to_string() }
    };
    let mut made = fs::DirBuilder::new();
    made.mode(0o700).create(to).map_err(failed(to))?;
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        if entry.path().is_file() {
            copy_secret(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    fs::File::open(to).and_then(|dir| dir.sync_all()).map_err(failed(to))
}

/// All topics of a metadata database, with their names.
pub async fn topics(database: &tenancy::Options) -> Result<Vec<(TopicSpec, String)>, BackupError> {
    let World { clock, rng } = World::system();
    let tenancy = Tenancy::connect(database, clock, rng).await?;
    let topics = tenancy.all_topics().await?;
    tenancy.close().await?;
    let spec = |topic: tenancy::Topic| {
        let name = topic.name.to_string();
        let (id, tenant, project) = (topic.id, topic.tenant, topic.project);
        (TopicSpec { id, tenant, project, config: topic.config }, name)
    };
    Ok(topics.into_iter().map(spec).collect())
}

/// The ring of a data directory that has one: without it sealed records stay ciphertext, and a new
/// one would open none of them.
fn keyring(settings: &Config, runtime: &Runtime) -> Result<Option<Arc<dyn DataKeys>>, BackupError> {
    let ring = settings.data_dir.join("keys").join("ring");
    if !ring.exists() {
        return Ok(None);
    }
    let opened = runtime.block_on(key_files::open(settings, &World::system()));
    let opened = opened.map_err(|error| {
        let what = format!("{} cannot be opened: {error}", ring.display());
        let advice = "name the configuration that says where the root key comes from, --config";
        BackupError::refused(what, advice)
    })?;
    Ok(opened.map(|ring| ring as Arc<dyn DataKeys>))
}

/// The log of a data directory, to be written by a restore or read by a command.
pub fn log_target(settings: &Config, runtime: &Runtime) -> Result<LogTarget, BackupError> {
    let World { clock, rng } = World::system();
    let mut options = eventlog::Options::new(settings.data_dir.join("log"));
    // Only what is appended here goes to extents of this size.
    options.store.extent_bytes = 16 << 20;
    let keys = keyring(settings, runtime)?;
    let world = storage::World { disk: Arc::new(SystemDisk), clock, rng, keys };
    Ok(LogTarget { world, options, runtime: runtime.handle().clone() })
}
