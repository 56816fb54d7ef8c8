//! The open connections of this node: counted against quotas, listed for operators, ended when
//! their credential, tenant or node is.

use crate::meter::ProjectMeter;
use crate::node::expired;
use parking_lot::Mutex;
use port::Connection;
use port::{Closer, Code, ConnectionFilter, ConnectionId, ConnectionState, Identity, Refusal};
use rules::quota::{OpenConnections, check_connection};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use stdx::Clock;
use types::{Limits, ProjectId, TimestampMs};

struct Entry {
    who: Identity,
    connection: Connection,
    opened_at: TimestampMs,
    /// Up to when its time has been metered.
    metered_to: Duration,
    meter: Arc<ProjectMeter>,
    subscriptions: Arc<AtomicU32>,
    closer: Arc<dyn Closer>,
}

#[derive(Default)]
struct Open {
    entries: BTreeMap<ConnectionId, Entry>,
    counts: HashMap<ProjectId, OpenConnections>,
    last_id: u64,
    draining: Option<Refusal>,
}

pub struct Connections {
    open: Mutex<Open>,
    clock: Arc<dyn Clock>,
}

impl Connections {
    pub fn new(clock: Arc<dyn Clock>) -> Connections {
        Connections { open: Mutex::default(), clock }
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
        let counts = open.counts.entry(who.project()).or_default();
        check_connection(limits, *counts, connection.quota)?;
        counts.add(connection.quota);
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
        let project = entry.who.project();
        if let Some(counts) = open.counts.get_mut(&project) {
            counts.remove(entry.connection.quota);
            if *counts == OpenConnections::default() {
                open.counts.remove(&project);
            }
        }
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

    /// The count of a connection's subscriptions, to be kept by whoever makes and ends them.
    pub fn subscriptions(&self, id: ConnectionId) -> Option<Arc<AtomicU32>> {
        self.open.lock().entries.get(&id).map(|entry| Arc::clone(&entry.subscriptions))
    }

    pub fn list(&self, filter: &ConnectionFilter, limit: usize) -> Vec<ConnectionState> {
        let after = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let fits = |(_, entry): &(&ConnectionId, &Entry)| {
            filter.tenant.is_none_or(|tenant| entry.who.tenant() == tenant)
                && filter.project.is_none_or(|project| entry.who.project() == project)
                && filter.protocol.as_ref().is_none_or(|name| entry.connection.protocol == name)
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

    /// Ends every connection whose credential was revoked or has run out, or that `verdict`
    /// refuses. Closers run outside the lock: they may come back in.
    pub fn sweep(&self, verdict: impl Fn(ProjectId) -> Option<Refusal>) {
        let now = self.clock.now_ms();
        let mut ending = Vec::new();
        let mut verdicts: HashMap<ProjectId, Option<Refusal>> = HashMap::new();
        for entry in self.open.lock().entries.values() {
            let project = entry.who.project();
            let why = if entry.who.is_revoked() {
                Some(Refusal::new(Code::InvalidApiKey, "the credential was revoked"))
            } else if let Some(refusal) = expired(&entry.who, now) {
                Some(refusal)
            } else {
                verdicts.entry(project).or_insert_with(|| verdict(project)).clone()
            };
            if let Some(why) = why {
                ending.push((Arc::clone(&entry.closer), why));
            }
        }
        ending.into_iter().for_each(|(closer, why)| closer.close(why));
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
