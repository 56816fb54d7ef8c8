//! What operators see and change, over the memory hub's state.

use super::MemoryHub;
use super::state::OpenConnection;
use port::{
    Change, Closer, Code, ConnectionFilter, ConnectionId, ConnectionState, Live, Refusal, Usage,
};
use std::sync::Arc;
use std::time::Duration;
use types::{ProjectId, TenantId};

/// When a drained client is told to come back.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

impl Live for MemoryHub {
    fn connections(&self, filter: &ConnectionFilter, limit: usize) -> Vec<ConnectionState> {
        let state = self.state();
        let is_wanted = |found: &&ConnectionState| {
            filter.tenant.is_none_or(|tenant| found.tenant == tenant)
                && filter.project.is_none_or(|project| found.project == project)
                && filter.protocol.as_ref().is_none_or(|name| found.protocol == name)
                && filter.after.is_none_or(|after| found.id > after)
        };
        let found = state.connections.values().map(|open| &open.state);
        let counted = |found: &ConnectionState| {
            let mine = state.followers.values().filter(|f| f.connection == Some(found.id));
            let subscriptions = u32::try_from(mine.count()).unwrap_or(u32::MAX);
            ConnectionState { subscriptions, ..found.clone() }
        };
        found.filter(is_wanted).take(limit).map(counted).collect()
    }

    fn close(&self, connection: ConnectionId) -> bool {
        let why = Refusal::new(Code::ClosedByOperator, "an operator closed the connection");
        self.close_where(|open| open.state.id == connection, &why) > 0
    }

    fn changed(&self, change: Change) {
        let why = Refusal::new(Code::TenantSuspended, "the tenant is suspended");
        if let Change::Tenant(tenant) = change
            && self.state().suspended.contains(&tenant)
        {
            self.close_where(|open| open.who.tenant() == tenant, &why);
        }
    }

    fn take_usage(&self) -> Vec<(TenantId, ProjectId, Usage)> {
        let now = self.0.clock.monotonic();
        let mut guard = self.state();
        let state = &mut *guard;
        for open in state.connections.values_mut() {
            let seconds = now.saturating_sub(open.counted_until).as_secs();
            open.counted_until += Duration::from_secs(seconds);
            if let Some(project) = state.projects.get_mut(&open.who.project()) {
                project.usage.connection_seconds += seconds;
            }
        }
        let taken = state.projects.values_mut().map(|project| {
            (project.place.tenant, project.place.project, std::mem::take(&mut project.usage))
        });
        taken.filter(|(_, _, usage)| *usage != Usage::default()).collect()
    }

    fn drain(&self) {
        self.state().is_draining = true;
        let why = Refusal::new(Code::Draining, "the server is going down").retry_after(DRAIN_WAIT);
        self.close_where(|_| true, &why);
    }
}

impl MemoryHub {
    /// Closes the connections chosen, without the lock: a closer may call back. Answers how many.
    pub(super) fn close_where(
        &self,
        is_chosen: impl Fn(&OpenConnection) -> bool,
        why: &Refusal,
    ) -> usize {
        let closers: Vec<Arc<dyn Closer>> = {
            let state = self.state();
            let chosen = state.connections.values().filter(|open| is_chosen(open));
            chosen.map(|open| Arc::clone(&open.closer)).collect()
        };
        closers.iter().for_each(|closer| closer.close(why.clone()));
        closers.len()
    }
}
