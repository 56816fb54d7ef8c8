//! The whole way on real and simulated disks: a log that takes records, backups of it, and what
//! comes back.

mod chains;
mod faults;
mod manifests;
mod object;
mod offline;
mod points;

use crate::manifest::Manifest;
use crate::restore::{self, LogTarget, Order, Point};
use crate::seal::BackupKey;
use crate::target::{self, Address, S3};
use crate::{BackupError, Content, Progress, Repository, Source, Wanted, contents, create};
use bytes::Bytes;
use eventlog::{EmbeddedLog, Engine, TopicSpec};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::Disk;
use stdx::disk::SystemDisk;
use storage::World;
use tempfile::TempDir;
use tenancy::{Actor, NewProject, NewTenant, Tenancy};
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use types::{Key, ProjectId, Record, TenantId, TopicConfig, TopicId, TopicName};

pub const NOW_MS: i64 = 1_795_219_200_000;

/// One installation on real files, with a clock of its own.
pub struct Bed {
    pub dir: TempDir,
    pub clock: Arc<ManualClock>,
    pub tenancy: Arc<Tenancy>,
    pub log: Arc<EmbeddedLog>,
    pub specs: Vec<TopicSpec>,
    pub names: Vec<String>,
    pub place: String,
}

pub fn key() -> BackupKey {
    BackupKey::new(&[7; 32])
}

pub fn world(clock: &Arc<ManualClock>, disk: Arc<dyn Disk>, seed: u64) -> World {
    World { disk, clock: clock.clone(), rng: SeededRng::shared(seed), keys: None }
}

pub fn options(data_dir: &Path) -> eventlog::Options {
    let mut options = eventlog::Options::new(data_dir.join("log"));
    options.store.extent_bytes = 1 << 20;
    options.store.free_bytes_min = 0;
    options.maintain_interval = None;
    options
}

