//! What the node does by itself, again and again: look at what open connections rest on, write
//! down what was used, fold what was measured, bring what the control plane changed to the log,
//! deliver webhooks. The rounds end when the server drains.

use crate::watching::Watching;
use hub::Node;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A revocation made by another node ends its connections within a second.
const REVIEW_EVERY: Duration = Duration::from_millis(400);
/// A key withdrawn from a published key set ends its connections so long after the set is due.
const KEY_SETS_EVERY: Duration = Duration::from_secs(5);
/// Leases of durable consumers end also while nobody fetches.
const CONSUMERS_EVERY: Duration = Duration::from_millis(250);
/// Until the log answers what was occupied before.
const RECALL_EVERY: Duration = Duration::from_secs(5);
/// What was used is to be seen within two seconds.
const USAGE_EVERY: Duration = Duration::from_secs(1);
/// How soon a changed limit of a project is in force in the log.
const RETENTION_EVERY: Duration = Duration::from_secs(10);
/// Measurements wait one by one until they are folded into their histograms. A scrape folds them
/// too, but nothing says that anybody scrapes.
pub(crate) const FOLD_EVERY: Duration = Duration::from_secs(5);

pub struct Rounds {
    stop: watch::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// Who works beside the node until the server drains.
pub struct Workers {
    outbox: control::OutboxWorker,
    accounts: control::AccountsWorker,
    groups: control::GroupFigures,
    approvals: control::ApprovalsWorker,
    security: control::SecurityWorker,
    webhooks: Arc<webhooks::Webhooks>,
    billing: Option<Arc<billing::Billing>>,
    watching: Watching,
}

impl Workers {
    pub fn new(
        control: &control::Control,
        approvals: control::ApprovalsWorker,
        watching: Watching,
    ) -> Workers {
        Workers {
            outbox: control::OutboxWorker::new(control),
            accounts: control::AccountsWorker::new(control),
            groups: control::GroupFigures::new(control),
            approvals,
            security: control::SecurityWorker::new(control),
            webhooks: Arc::clone(&control.webhooks),
            billing: control.billing.clone(),
            watching,
        }
    }
}

impl Rounds {
    pub fn start(node: Arc<Node>, workers: Workers, metrics: PrometheusHandle) -> Rounds {
        let Workers { outbox, accounts, groups, approvals, security, webhooks, billing, watching } =
            workers;
        let (stop, stopped) = watch::channel(());
        let review = tokio::spawn(review(Arc::clone(&node), stopped.clone()));
        let key_sets = tokio::spawn(review_key_sets(Arc::clone(&node), stopped.clone()));
        let retention = tokio::spawn(apply_retention(Arc::clone(&node), stopped.clone()));
        let consumers = tokio::spawn(sweep_consumers(Arc::clone(&node), stopped.clone()));
        let presence = tokio::spawn(keep_presence(Arc::clone(&node), stopped.clone()));
        let occupancy = tokio::spawn(tell_occupancy(Arc::clone(&node), stopped.clone()));
        let usage = tokio::spawn(write_usage(node, stopped.clone()));
        let fold = tokio::spawn(fold(move || metrics.run_upkeep(), stopped.clone()));
        let outbox = tokio::spawn(outbox.run(stopped.clone()));
        let accounts = tokio::spawn(accounts.run(stopped.clone()));
        let groups = tokio::spawn(groups.run(stopped.clone()));
        let approvals = tokio::spawn(approvals.run(stopped.clone()));
        let security = tokio::spawn(security.run(stopped.clone()));
        let billing = billing.map(|billing| {
            let stopped = stopped.clone();
            tokio::spawn(async move { billing.run(stopped).await })
        });
        let watching = watching.start(&stopped);
        let webhooks = tokio::spawn(webhooks.run(stopped));
        let own = [review, key_sets, usage, presence, occupancy, retention, consumers, fold];
        let more = [outbox, accounts, groups, approvals, security, webhooks];
        let more = more.into_iter().chain(billing).chain(watching);
        let tasks = own.into_iter().chain(more).collect();
        Rounds { stop, tasks }
    }

    /// Lets the round under way finish.
    pub async fn stop(self) {
        drop(self.stop);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a round panicked");
            }
        }
    }
}

/// Waits for the next round; `false` when there is none any more.
async fn next(every: Duration, stopped: &mut watch::Receiver<()>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(every) => true,
        _ = stopped.changed() => false,
    }
}

async fn review(node: Arc<Node>, mut stopped: watch::Receiver<()>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(REVIEW_EVERY) => {}
            () = node.limit_is_met() => {}
            _ = stopped.changed() => return,
        }
        node.review().await;
    }
}

async fn review_key_sets(node: Arc<Node>, mut stopped: watch::Receiver<()>) {
    while next(KEY_SETS_EVERY, &mut stopped).await {
        // A source may take its time to answer; a drain does not wait for it.
        tokio::select! {
            () = node.review_key_sets() => {}
            _ = stopped.changed() => return,
        }
    }
}

async fn sweep_consumers(node: Arc<Node>, mut stopped: watch::Receiver<()>) {
    while next(CONSUMERS_EVERY, &mut stopped).await {
        node.sweep_consumers().await;
    }
}

/// Leases of presence end and gathered changes are told at their moment, not at a rhythm.
async fn keep_presence(node: Arc<Node>, mut stopped: watch::Receiver<()>) {
    loop {
        let due = node.turn_presence();
        tokio::select! {
            () = node.presence_is_due(due) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Which addresses came to be occupied and vacated, as records, when it is so.
async fn tell_occupancy(node: Arc<Node>, mut stopped: watch::Receiver<()>) {
    while let Err(refusal) = node.recall_occupancy().await {
        tracing::warn!(%refusal, "what was occupied before the start is not known yet");
        if !next(RECALL_EVERY, &mut stopped).await {
            return;
        }
    }
    loop {
        let due = node.turn_occupancy().await;
        tokio::select! {
            () = node.occupancy_is_due(due) => {}
            _ = stopped.changed() => return,
        }
    }
}

async fn write_usage(node: Arc<Node>, mut stopped: watch::Receiver<()>) {
    while next(USAGE_EVERY, &mut stopped).await {
        if let Err(refusal) = node.write_usage().await {
            tracing::warn!(%refusal, "usage is kept until the database takes it");
        }
    }
}

async fn apply_retention(node: Arc<Node>, mut stopped: watch::Receiver<()>) {
    while next(RETENTION_EVERY, &mut stopped).await {
        if let Err(refusal) = node.apply_retention().await {
            tracing::warn!(%refusal, "the projects' retention stays as it was last read");
        }
    }
}

pub(crate) async fn fold(work: impl Fn(), mut stopped: watch::Receiver<()>) {
    while next(FOLD_EVERY, &mut stopped).await {
        work();
    }
}
