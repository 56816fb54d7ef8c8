//! From configuration to a running server and back: build, serve, drain. Whatever can be wrong is
//! found before traffic: bad settings, a data directory in use, a taken port.

use crate::config::{Config, ConfigError, Loaded};
use crate::health::{Health, MetricsRoute, Told};
use crate::key_files;
use crate::processes::Processes;
use crate::rounds::{Rounds, Workers};
use crate::running::Running;
use crate::setup::Setup;
use crate::telemetry::Instruments;
use crate::watching::Watching;
use crate::{archive, console, protocols};
use axum::Router;
use edge::{Edge, Faces, PublicPort};
use eventlog::{EmbeddedLog, Engine};
use hub::Node;
use identity::{Authenticator, OperatorTokens, People, PeopleParts, Sealer, Secrets};
use mail::{Mailer, Postman};
use metrics_exporter_prometheus::PrometheusHandle;
use port::{Live, Mounts};
use secrecy::{ExposeSecret, SecretString};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use stdx::disk::SystemDisk;
use stdx::{Clock, Rng, SystemClock, SystemRng};
use tenancy::Tenancy;
use tokio::sync::watch;

/// A start that failed, for people.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("the data directory {path}: {cause}")]
    Data { path: PathBuf, cause: String },
    #[error("the metadata database: {0}")]
    Database(#[from] tenancy::TenancyError),
    #[error("encryption at rest: {0}")]
    Keys(#[from] keys::KeysError),
    #[error("the log: {0}")]
    Log(#[from] eventlog::LogError),
    #[error("{0}")]
    Refused(#[from] port::Refusal),
    #[error("{0}")]
    Edge(#[from] edge::EdgeError),
    #[error("{0}")]
    Other(String),
}

/// Clock and randomness of the process.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

impl World {
    pub fn system() -> World {
        World { clock: SystemClock::shared(), rng: SystemRng::shared() }
    }

    pub fn for_edge(&self) -> edge::World {
        edge::World { clock: Arc::clone(&self.clock), rng: Arc::clone(&self.rng) }
    }
}

pub struct App {
    pub tenancy: Arc<Tenancy>,
    pub authenticator: Arc<Authenticator>,
    running: Arc<Running>,
    backups: Arc<backup::Backups>,
    workers: Workers,
    postman: Option<Postman>,
    /// Told of the drain: who follows it would not end by himself.
    trail: Arc<audit::Trail>,
    log: Arc<EmbeddedLog>,
    node: Arc<Node>,
    edge: Edge,
    /// With several processes: lets the workers in.
    owner: Option<link::Owner>,
    config: Config,
    metrics: PrometheusHandle,
    is_draining: Arc<AtomicBool>,
    started: Instant,
}

impl App {
    /// Opens everything and binds the ports; nothing is served yet.
    pub async fn build(
        loaded: impl Into<Loaded>,
        operators: &[SecretString],
        instruments: &Instruments,
    ) -> Result<App, StartError> {
        let (started, loaded) = (Instant::now(), loaded.into());
        let (given, config) = (loaded.config.clone(), own_part(&loaded.config));
        let (mounts, world) = (protocols::mount_all(&config.protocols)?, World::system());
        let secrets = open_secrets(&config, &world)?;
        let tenancy = Arc::new(open_database(&config, &world).await?);
        let keyring = key_files::open(&config, &world).await?;
        let log = open_log(&config, &world, &tenancy, keyring.clone()).await?;
        let authenticator = open_authenticator(&config, &world, &tenancy, &secrets)?;
        let node = start_node(&config, &world, &log, &tenancy, &authenticator, &secrets).await?;
        let mut health = open_health(Arc::clone(&log) as _, &tenancy, &keyring, instruments);
        let rates = Arc::new(control::Rates::new(config.admin.rate, Arc::clone(&world.clock)));
        let running = Arc::new(Running::new(loaded, instruments.log.clone(), Arc::clone(&rates)));
        let backups = archive::backups(&config, &world, &secrets, &log, &tenancy)?;
        let (sealer, at) = (Arc::new(secrets.sealer(Arc::clone(&world.rng))), (&config, &world));
        let webhooks = open_webhooks(&config, &world, &tenancy, &authenticator, &sealer, &node)?;
        let (people, postman, mailer) = open_people(&config, &world, &tenancy, &secrets)?;
        let watching = Watching::open(at, &tenancy, &authenticator, &node, &sealer, mailer)?;
        let mut control = control::Control {
            tenancy: Arc::clone(&tenancy),
            authenticator: Arc::clone(&authenticator),
            sealer,
            operators: Arc::new(OperatorTokens::new(operators).map_err(other)?),
            people,
            hub: Arc::clone(&node) as _,
            groups: mounts.groups.clone(),
            live: Arc::clone(&node) as _,
            webhooks,
            trail: Arc::clone(&watching.trail),
            alerts: Some(watching.alerts.clone()),
            configuration: Some(Arc::clone(&running) as _),
            process: None,
            setup: None,
            logbook: Arc::clone(&instruments.book),
            rates,
            approvals: config.admin.approvals,
            billing: open_billing(&config, &world, &tenancy, &node)?,
            backups: Some(Arc::clone(&backups)),
            transfers: Some(backup::transfer::Transfers::new(Arc::clone(&log))),
            keyring,
            clock: Arc::clone(&world.clock),
            rng: Arc::clone(&world.rng),
        };
        let owner = open_owner(&config, &world, &secrets, &node)?;
        introduce(owner.as_ref(), &mut health, &config, &control);
        tell_of_itself(&mut control, &health, at, (&running, &watching));
        let (faces, approvals) = faces(&config, &health, &control, mounts);
        let edge = bind_edge(&config, faces, &node, &world)?;
        Ok(App {
            tenancy,
            authenticator,
            running,
            backups,
            trail: Arc::clone(&watching.trail),
            workers: Workers::new(&control, approvals, watching),
            postman,
            log,
            node,
            edge,
            owner,
            config: given,
            metrics: instruments.metrics.clone(),
            is_draining: health.is_draining,
            started,
        })
    }

    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The platform without its sockets, for who drives sessions of their own.
    pub fn hub(&self) -> Arc<dyn port::Hub> {
        Arc::clone(&self.node) as _
    }

    /// Its configuration, to be changed while it runs.
    pub fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// Serves until `stop` is ready, then drains: new connections are refused, open ones are told
    /// to come back, what was acknowledged is on disk, what was used is written down.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let rounds = Rounds::start(Arc::clone(&self.node), self.workers, self.metrics);
        let (postman_stop, stopped) = watch::channel(());
        let posting = self.postman.map(|postman| tokio::spawn(postman.run(stopped)));
        let backing_up = tokio::spawn(Arc::clone(&self.backups).keep_time());
        let address = self.edge.public_address();
        let processes = match self.owner {
            Some(owner) => Some(Processes::start(owner, &self.config, address).await?),
            None => None,
        };
        if let Some(processes) = &processes {
            self.running.tell(processes.workers().clone());
        }
        tracing::info!(
            %address,
            admin = ?self.edge.admin_address(),
            streams = ?self.edge.stream_addresses(),
            start_ms = self.started.elapsed().as_millis() as u64,
            "ready"
        );
        let (node, is_draining) = (Arc::clone(&self.node), Arc::clone(&self.is_draining));
        let trail = Arc::clone(&self.trail);
        let stopper = processes.as_ref().map(Processes::stopper);
        let drain = async move {
            stop.await;
            tracing::info!("draining");
            is_draining.store(true, Ordering::Relaxed);
            // Nobody is let in any more before those who are inside are told.
            if let Some(stopper) = stopper {
                stopper.stop();
            }
            node.drain();
            trail.close();
        };
        let served = self.edge.serve(drain).await;
        if let Some(processes) = processes {
            processes.end().await;
        }
        backing_up.abort();
        self.backups.stop().await;
        rounds.stop().await;
        drop(postman_stop);
        if let Some(posting) = posting
            && let Err(error) = posting.await
        {
            tracing::error!(%error, "the postman panicked");
        }
        if let Err(refusal) = self.node.write_usage().await {
            tracing::error!(%refusal, "the last usage could not be written");
        }
        self.log.close().await;
        tracing::info!("stopped");
        Ok(served?)
    }
}

fn other(error: impl std::fmt::Display) -> StartError {
    StartError::Other(error.to_string())
}

fn open_secrets(config: &Config, world: &World) -> Result<Secrets, StartError> {
    let wrong = |cause: String| StartError::Data { path: config.data_dir.clone(), cause };
    std::fs::create_dir_all(&config.data_dir).map_err(|error| wrong(error.to_string()))?;
    archive::check_whole(&config.data_dir)?;
    let path = config.data_dir.join("secret.key");
    Secrets::load_or_create(&path, &*world.rng).map_err(|error| wrong(error.to_string()))
}

async fn open_database(config: &Config, world: &World) -> Result<Tenancy, StartError> {
    let options = match &config.database.url {
        Some(url) => tenancy::Options::new(url.expose_secret()),
        None => tenancy::Options::sqlite(&config.data_dir.join("metadata.sqlite")),
    };
    let (clock, rng) = (Arc::clone(&world.clock), Arc::clone(&world.rng));
    Ok(Tenancy::connect(&options, clock, rng).await?)
}

fn open_authenticator(
    config: &Config,
    world: &World,
    tenancy: &Arc<Tenancy>,
    secrets: &Secrets,
) -> Result<Arc<Authenticator>, StartError> {
    Ok(Arc::new(Authenticator::new(
        Arc::clone(tenancy) as _,
        secrets,
        config.identity.clone(),
        Arc::clone(&world.clock),
        Arc::clone(&world.rng),
    )?))
}

fn open_health(
    engine: Arc<dyn Engine>,
    tenancy: &Arc<Tenancy>,
    keyring: &Option<Arc<keys::Keyring>>,
    instruments: &Instruments,
) -> Health {
    Health::new(engine, Arc::clone(tenancy), keyring.clone(), instruments.metrics.clone())
}

/// With the postman, where there is somewhere to send letters to.
fn open_people(
    config: &Config,
    world: &World,
    tenancy: &Arc<Tenancy>,
    secrets: &Secrets,
) -> Result<(Arc<People>, Option<Postman>, Mailer), StartError> {
    let (clock, rng) = (Arc::clone(&world.clock), Arc::clone(&world.rng));
    let (mailer, postman) =
        Mailer::new(&config.mail, None, Arc::clone(&clock), Arc::clone(&rng)).map_err(other)?;
    let parts = PeopleParts {
        tenancy: Arc::clone(tenancy),
        secrets,
        settings: config.people.clone(),
        mailer: mailer.clone(),
        clock,
        rng,
    };
    Ok((Arc::new(People::new(parts).map_err(other)?), postman, mailer))
}

fn node_options(config: &Config) -> hub::Options {
    hub::Options {
        shards: usize::from(config.edge.shard_count()),
        branches: usize::from(config.workers()),
        auto_create_topics: config.topics.auto_create,
        reconnect_ms_max: config.edge.drain.reconnect_ms_max,
        presence: config.presence.clone(),
        tenants: config.tenants,
    }
}

/// What of the configuration is for this process: with several, others serve the public port.
fn own_part(given: &Config) -> Config {
    let mut config = given.clone();
    if config.workers() > 0 {
        config.edge.public = PublicPort::Elsewhere;
        // What is left to serve here is the admin API.
        config.edge.shards = 1;
    }
    config
}

/// What answers for the whole node knows of the workers, and they what answers for them.
fn bind_edge(
    config: &Config,
    faces: Faces,
    node: &Arc<Node>,
    world: &World,
) -> Result<Edge, StartError> {
    let live = Arc::clone(node) as _;
    Ok(Edge::bind(config.edge.clone(), faces, live, world.for_edge())?)
}

fn introduce(
    owner: Option<&link::Owner>,
    health: &mut Health,
    config: &Config,
    control: &control::Control,
) {
    if let Some(owner) = owner {
        let workers = owner.workers();
        health.workers = Some((workers.clone(), usize::from(config.workers())));
        workers.answer_with(public_routes(config, health.clone(), control));
    }
}

async fn start_node(
    config: &Config,
    world: &World,
    log: &Arc<EmbeddedLog>,
    tenancy: &Arc<Tenancy>,
    authenticator: &Arc<Authenticator>,
    secrets: &Secrets,
) -> Result<Arc<Node>, StartError> {
    let node = Node::start(hub::Parts {
        engine: Arc::clone(log) as _,
        tenancy: Arc::clone(tenancy),
        authenticator: Arc::clone(authenticator),
        cursor_key: secrets.cursor_key(),
        world: hub::World { clock: Arc::clone(&world.clock), rng: Arc::clone(&world.rng) },
        options: node_options(config),
    });
    Ok(node.await?)
}

/// What the admin API tells of the process, and what the security checks look at.
fn tell_of_itself(
    control: &mut control::Control,
    health: &Health,
    (config, world): (&Config, &World),
    (running, watching): (&Arc<Running>, &Watching),
) {
    watching.figures.set(health.clone());
    control.process = Some(about(health, config, world));
    control.setup = Some(Arc::new(Setup::new(running, world)));
}

/// What the admin API tells of the process.
fn about(health: &Health, config: &Config, world: &World) -> Arc<dyn control::Process> {
    let about = control::About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        platform: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        process_id: std::process::id(),
        started_at: world.clock.now_ms(),
        processes: config.workers().max(1),
    };
    Arc::new(Told { health: health.clone(), about })
}

/// With several processes: where the workers come in.
fn open_owner(
    config: &Config,
    world: &World,
    secrets: &Secrets,
    node: &Arc<Node>,
) -> Result<Option<link::Owner>, StartError> {
    if config.workers() == 0 {
        return Ok(None);
    }
    let parts = link::owner::Parts {
        node: Arc::clone(node),
        protocols: protocols::names(),
        cursor_key: secrets.cursor_key(),
        workers: config.workers(),
    };
    let owner = link::Owner::bind(&config.data_dir, &*world.rng, parts);
    let wrong = |cause: std::io::Error| StartError::Data {
        path: config.data_dir.clone(),
        cause: format!("the socket for the node's processes: {cause}"),
    };
    owner.map(Some).map_err(wrong)
}

/// They read the log through the node, as a client would.
fn open_webhooks(
    config: &Config,
    world: &World,
    tenancy: &Arc<Tenancy>,
    authenticator: &Arc<Authenticator>,
    sealer: &Arc<Sealer>,
    node: &Arc<Node>,
) -> Result<Arc<webhooks::Webhooks>, StartError> {
    Ok(webhooks::Webhooks::new(webhooks::Parts {
        tenancy: Arc::clone(tenancy),
        authenticator: Arc::clone(authenticator),
        sealer: Arc::clone(sealer),
        hub: Arc::clone(node) as _,
        clock: Arc::clone(&world.clock),
        rng: Arc::clone(&world.rng),
        config: config.webhooks.clone(),
    })?)
}

/// Nothing without a secret key.
fn open_billing(
    config: &Config,
    world: &World,
    tenancy: &Arc<Tenancy>,
    node: &Arc<Node>,
) -> Result<Option<Arc<billing::Billing>>, StartError> {
    let wrong = |(key, why): (&str, String)| {
        StartError::Config(ConfigError::about(format!("billing.{key}"), why))
    };
    let Some(keys) = config.billing.keys().map_err(wrong)? else { return Ok(None) };
    let billing = billing::Billing::new(billing::Parts {
        tenancy: Arc::clone(tenancy),
        live: Arc::clone(node) as _,
        clock: Arc::clone(&world.clock),
        rng: Arc::clone(&world.rng),
        config: config.billing.clone(),
        keys,
    });
    Ok(Some(billing?))
}

async fn open_log(
    config: &Config,
    world: &World,
    tenancy: &Tenancy,
    keyring: Option<Arc<keys::Keyring>>,
) -> Result<Arc<EmbeddedLog>, StartError> {
    let topics = tenancy.all_topics().await?;
    let tenants = topics.iter().map(|topic| topic.tenant).collect();
    let specs = topics
        .into_iter()
        .map(|topic| eventlog::TopicSpec {
            id: topic.id,
            tenant: topic.tenant,
            project: topic.project,
            config: topic.config,
        })
        .collect();
    let mut options = eventlog::Options::new(config.data_dir.join("log"));
    let mib = |count: u32| u64::from(count) << 20;
    options.tail_bytes_max = config.log.tail_bytes_max(stdx::memory::total_bytes()) as usize;
    options.pending_bytes_max = mib(config.log.pending_mib) as usize;
    options.store.extent_bytes = config.log.extent_mib << 20;
    options.store.pool_extents = config.log.pool_extents;
    options.store.free_bytes_min = mib(config.log.free_mib_min);
    options.ids_memory_bytes_max = mib(config.log.ids_mib) as usize;
    options.collect = config.log.collect.options();
    let world = storage::World {
        disk: Arc::new(SystemDisk),
        clock: Arc::clone(&world.clock),
        rng: Arc::clone(&world.rng),
        keys: keyring.clone().map(|keyring| keyring as _),
    };
    // Recovery reads whole extents: not on an async thread.
    let opening = move || EmbeddedLog::open(world, options, specs);
    let (log, report) = tokio::task::spawn_blocking(opening).await.map_err(other)??;
    tracing::info!(?report, "the log is open");
    key_files::attach(keyring.as_ref(), &log, tenants).await?;
    Ok(log)
}

/// What each port serves, and who carries out what a second person approved there.
fn faces(
    config: &Config,
    health: &Health,
    control: &control::Control,
    mounts: Mounts,
) -> (Faces, control::ApprovalsWorker) {
    let (admin, approvals) = control.open();
    let faces = Faces {
        fallback: public_routes(config, health.clone(), control),
        admin: console::before(admin.merge(health.clone().routes(MetricsRoute::Served))),
        mounts,
    };
    (faces, approvals)
}

fn public_routes(config: &Config, health: Health, control: &control::Control) -> Router {
    let metrics = match config.telemetry.metrics_public {
        true => MetricsRoute::Served,
        false => MetricsRoute::Hidden,
    };
    let routes = health.routes(metrics).merge(control.project_routes());
    let routes = match &control.billing {
        Some(billing) => routes.merge(billing.routes()),
        None => routes,
    };
    routes.merge(console::routes())
}