impl Bed {
    /// Two topics, of two partitions and of one.
    pub async fn new() -> Bed {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = ManualClock::shared(NOW_MS);
        let data = dir.path().join("data");
        std::fs::create_dir_all(&data).expect("made");
        let tenancy = open_records(&data, &clock).await;
        let by = Actor::operator();
        let new = NewTenant { name: "acme".into(), ..NewTenant::default() };
        let tenant = tenancy.create_tenant(new, &by).await.expect("a tenant").id;
        let new = NewProject { name: "shop".into(), ..NewProject::default() };
        let project = tenancy.create_project(tenant, new, &by).await.expect("a project").id;
        let (mut specs, mut names) = (Vec::new(), Vec::new());
        for (name, partitions) in [("orders", 2), ("events", 1)] {
            let config = TopicConfig { partitions, ..TopicConfig::default() };
            specs.push(topic(&tenancy, tenant, project, name, config).await);
            names.push(name.to_owned());
        }
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let opened = EmbeddedLog::open(world(&clock, disk, 3), options(&data), specs.clone());
        let (log, _) = opened.expect("opens");
        let place = dir.path().join("backups").display().to_string();
        Bed { dir, clock, tenancy, log, specs, names, place }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn topic(&self, index: usize) -> TopicId {
        self.specs[index].id
    }

    pub async fn append(&self, topic: usize, partition: u32, values: &[&str]) -> u64 {
        let records = values.iter().map(|text| record(text)).collect();
        let appended = self.log.append(self.topic(topic), partition, records).await;
        appended.expect("is stored").base_offset
    }

    /// Records enough to fill several extents.
    pub async fn fill(&self, label: &str) {
        let large = "x".repeat(60_000);
        for number in 0..40_u32 {
            let text = format!("{label} {number} {large}");
            self.append(0, number % 2, &[&text, "small"]).await;
            self.append(1, 0, &[&text]).await;
        }
    }

    pub fn source(&self) -> Source {
        Source {
            log: Arc::clone(&self.log),
            tenancy: Arc::clone(&self.tenancy),
            disk: Arc::new(SystemDisk),
            extents_dir: options(&self.data()).store.dir,
            instance: "00000000000000aa".into(),
            clock: self.clock.clone(),
            rng: SeededRng::shared(u64::try_from(stdx::Clock::now_ms(&*self.clock)).expect("now")),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    pub fn repository(&self) -> Repository {
        open(&self.place, &key())
    }

    /// The clock stands still: backups of one moment have an order too.
    pub async fn backup(&self, wanted: Wanted) -> Result<Manifest, BackupError> {
        let (source, place) = (self.source(), self.place.clone());
        blocking(move || create(&source, &open(&place, &key()), wanted, &Progress::new(None))).await
    }

    /// Restores to a directory of that name and opens what came out.
    pub async fn restore(&self, name: &str, point: Point) -> Result<Restored, BackupError> {
        self.restore_one(name, point, None).await
    }

    pub async fn restore_one(
        &self,
        name: &str,
        point: Point,
        backup: Option<String>,
    ) -> Result<Restored, BackupError> {
        let data = self.dir.path().join(name);
        let (place, clock) = (self.place.clone(), self.clock.clone());
        let order = Order { backup, data_dir: data.clone(), point, gap: 1_000 };
        let runtime = tokio::runtime::Handle::current();
        let (specs, names) = (self.specs.clone(), self.names.clone());
        let report = blocking(move || {
            restore::check_empty(&order.data_dir)?;
            let repository = open(&place, &key());
            let manifest = restore::choose(&repository, &order)?;
            restore::verify(&repository, &manifest, &mut |_| Ok(()))?;
            let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
            restore::mark_unfinished(&*disk, &order.data_dir)?;
            let database = tenancy::Options::sqlite(&order.data_dir.join("metadata.sqlite"));
            restore::metadata(&repository, &manifest, &database, &runtime)?;
            let world = world(&clock, Arc::clone(&disk), 8);
            let options = options(&order.data_dir);
            let into = LogTarget { world, options, runtime };
            let topics: Vec<_> = specs.into_iter().zip(names).collect();
            let report = restore::log(&repository, &manifest, &order, &into, &topics)?;
            restore::mark_finished(&*disk, &order.data_dir)?;
            Ok::<_, BackupError>(report)
        })
        .await?;
        let tenancy = open_records(&data, &self.clock).await;
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let opened =
            EmbeddedLog::open(world(&self.clock, disk, 9), options(&data), self.specs.clone());
        let (log, opening) = opened?;
        assert_eq!(opening.damaged, Vec::<String>::new());
        Ok(Restored { report, tenancy, log })
    }

    pub async fn contents(&self) -> Vec<Content> {
        contents(&self.log, &self.specs, &|_, _| None).await.expect("read")
    }
}

pub struct Restored {
    pub report: restore::Restored,
    pub tenancy: Arc<Tenancy>,
    pub log: Arc<EmbeddedLog>,
}

impl Restored {
    pub async fn contents(&self, bed: &Bed) -> Vec<Content> {
        contents(&self.log, &bed.specs, &|_, _| None).await.expect("read")
    }
}

pub fn open(place: &str, key: &BackupKey) -> Repository {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let address = Address::parse(place).expect("a place");
    let target = match &address {
        Address::Directory(path) => {
            Arc::new(target::Directory::open(disk, path).expect("opens")) as Arc<dyn target::Target>
        }
        Address::S3(_) => {
            let runtime = tokio::runtime::Handle::current();
            target::open(&address, &disk, &S3::default(), &runtime).expect("opens")
        }
    };
    Repository { target, key: key.clone() }
}

pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

async fn open_records(data: &Path, clock: &Arc<ManualClock>) -> Arc<Tenancy> {
    let options = tenancy::Options::sqlite(&data.join("metadata.sqlite"));
    let rng = SeededRng::shared(4);
    Arc::new(Tenancy::connect(&options, clock.clone(), rng).await.expect("opens"))
}

async fn topic(
    tenancy: &Tenancy,
    tenant: TenantId,
    project: ProjectId,
    name: &str,
    config: TopicConfig,
) -> TopicSpec {
    let name = TopicName::parse(name).expect("a name");
    let created = tenancy.create_topic(tenant, project, &name, &config, &Actor::operator()).await;
    TopicSpec { id: created.expect("a topic").id, tenant, project, config }
}

pub fn record(text: &str) -> Record {
    Record {
        key: Key::new(Bytes::copy_from_slice(&text.as_bytes()[..text.len().min(5)])).ok(),
        value: Some(Bytes::copy_from_slice(text.as_bytes())),
        ..Record::default()
    }
}
