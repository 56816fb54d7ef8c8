//! What watches the installation: the audit trail on its way to the log and to receivers outside,
//! and alerts on its figures. Made before the admin API, which shows them; they work until the
//! server drains.

use crate::app::{StartError, World};
use crate::config::{Config, ConfigError};
use crate::health::Health;
use alerts::{AlertWorker, Figures, Parts};
use audit::{AuditWorker, Shipper, Trail};
use hub::Node;
use identity::{Authenticator, Sealer};
use mail::Mailer;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tenancy::Tenancy;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use webhooks::Courier;

/// The figures of all processes of the node, once it is known which there are.
#[derive(Default)]
pub struct NodeFigures(OnceLock<Health>);

impl NodeFigures {
    pub fn set(&self, health: Health) {
        // There is one set of processes for the life of this one.
        let _ = self.0.set(health);
    }
}

impl Figures for NodeFigures {
    fn text(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async {
            match self.0.get() {
                Some(health) => health.figures().await,
                None => String::new(),
            }
        })
    }
}

/// Everything that watches.
pub struct Watching {
    pub trail: Arc<Trail>,
    pub figures: Arc<NodeFigures>,
    pub alerts: Parts,
    worker: AuditWorker,
    shippers: Vec<Shipper>,
}

impl Watching {
    /// Reads the secrets and certificates of receivers.
    pub fn open(
        (config, world): (&Config, &World),
        tenancy: &Arc<Tenancy>,
        authenticator: &Arc<Authenticator>,
        node: &Arc<Node>,
        sealer: &Arc<Sealer>,
        mailer: Mailer,
    ) -> Result<Watching, StartError> {
        let (clock, rng) = (&world.clock, &world.rng);
        let hub = Arc::clone(node) as _;
        let trail = Trail::new(Arc::clone(tenancy), Arc::clone(authenticator), hub);
        let trail = Arc::new(trail);
        let courier = Arc::new(Courier::new(config.webhooks.clone(), Arc::clone(clock))?);
        let shippers = Shipper::all(&config.audit, &trail, &courier, clock, rng);
        let shippers = shippers.map_err(|error| {
            let key = format!("audit.sinks.{}", error.name);
            StartError::Config(ConfigError::about(key, error.why))
        })?;
        let settings = config.audit.clone();
        let worker =
            AuditWorker::new(Arc::clone(&trail), settings, Arc::clone(clock), Arc::clone(rng));
        let figures = Arc::new(NodeFigures::default());
        let alerts = Parts {
            tenancy: Arc::clone(tenancy),
            figures: Arc::clone(&figures) as _,
            sealer: Arc::clone(sealer),
            courier,
            mailer,
            clock: Arc::clone(clock),
            rng: Arc::clone(rng),
            config: config.alerts.clone(),
        };
        Ok(Watching { trail, figures, alerts, worker, shippers })
    }

    /// One task for the trail, one for each receiver, one for alerts.
    pub fn start(self, stopped: &watch::Receiver<()>) -> Vec<JoinHandle<()>> {
        let mut tasks = vec![tokio::spawn(self.worker.run(stopped.clone()))];
        tasks.push(tokio::spawn(AlertWorker::new(self.alerts).run(stopped.clone())));
        let shipping = self.shippers.into_iter().map(|it| tokio::spawn(it.run(stopped.clone())));
        tasks.extend(shipping);
        tasks
    }
}
