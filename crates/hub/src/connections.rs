//! The open connections of this node: counted against quotas, listed for operators, ended when
//! their credential, tenant or node is.

use crate::meter::ProjectMeter;
use crate::node::{check_principal as check_whether_revoked, expired, revoked};
use identity::ProjectSnapshot;
use parking_lot::Mutex;
use port::Connection;
use port::live::Quota;
use port::{Closer, Code, ConnectionFilter, ConnectionId, ConnectionState, Identity, Refusal};
use rules::quota::{
    OpenConnections, OpenSubscriptions, check_connection, check_principal, check_subscription,
    check_tenant,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use stdx::Clock;
use types::{Limits, PrincipalId, ProjectId, TenantId, TimestampMs};

struct Entry {
    who: Identity,
    connection: Connection,
    opened_at: TimestampMs,
    /// Up to when its time has been metered.
    metered_to: Duration,
    meter: Arc<ProjectMeter>,
    subscriptions: Arc<AtomicU32>,
    /// Whose count `of_principal` is, also after the connection went on as somebody else.
    counted_as: PrincipalId,
    of_principal: Arc<Tally>,
    of_tenant: Arc<Tally>,
    closer: Arc<dyn Closer>,
}

/// What a principal or a tenant has open. Changed under the lock, but for subscriptions that end.
#[derive(Default)]
struct Tally {
    connections: AtomicU32,
    subscriptions: AtomicU32,
}

#[derive(Default)]
struct ProjectCounts {
    connections: OpenConnections,
    subscriptions: Arc<AtomicU32>,
}

/// A subscription that counts with its connection, principal, project and tenant until it drops.
pub struct Counted([Arc<AtomicU32>; 2], [Arc<Tally>; 2]);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.iter().for_each(|count| {
            count.fetch_sub(1, Ordering::Relaxed);
        });
        self.1.iter().for_each(|tally| {
            tally.subscriptions.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What all projects of one tenant may have open together; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// Open connections of every protocol, on this node.
    pub connections_max: Option<u32>,
    /// Open subscriptions of all connections, on this node.
    pub subscriptions_max: Option<u32>,
}

/// Whoever is turned away for want of room waits so long at least, and at most twice as long.
const AWAY: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Open {
    entries: BTreeMap<ConnectionId, Entry>,
    counts: HashMap<ProjectId, ProjectCounts>,
    principals: HashMap<(ProjectId, PrincipalId), Arc<Tally>>,
    tenants: HashMap<TenantId, Arc<Tally>>,
    last_id: u64,
    draining: Option<Refusal>,
}

pub struct Connections {
    open: Mutex<Open>,
    clock: Arc<dyn Clock>,
    tenant_limits: TenantLimits,
}

impl Connections {
    pub fn new(clock: Arc<dyn Clock>, tenant_limits: TenantLimits) -> Connections {
        Connections { open: Mutex::default(), clock, tenant_limits }
    }

    /// The count and the check are one step: concurrent openings never pass the limit together.
    pub fn open(
        &self,
        who: &Identity,
        limits: &Limits,
        connection: Connection,
        meter: Arc<ProjectMeter>,
        closer: Arc<dyn Closer>,
    ) -> Result<ConnectionId, Refusal> {
        let mut open = self.open.lock();
        if let Some(why) = &open.draining {
            return Err(why.clone());
        }
        let (of_principal, of_tenant) = open
            .check(who, limits, connection.quota, self.tenant_limits)
            .map_err(|refusal| refusal.retry_around(AWAY))?;
        open.counts.entry(who.project()).or_default().connections.add(connection.quota);
        of_principal.connections.fetch_add(1, Ordering::Relaxed);
        of_tenant.connections.fetch_add(1, Ordering::Relaxed);
        open.last_id += 1;
        let id = ConnectionId(open.last_id);
        metrics::gauge!(port::metric::CONNECTIONS, "protocol" => connection.protocol).increment(1);
        let entry = Entry {
            who: who.clone(),
            connection,
            opened_at: self.clock.now_ms(),
            metered_to: self.clock.monotonic(),
            meter,
            subscriptions: Arc::default(),
            counted_as: who.principal().clone(),
            of_principal,
            of_tenant,
            closer,
        };
        open.entries.insert(id, entry);
        Ok(id)
    }

    /// Gives a place up. Time shorter than a second counts as one, as connections are sold.
    pub fn leave(&self, id: ConnectionId) {
        let mut open = self.open.lock();
        let Some(entry) = open.entries.remove(&id) else {
            return;
        };
        open.forget(&entry);
        drop(open);
        let open_for = self.clock.monotonic().saturating_sub(entry.metered_to);
        entry.meter.connected(open_for.as_millis().div_ceil(1000) as u64);
        let protocol = entry.connection.protocol;
        metrics::gauge!(port::metric::CONNECTIONS, "protocol" => protocol).decrement(1);
    }

    /// The connection goes on under another credential.
    pub fn renew(&self, id: ConnectionId, who: &Identity) -> Result<(), Refusal> {
        let mut open = self.open.lock();
        match open.entries.get_mut(&id) {
            Some(entry) if entry.who.project() == who.project() => {
                entry.who = who.clone();
                Ok(())
            }
            _ => Err(Refusal::new(Code::NotFound, "the connection is not open")),
        }
    }

    /// Counts one more subscription of a connection, or refuses it. Check and count are one step.
    /// `None` when the connection is not open any more.
    pub fn subscribe(&self, id: ConnectionId, limits: &Limits) -> Result<Option<Counted>, Refusal> {
        let mut open = self.open.lock();
        let Open { entries, counts, .. } = &mut *open;
        let Some(entry) = entries.get(&id) else { return Ok(None) };
        let project = counts.entry(entry.who.project()).or_default();
        let (of_principal, of_tenant) = (&entry.of_principal, &entry.of_tenant);
        let now = OpenSubscriptions {
            project: project.subscriptions.load(Ordering::Relaxed),
            principal: of_principal.subscriptions.load(Ordering::Relaxed),
        };
        let in_tenant = of_tenant.subscriptions.load(Ordering::Relaxed);
        let max = self.tenant_limits.subscriptions_max;
        check_subscription(limits, now)
            .and_then(|()| check_tenant("tenants.subscriptions_max", in_tenant, max))
            .map_err(|refusal| refusal.retry_around(AWAY))?;
        let counts = [Arc::clone(&entry.subscriptions), Arc::clone(&project.subscriptions)];
        let tallies = [Arc::clone(of_principal), Arc::clone(of_tenant)];
        counts.iter().for_each(|count| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        tallies.iter().for_each(|tally| {
            tally.subscriptions.fetch_add(1, Ordering::Relaxed);
        });
        Ok(Some(Counted(counts, tallies)))
    }

    pub fn list(&self, filter: &ConnectionFilter, limit: usize) -> Vec<ConnectionState> {
        let after = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let fits = |(_, entry): &(&ConnectionId, &Entry)| {
            filter.tenant.is_none_or(|tenant| entry.who.tenant() == tenant)
                && filter.project.is_none_or(|project| entry.who.project() == project)
                && filter.protocol.as_ref().is_none_or(|name| entry.connection.protocol == name)
                && filter.principal.as_ref().is_none_or(|name| *entry.who.principal().0 == **name)
        };
        let open = self.open.lock();
        let found = open.entries.range((after, Bound::Unbounded)).filter(fits).take(limit);
        found.map(|(&id, entry)| entry.state(id)).collect()
    }

    pub fn close(&self, id: ConnectionId, why: Refusal) -> bool {
        let closer = self.open.lock().entries.get(&id).map(|entry| Arc::clone(&entry.closer));
        closer.is_some_and(|closer| {
            closer.close(why);
            true
        })
    }

    /// Ends every connection whose credential or principal was revoked or whose time has run out,
    /// or whose project refuses. Closers run outside the lock: they may come back in.
    pub fn sweep(&self, verdict: impl Fn(ProjectId) -> Verdict) {
        let now = self.clock.now_ms();
        let mut ending = Vec::new();
        let mut verdicts: HashMap<ProjectId, Verdict> = HashMap::new();
        for entry in self.open.lock().entries.values() {
            let project = entry.who.project();
            let why = if entry.who.is_revoked() {
                Some(revoked(&entry.who))
            } else if let Some(refusal) = expired(&entry.who, now) {
                Some(refusal)
            } else {
                let verdict = verdicts.entry(project).or_insert_with(|| verdict(project));
                let is_reading = entry.subscriptions.load(Ordering::Relaxed) > 0;
                let reading = verdict.reading.as_ref().filter(|_| is_reading);
                verdict.on(&entry.who).or_else(|| reading.cloned())
            };
            if let Some(why) = why {
                ending.push((Arc::clone(&entry.closer), why));
            }
        }
        ending.into_iter().for_each(|(closer, why)| closer.close(why));
    }

    /// Who is connected to a project.
    pub fn identities(&self, project: ProjectId) -> HashMap<ConnectionId, Identity> {
        let open = self.open.lock();
        let of_it = open.entries.iter().filter(|(_, entry)| entry.who.project() == project);
        of_it.map(|(id, entry)| (*id, entry.who.clone())).collect()
    }

    /// Ends every connection of a project.
    pub fn end_project(&self, project: ProjectId, why: &Refusal) {
        let open = self.open.lock();
        let of_it = open.entries.values().filter(|entry| entry.who.project() == project);
        let closers: Vec<Arc<dyn Closer>> = of_it.map(|it| Arc::clone(&it.closer)).collect();
        drop(open);
        closers.iter().for_each(|closer| closer.close(why.clone()));
    }

    /// Meters the whole seconds of open connections since they were last metered.
    pub fn meter(&self) {
        let now = self.clock.monotonic();
        for entry in self.open.lock().entries.values_mut() {
            let seconds = now.saturating_sub(entry.metered_to).as_secs();
            entry.metered_to += Duration::from_secs(seconds);
            entry.meter.connected(seconds);
        }
    }

    /// Refuses new connections from now on and ends all others, each with its own advice.
    pub fn drain(&self, mut advice: impl FnMut() -> Refusal) {
        let closers: Vec<Arc<dyn Closer>> = {
            let mut open = self.open.lock();
            open.draining.get_or_insert_with(&mut advice);
            open.entries.values().map(|entry| Arc::clone(&entry.closer)).collect()
        };
        closers.iter().for_each(|closer| closer.close(advice()));
    }
}

impl Open {
    /// Room for one more connection; answers where it counts.
    fn check(
        &mut self,
        who: &Identity,
        limits: &Limits,
        quota: Quota,
        of_tenant_max: TenantLimits,
    ) -> Result<(Arc<Tally>, Arc<Tally>), Refusal> {
        let now = self.counts.get(&who.project()).map(|counts| counts.connections);
        check_connection(limits, now.unwrap_or_default(), quota)?;
        let connections = |tally: Option<&Arc<Tally>>| {
            tally.map_or(0, |tally| tally.connections.load(Ordering::Relaxed))
        };
        let principal = (who.project(), who.principal().clone());
        check_principal(limits, connections(self.principals.get(&principal)))?;
        let in_tenant = connections(self.tenants.get(&who.tenant()));
        check_tenant("tenants.connections_max", in_tenant, of_tenant_max.connections_max)?;
        let of_principal = Arc::clone(self.principals.entry(principal).or_default());
        Ok((of_principal, Arc::clone(self.tenants.entry(who.tenant()).or_default())))
    }

    /// The connection counts no more. Subscriptions that outlive it for a moment keep the counts
    /// they were counted in.
    fn forget(&mut self, entry: &Entry) {
        let (project, tenant) = (entry.who.project(), entry.who.tenant());
        if let Some(counts) = self.counts.get_mut(&project) {
            counts.connections.remove(entry.connection.quota);
            if counts.connections == OpenConnections::default() {
                self.counts.remove(&project);
            }
        }
        let was_last = |tally: &Tally| tally.connections.fetch_sub(1, Ordering::Relaxed) == 1;
        if was_last(&entry.of_principal) {
            self.principals.remove(&(project, entry.counted_as.clone()));
        }
        if was_last(&entry.of_tenant) {
            self.tenants.remove(&tenant);
        }
    }
}

/// What a project says of those who are connected to it.
#[derive(Default)]
pub struct Verdict {
    /// Why nobody may be, if so.
    pub refusal: Option<Refusal>,
    /// Why nobody may follow anything, if so.
    pub reading: Option<Refusal>,
    /// Who of it was revoked; `None` when that is not known now.
    pub snapshot: Option<Arc<ProjectSnapshot>>,
}

impl Verdict {
    /// Why this one may not go on.
    pub fn on(&self, who: &Identity) -> Option<Refusal> {
        if self.refusal.is_some() {
            return self.refusal.clone();
        }
        check_whether_revoked(self.snapshot.as_ref()?, who).err()
    }
}

impl Entry {
    fn state(&self, id: ConnectionId) -> ConnectionState {
        ConnectionState {
            id,
            tenant: self.who.tenant(),
            project: self.who.project(),
            principal: self.who.principal().clone(),
            protocol: self.connection.protocol,
            address: self.connection.address,
            opened_at: self.opened_at,
            subscriptions: self.subscriptions.load(Ordering::Relaxed),
        }
    }
}
