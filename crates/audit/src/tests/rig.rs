//! A node with its trail, on a simulated disk and a clock by hand.

use crate::{AuditWorker, Config, Trail};
use eventlog::EmbeddedLog;
use hub::Node;
use identity::{Authenticator, Secrets, Settings};
use std::sync::Arc;
use stdx::{Clock, Rng};
use tenancy::{Actor, NewProject, NewTenant, Options, SYSTEM, Tenancy};
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::{ProjectId, Record, TenantId, TopicName};

/// 2026-11-21T00:00:00Z.
pub(super) const START_MS: i64 = 1_795_219_200_000;

pub(super) struct Rig {
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) trail: Arc<Trail>,
    pub(super) node: Arc<Node>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) config: Config,
    pub(super) dir: tempfile::TempDir,
    authenticator: Arc<Authenticator>,
}

pub(super) async fn rig() -> Rig {
    let dir = tempfile::tempdir().expect("a writable temporary directory");
    let manual = ManualClock::shared(START_MS);
    let clock: Arc<dyn Clock> = manual.clone();
    let rng: Arc<dyn Rng> = SeededRng::shared(5);
    let options = Options::sqlite(&dir.path().join("mainstem.db"));
    let tenancy = Tenancy::connect(&options, Arc::clone(&clock), Arc::clone(&rng)).await;
    let tenancy = Arc::new(tenancy.expect("a fresh database"));
    let secrets = Secrets::from_bytes([7; 32]);
    let authenticator = Authenticator::new(
        Arc::clone(&tenancy) as _,
        &secrets,
        Settings::default(),
        Arc::clone(&clock),
        Arc::clone(&rng),
    );
    let authenticator = Arc::new(authenticator.expect("an authenticator"));
    let world = storage::World {
        disk: SimDisk::shared(7),
        clock: Arc::clone(&clock),
        rng: Arc::clone(&rng),
        keys: None,
    };
    let mut options = eventlog::Options::new("/log");
    options.store.extent_bytes = 1 << 20;
    options.store.free_bytes_min = 0;
    let (log, _) = EmbeddedLog::open(world, options, Vec::new()).expect("a log");
    let node = Node::start(hub::Parts {
        engine: log,
        tenancy: Arc::clone(&tenancy),
        authenticator: Arc::clone(&authenticator),
        cursor_key: secrets.cursor_key(),
        world: hub::World { clock, rng: Arc::clone(&rng) },
        options: hub::Options {
            shards: 1,
            branches: 0,
            auto_create_topics: true,
            reconnect_ms_max: 1,
            presence: hub::PresenceSettings::default(),
            tenants: hub::TenantLimits::default(),
        },
    });
    let node = node.await.expect("a node");
    let trail =
        Trail::new(Arc::clone(&tenancy), Arc::clone(&authenticator), Arc::clone(&node) as _);
    let (trail, config) = (Arc::new(trail), Config::default());
    Rig { tenancy, trail, node, clock: manual, rng, config, dir, authenticator }
}

impl Rig {
    pub(super) fn worker(&self) -> AuditWorker {
        let clock: Arc<dyn Clock> = self.clock.clone();
        AuditWorker::new(Arc::clone(&self.trail), self.config.clone(), clock, Arc::clone(&self.rng))
    }

    /// Brings everything to the log.
    pub(super) async fn publish(&self) {
        let mut worker = self.worker();
        while worker.turn().await.expect("the database answers").published > 0 {}
    }

    /// Makes a tenant with a project: two records.
    pub(super) async fn project(&self, name: &str) -> (TenantId, ProjectId) {
        let by = Actor::operator();
        let new = NewTenant { name: name.to_owned(), ..NewTenant::default() };
        let tenant = self.tenancy.create_tenant(new, &by).await.expect("a tenant").id;
        let new = NewProject { name: name.to_owned(), ..NewProject::default() };
        (tenant, self.tenancy.create_project(tenant, new, &by).await.expect("a project").id)
    }

    /// Puts a record of one's own making into the topic, as somebody inside could.
    pub(super) async fn forge(&self, text: &str) {
        use port::Hub;
        let system = self.tenancy.bootstrap(SYSTEM, &Actor::system()).await.expect("a project");
        let who = self.authenticator.platform(system.project.id).await.expect("the platform");
        let record = Record { value: Some(text.to_owned().into()), ..Record::default() };
        let placed = self.node.append(&who, &TopicName::audit(), vec![record]).await;
        placed.expect("the platform may write");
    }

    /// All texts of the topic in their order.
    pub(super) async fn texts(&self) -> Vec<String> {
        let read = self.trail.read(None, 1_000, std::time::Duration::ZERO).await;
        read.expect("the log answers").into_iter().map(|entry| entry.text).collect()
    }
}

impl Rig {
    /// An operator in a project.
    pub(super) async fn operator(&self, project: ProjectId) -> port::Identity {
        self.authenticator.operator(project).await.expect("an operator")
    }
}
