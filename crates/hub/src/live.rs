//! The operator's view of the node, and the rounds it makes: sweeping connections whose right to
//! be open has ended, metering, refreshing what other nodes may have changed.

use crate::connections::Verdict;
use crate::node::{Node, check_active};
use port::{
    Change, Code, ConnectionFilter, ConnectionId, ConnectionState, Live, Recounting, Refusal, Usage,
};
use std::time::Duration;
use types::{LogRange, ProjectId, TenantId};

impl Node {
    /// Comes back when deliveries have come to where a plan's limit lies.
    pub async fn limit_is_met(&self) {
        self.meters.wake.notified().await;
    }

    /// Looks again at what open connections rest on, for changes made by other nodes, and ends
    /// what must end. Called several times a second by the server's rounds.
    pub async fn review(&self) {
        self.authenticator.refresh().await;
        self.sweep();
        self.sweep_lists().await;
    }

    /// Fetches the key sets that open connections stand on when they are due; the next review ends
    /// connections whose key is published no more.
    pub async fn review_key_sets(&self) {
        self.authenticator.refresh_key_sets().await;
    }

    pub(crate) fn sweep(&self) {
        self.connections.sweep(|project| self.verdict(project));
        self.connections.meter();
    }

    fn verdict(&self, project: ProjectId) -> Verdict {
        // A database that does not answer is no reason to cut connections that stand.
        let Ok(snapshot) = self.snapshot(project) else { return Verdict::default() };
        let used_up = self.used_up(&snapshot);
        let refusal = check_active(&snapshot).err().or(used_up.connecting);
        Verdict { refusal, reading: used_up.reading, snapshot: Some(snapshot) }
    }

    /// A project that was deleted leaves nothing behind: whoever is connected to it goes, and the
    /// platform's own topics with them.
    async fn drop_what_is_gone(&self, project: ProjectId) {
        let found = self.authenticator.fresh_snapshot(project).await;
        if !found.is_err_and(|refusal| refusal.code() == Code::NotFound) {
            return;
        }
        let why = Refusal::new(Code::InvalidApiKey, "the project was deleted");
        self.connections.end_project(project, &why);
        self.end_leases(|who| who.project() == project);
        self.forget_occupancy(project);
        self.drop_topics_of_gone(project).await;
    }

    /// Who is present by a lease has no connection that could end.
    fn sweep_leases(&self) {
        self.end_leases(|who| who.is_revoked() || self.verdict(who.project()).on(who).is_some());
    }
}

impl Live for Node {
    fn connections(&self, filter: &ConnectionFilter, limit: usize) -> Vec<ConnectionState> {
        self.connections.list(filter, limit)
    }

    fn close(&self, connection: ConnectionId) -> bool {
        let why = Refusal::new(Code::ClosedByOperator, "an operator closed the connection");
        self.connections.close(connection, why)
    }

    fn changed(&self, change: Change) {
        let Some(node) = self.this() else {
            return;
        };
        tokio::spawn(async move {
            node.authenticator.changed(&change).await;
            node.sweep();
            node.sweep_leases();
            node.sweep_lists().await;
            match change {
                Change::Project(project) => node.drop_what_is_gone(project).await,
                Change::Tenant(tenant) => {
                    if let Err(refusal) = node.reload_month(tenant).await {
                        tracing::warn!(%refusal, "the tenant's month stays as it was last read");
                    }
                }
                Change::Key(_) => {}
            }
        });
    }

    fn take_usage(&self) -> Vec<(TenantId, ProjectId, Usage)> {
        self.take_all_usage().0
    }

    fn months(&self) -> Vec<(TenantId, Usage)> {
        self.meters.changed_months(self.period().start)
    }

    fn recount(&self, ranges: Vec<LogRange>) -> Recounting<'_> {
        Box::pin(async move {
            let mut counted = Vec::with_capacity(ranges.len());
            for range in ranges {
                counted.push(self.recount_one(range).await?);
            }
            Ok(counted)
        })
    }

    fn stored_bytes(&self, project: ProjectId) -> u64 {
        Node::stored_bytes(self, project)
    }

    fn drain(&self) {
        let within_ms = self.options.reconnect_ms_max.saturating_add(1);
        self.connections.drain(|| {
            // Spread, so that the node that takes over is not met by everybody at once.
            let wait = Duration::from_millis(self.world.rng.below(within_ms));
            Refusal::new(Code::Draining, "the server is shutting down; connect again")
                .retry_after(wait)
        });
    }
}
