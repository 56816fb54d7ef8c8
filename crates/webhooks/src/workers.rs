//! A loop per enabled webhook: started, told of changes and ended as the definitions in the store
//! come and go. It must not know how a webhook delivers.

use crate::breaker::BreakerState;
use crate::endpoint::{self, Definition, Endpoint, Tools};
use crate::source::{self, HubSource};
use identity::{Authenticator, Sealer};
use parking_lot::Mutex;
use port::{Hub, Refusal, metric};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tenancy::{Webhook, WebhookId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a loop stands on.
pub(crate) struct Ground {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) tools: Arc<Tools>,
}

struct Worker {
    endpoint: Arc<Endpoint>,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

#[derive(Default)]
pub(crate) struct Workers(Mutex<HashMap<WebhookId, Worker>>);

impl Workers {
    /// The webhook on this node, while it is enabled.
    pub(crate) fn endpoint(&self, webhook: WebhookId) -> Option<Arc<Endpoint>> {
        self.0.lock().get(&webhook).map(|worker| Arc::clone(&worker.endpoint))
    }

    /// Makes the loops those of these definitions.
    pub(crate) fn become_those_of(&self, webhooks: Vec<Webhook>, ground: &Ground) {
        let wanted: HashSet<WebhookId> = webhooks.iter().map(|webhook| webhook.id).collect();
        let mut workers = self.0.lock();
        // A loop that is told to stop finishes what is under way by itself.
        workers.retain(|id, _| wanted.contains(id));
        for webhook in webhooks {
            let id = webhook.id;
            if let Some(worker) = workers.get(&id) {
                if worker.endpoint.definition().webhook != webhook {
                    match Definition::open(webhook, &ground.sealer) {
                        Ok(definition) => worker.endpoint.redefine(definition),
                        Err(refusal) => tracing::error!(webhook = %id, %refusal, "left as it was"),
                    }
                }
                continue;
            }
            match start(webhook, ground) {
                Ok(worker) => {
                    workers.insert(id, worker);
                }
                Err(refusal) => tracing::error!(webhook = %id, %refusal, "cannot be delivered"),
            }
        }
    }

    pub(crate) fn measure(&self, tools: &Tools) {
        let now = tools.clock.monotonic();
        let workers = self.0.lock();
        let open = workers
            .values()
            .filter(|it| it.endpoint.breaker.lock().view(now).state != BreakerState::Closed)
            .count();
        metrics::gauge!(metric::WEBHOOKS).set(workers.len() as f64);
        metrics::gauge!(metric::WEBHOOK_BREAKERS_OPEN).set(open as f64);
    }

    /// Definitions of the enabled ones, a few of them.
    pub(crate) fn some(&self, count_max: usize) -> Vec<Arc<Definition>> {
        let workers = self.0.lock();
        workers.values().take(count_max).map(|worker| worker.endpoint.definition()).collect()
    }

    /// Ends all loops and waits for them.
    pub(crate) async fn stop(&self) {
        let workers: Vec<Worker> = self.0.lock().drain().map(|(_, worker)| worker).collect();
        let tasks: Vec<JoinHandle<()>> = workers
            .into_iter()
            .map(|worker| {
                drop(worker.stop);
                worker.task
            })
            .collect();
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a webhook's loop panicked");
            }
        }
    }
}

fn start(webhook: Webhook, ground: &Ground) -> Result<Worker, Refusal> {
    let source = HubSource {
        hub: Arc::clone(&ground.hub),
        authenticator: Arc::clone(&ground.authenticator),
        config: ground.tools.config.clone(),
        project: webhook.project,
        at: source::address(webhook.id, &webhook.filter)?,
    };
    let endpoint = Arc::new(Endpoint::new(Definition::open(webhook, &ground.sealer)?));
    let (stop, stopped) = watch::channel(());
    let (running, tools) = (Arc::clone(&endpoint), Arc::clone(&ground.tools));
    let task = tokio::spawn(endpoint::run(running, tools, Arc::new(source), stopped));
    Ok(Worker { endpoint, stop, task })
}
