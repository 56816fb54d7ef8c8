//! What each project used since it was last asked. Plain atomic counts: they are added to the
//! usage windows by the server's rounds, and once more when it drains.

use metrics::Counter;
use parking_lot::{Mutex, RwLock};
use port::Usage;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{ProjectId, TenantId, TimestampMs};

/// Tenants with a metric label of their own; those beyond are counted together, so that a label
/// per customer cannot swamp the metrics store.
const LABELLED_TENANTS_MAX: usize = 200;
const OTHERS: &str = "others";

pub struct ProjectMeter {
    pub tenant: TenantId,
    pub project: ProjectId,
    published: AtomicU64,
    delivered: AtomicU64,
    requests: AtomicU64,
    connection_seconds: AtomicU64,
    /// What the usage windows hold of the month that began at the given time.
    month: Mutex<(TimestampMs, u64)>,
    published_total: Counter,
    published_bytes_total: Counter,
    delivered_total: Counter,
}

impl ProjectMeter {
    pub fn published(&self, records: u64, bytes: u64) {
        self.published.fetch_add(records, Ordering::Relaxed);
        self.published_total.increment(records);
        self.published_bytes_total.increment(bytes);
    }

    pub fn delivered(&self, records: u64) {
        self.delivered.fetch_add(records, Ordering::Relaxed);
        self.delivered_total.increment(records);
    }

    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub fn connected(&self, seconds: u64) {
        self.connection_seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Records accepted in the month that began at `since`; counts not yet written included.
    pub fn published_since(&self, since: TimestampMs) -> u64 {
        let mut month = self.month.lock();
        if month.0 != since {
            *month = (since, 0);
        }
        month.1 + self.published.load(Ordering::Relaxed)
    }

    pub fn set_month(&self, began: TimestampMs, written: u64) {
        *self.month.lock() = (began, written);
    }

    fn take(&self) -> Usage {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let events_published = take(&self.published);
        // Until the windows hold them they are added here, so that the month never forgets any.
        self.month.lock().1 += events_published;
        Usage {
            events_published,
            events_delivered: take(&self.delivered),
            connection_seconds: take(&self.connection_seconds),
            api_requests: take(&self.requests),
        }
    }
}

#[derive(Default)]
pub struct Meters {
    projects: RwLock<HashMap<ProjectId, Arc<ProjectMeter>>>,
    labelled: RwLock<HashSet<TenantId>>,
}

impl Meters {
    pub fn get(&self, tenant: TenantId, project: ProjectId) -> Arc<ProjectMeter> {
        if let Some(meter) = self.projects.read().get(&project) {
            return Arc::clone(meter);
        }
        let label = self.label(tenant);
        let mut projects = self.projects.write();
        let meter = projects.entry(project).or_insert_with(|| {
            let counter = |name| metrics::counter!(name, "tenant" => label.clone());
            Arc::new(ProjectMeter {
                tenant,
                project,
                published: AtomicU64::new(0),
                delivered: AtomicU64::new(0),
                requests: AtomicU64::new(0),
                connection_seconds: AtomicU64::new(0),
                month: Mutex::default(),
                published_total: counter(port::metric::PUBLISHED),
                published_bytes_total: counter(port::metric::PUBLISHED_BYTES),
                delivered_total: counter(port::metric::DELIVERED),
            })
        });
        Arc::clone(meter)
    }

    pub fn take(&self) -> Vec<(TenantId, ProjectId, Usage)> {
        let used = |meter: &Arc<ProjectMeter>| (meter.tenant, meter.project, meter.take());
        self.projects
            .read()
            .values()
            .map(used)
            .filter(|(_, _, usage)| *usage != Usage::default())
            .collect()
    }

    fn label(&self, tenant: TenantId) -> String {
        let mut labelled = self.labelled.write();
        if labelled.contains(&tenant) || labelled.len() < LABELLED_TENANTS_MAX {
            labelled.insert(tenant);
            return tenant.to_string();
        }
        OTHERS.to_owned()
    }
}
