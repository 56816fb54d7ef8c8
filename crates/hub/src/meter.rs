//! What each project and tenant uses, in memory: totals that only grow. What of them was handed to
//! the usage windows, and what they were when the month began, is remembered beside them, so that
//! nothing is ever subtracted twice or forgotten in between.

use crate::tally::Tallies;
use metrics::Counter;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use types::{ProjectId, TenantId, TimestampMs, Usage, UsageMetric};

/// Tenants with a metric label of their own; those beyond are counted together, so that a label
/// per customer cannot swamp the metrics store.
const LABELLED_TENANTS_MAX: usize = 200;
const OTHERS: &str = "others";

/// Totals since the process began, and what they mean for the month.
#[derive(Default)]
pub struct Counts {
    totals: [AtomicU64; UsageMetric::ALL.len()],
    month: Mutex<Month>,
}

#[derive(Default)]
struct Month {
    began: TimestampMs,
    /// What the windows held of the month when the totals were `at`.
    base: Usage,
    at: Usage,
}

impl Counts {
    pub fn add(&self, metric: UsageMetric, count: u64) {
        // The array has a place for each metric, in the order of their declaration.
        if let Some(total) = self.totals.get(metric as usize) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub fn total(&self, metric: UsageMetric) -> u64 {
        self.totals.get(metric as usize).map_or(0, |total| total.load(Ordering::Relaxed))
    }

    pub fn totals(&self) -> Usage {
        let mut totals = Usage::default();
        for (metric, _) in UsageMetric::ALL {
            *totals.at(metric) = self.total(metric);
        }
        totals
    }

    /// What was used of one metric in the month that began then, up to now.
    pub fn used(&self, metric: UsageMetric, began: TimestampMs) -> u64 {
        let mut month = self.month.lock();
        if month.began != began {
            // What was counted before anybody asked belongs to the first month asked for.
            let at = if month.began == 0 { Usage::default() } else { self.totals() };
            *month = Month { began, base: Usage::default(), at };
        }
        month.base.get(metric) + self.total(metric).saturating_sub(month.at.get(metric))
    }

    /// The whole month up to now.
    pub fn month(&self, began: TimestampMs) -> Usage {
        let mut month = Usage::default();
        for (metric, _) in UsageMetric::ALL {
            *month.at(metric) = self.used(metric, began);
        }
        month
    }

    /// The windows hold `base` of the month, and the totals up to `at` are in them.
    fn rebase(&self, began: TimestampMs, base: Usage, at: Usage) {
        *self.month.lock() = Month { began, base, at };
    }
}

/// What was admitted and is not counted yet.
#[derive(Default)]
struct InFlight {
    records: AtomicU64,
    bytes: AtomicU64,
}

impl InFlight {
    fn add(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn remove(&self, records: u64, bytes: u64) {
        self.records.fetch_sub(records, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// A place held for records on their way into the log. Several writers that ask at once see each
/// other's, so together they never pass a bound.
pub struct Held {
    meter: Arc<ProjectMeter>,
    records: u64,
    bytes: u64,
}

impl Held {
    /// Records of the project used so far in the month, and on their way, without these.
    pub fn of_project(&self, began: TimestampMs) -> u64 {
        let used = self.meter.counts.used(UsageMetric::EventsPublished, began);
        used + self.meter.in_flight.records.load(Ordering::Acquire).saturating_sub(self.records)
    }

    /// Of the whole tenant.
    pub fn of_tenant(&self, metric: UsageMetric, began: TimestampMs) -> u64 {
        let tenant = &self.meter.of_tenant;
        let (all, own) = match metric {
            UsageMetric::EventsPublished => (&tenant.in_flight.records, self.records),
            _ => (&tenant.in_flight.bytes, self.bytes),
        };
        let others = all.load(Ordering::Acquire).saturating_sub(own);
        tenant.counts.used(metric, began) + others
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.in_flight.remove(self.records, self.bytes);
        self.meter.of_tenant.in_flight.remove(self.records, self.bytes);
    }
}

impl TenantMeter {
    /// Wakes the node when so many more events were delivered.
    pub fn set_alarm(&self, left: u64) {
        let at = self.counts.total(UsageMetric::EventsDelivered).saturating_add(left).max(1);
        self.alarm.store(at, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub struct TenantMeter {
    pub counts: Counts,
    in_flight: InFlight,
    /// The total of delivered events at which somebody must look at once; 0: at none.
    alarm: AtomicU64,
    /// What `changed_months` told last.
    told: Mutex<Usage>,
    /// Handed to the windows.
    taken: Mutex<Usage>,
}

pub struct ProjectMeter {
    pub tenant: TenantId,
    pub project: ProjectId,
    pub counts: Counts,
    pub of_tenant: Arc<TenantMeter>,
    in_flight: InFlight,
    wake: Arc<Notify>,
    /// Handed to the windows.
    taken: Mutex<Usage>,
    published_total: Counter,
    published_bytes_total: Counter,
    delivered_total: Counter,
    delivered_bytes_total: Counter,
}

impl ProjectMeter {
    fn add(&self, metric: UsageMetric, count: u64) {
        self.counts.add(metric, count);
        self.of_tenant.counts.add(metric, count);
    }

    pub fn published(&self, records: u64, bytes: u64) {
        self.add(UsageMetric::EventsPublished, records);
        self.add(UsageMetric::BytesPublished, bytes);
        self.published_total.increment(records);
        self.published_bytes_total.increment(bytes);
    }

    /// Holds a place for records that are about to be appended.
    pub fn hold(self: &Arc<Self>, records: u64, bytes: u64) -> Held {
        self.in_flight.add(records, bytes);
        self.of_tenant.in_flight.add(records, bytes);
        Held { meter: Arc::clone(self), records, bytes }
    }

    pub fn delivered(&self, records: u64, bytes: u64) {
        self.add(UsageMetric::EventsDelivered, records);
        let alarm = self.of_tenant.alarm.load(Ordering::Relaxed);
        if alarm != 0 && self.of_tenant.counts.total(UsageMetric::EventsDelivered) >= alarm {
            self.of_tenant.alarm.store(0, Ordering::Relaxed);
            self.wake.notify_one();
        }
        self.add(UsageMetric::BytesDelivered, bytes);
        self.delivered_total.increment(records);
        self.delivered_bytes_total.increment(bytes);
    }

    pub fn request(&self) {
        self.add(UsageMetric::ApiRequests, 1);
    }

    pub fn connected(&self, seconds: u64) {
        self.add(UsageMetric::ConnectionSeconds, seconds);
    }

    pub fn stored(&self, byte_hours: u64) {
        self.add(UsageMetric::StoredByteHours, byte_hours);
    }

    /// What was used in another process, which has counted it in its own figures.
    pub fn used_elsewhere(&self, usage: &Usage) {
        for (metric, _) in UsageMetric::ALL {
            self.add(metric, usage.get(metric));
        }
    }

    /// What the windows do not have. What was published is told by `published`, which says of the
    /// same records where they lie.
    fn take(&self, published: Usage) -> Usage {
        let mut taken = self.taken.lock();
        let mut more = self.counts.totals().minus(&taken);
        more.events_published = published.events_published;
        more.bytes_published = published.bytes_published;
        *taken = taken.plus(&more);
        let mut of_tenant = self.of_tenant.taken.lock();
        *of_tenant = of_tenant.plus(&more);
        more
    }
}

#[derive(Default)]
pub struct Meters {
    projects: RwLock<HashMap<ProjectId, Arc<ProjectMeter>>>,
    tenants: RwLock<HashMap<TenantId, Arc<TenantMeter>>>,
    labelled: RwLock<HashSet<TenantId>>,
    /// Told when deliveries came to where a limit lies.
    pub wake: Arc<Notify>,
    pub tallies: Tallies,
}

impl Meters {
    pub fn get(&self, tenant: TenantId, project: ProjectId) -> Arc<ProjectMeter> {
        if let Some(meter) = self.projects.read().get(&project) {
            return Arc::clone(meter);
        }
        let label = self.label(tenant);
        let of_tenant = self.of_tenant(tenant);
        let mut projects = self.projects.write();
        let meter = projects.entry(project).or_insert_with(|| {
            let counter = |name| metrics::counter!(name, "tenant" => label.clone());
            Arc::new(ProjectMeter {
                tenant,
                project,
                counts: Counts::default(),
                of_tenant,
                in_flight: InFlight::default(),
                wake: Arc::clone(&self.wake),
                taken: Mutex::default(),
                published_total: counter(port::metric::PUBLISHED),
                published_bytes_total: counter(port::metric::PUBLISHED_BYTES),
                delivered_total: counter(port::metric::DELIVERED),
                delivered_bytes_total: counter(port::metric::DELIVERED_BYTES),
            })
        });
        Arc::clone(meter)
    }

    pub fn of_tenant(&self, tenant: TenantId) -> Arc<TenantMeter> {
        if let Some(meter) = self.tenants.read().get(&tenant) {
            return Arc::clone(meter);
        }
        Arc::clone(self.tenants.write().entry(tenant).or_default())
    }

    /// What the windows do not have yet of every project, given what was published of each.
    pub fn take(
        &self,
        mut published: HashMap<ProjectId, (TenantId, Usage)>,
    ) -> Vec<(TenantId, ProjectId, Usage)> {
        // A tally may be of a project whose meter nobody has asked for yet.
        for (project, (tenant, _)) in &published {
            self.get(*tenant, *project);
        }
        let used = |meter: &Arc<ProjectMeter>| {
            let published = published.remove(&meter.project).map(|(_, usage)| usage);
            let published = published.unwrap_or_default();
            (meter.tenant, meter.project, meter.take(published))
        };
        let projects: Vec<_> = self.projects.read().values().cloned().collect();
        let taken = projects.iter().map(used);
        taken.filter(|(_, _, usage)| *usage != Usage::default()).collect()
    }

    /// The month so far of every tenant that used something since the last call.
    pub fn changed_months(&self, began: TimestampMs) -> Vec<(TenantId, Usage)> {
        let tenants: Vec<_> =
            self.tenants.read().iter().map(|(id, meter)| (*id, Arc::clone(meter))).collect();
        let mut changed = Vec::new();
        for (tenant, meter) in tenants {
            let month = meter.counts.month(began);
            let mut told = meter.told.lock();
            if *told != month {
                *told = month;
                changed.push((tenant, month));
            }
        }
        changed
    }

    /// What the windows hold of a tenant's month. Everything that was taken must be in them.
    pub fn rebase(
        &self,
        tenant: TenantId,
        began: TimestampMs,
        windows: &HashMap<ProjectId, Usage>,
    ) {
        let mut sum = Usage::default();
        for (project, usage) in windows {
            sum = sum.plus(usage);
            let meter = self.get(tenant, *project);
            let taken = *meter.taken.lock();
            meter.counts.rebase(began, *usage, taken);
        }
        let meter = self.of_tenant(tenant);
        let taken = *meter.taken.lock();
        meter.counts.rebase(began, sum, taken);
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
