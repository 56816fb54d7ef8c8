//! From counts in memory to the usage windows, and back: what a project has published this month
//! is what the windows say plus what has not been written yet.

use crate::node::Node;
use port::{Live, Refusal, Usage};
use std::collections::HashMap;
use tenancy::{PAGE_ITEMS_MAX, UsageFilter, UsageMetric};
use types::{ProjectId, TenantId, TimestampMs};

/// Counts taken from the meters that the database has not accepted yet.
#[derive(Default)]
pub struct Unwritten(HashMap<(TenantId, ProjectId), Usage>);

impl Unwritten {
    fn add(&mut self, counts: Vec<(TenantId, ProjectId, Usage)>) {
        for (tenant, project, more) in counts {
            let sum = self.0.entry((tenant, project)).or_default();
            sum.events_published += more.events_published;
            sum.events_delivered += more.events_delivered;
            sum.connection_seconds += more.connection_seconds;
            sum.api_requests += more.api_requests;
        }
    }

    fn rows(&self) -> Vec<(TenantId, ProjectId, Usage)> {
        self.0.iter().map(|(&(tenant, project), &usage)| (tenant, project, usage)).collect()
    }
}

impl Node {
    /// Writes what was used since the last call. What the database does not take now is kept and
    /// written with the next call.
    pub async fn write_usage(&self) -> Result<(), Refusal> {
        let mut unwritten = self.unwritten.lock().await;
        unwritten.add(self.take_usage());
        let rows = unwritten.rows();
        if rows.is_empty() {
            return Ok(());
        }
        self.tenancy.add_usage(self.world.clock.now_ms(), &rows).await?;
        *unwritten = Unwritten::default();
        drop(unwritten);
        let mut tenants: Vec<TenantId> = rows.iter().map(|(tenant, ..)| *tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            self.load_month(tenant).await?;
        }
        Ok(())
    }

    /// Reads what every tenant has published this month, before traffic.
    pub(crate) async fn load_months(&self) -> Result<(), Refusal> {
        let mut after = None;
        loop {
            let page = self.tenancy.tenants(after, PAGE_ITEMS_MAX).await?;
            for tenant in &page.items {
                self.load_month(tenant.id).await?;
            }
            match page.items.last() {
                Some(last) if page.has_more => after = Some(last.id),
                _ => return Ok(()),
            }
        }
    }

    async fn load_month(&self, tenant: TenantId) -> Result<(), Refusal> {
        let since = month_start(self.world.clock.now_ms());
        let filter = UsageFilter { from: Some(since), ..UsageFilter::default() };
        for total in self.tenancy.usage_totals(tenant, &filter).await? {
            if total.metric == UsageMetric::EventsPublished {
                self.meters.get(tenant, total.project).set_month(since, total.quantity);
            }
        }
        Ok(())
    }
}

/// The first moment of the calendar month (UTC) that holds this time, by the civil-date algorithm
/// of Howard Hinnant ("chrono-compatible low-level date algorithms").
pub fn month_start(now: TimestampMs) -> TimestampMs {
    const DAY_MS: i64 = 86_400_000;
    let days = now.div_euclid(DAY_MS);
    let shifted = days + 719_468;
    let era_day = shifted.rem_euclid(146_097);
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let month = (5 * year_day + 2) / 153;
    let month_day = year_day - (153 * month + 2) / 5;
    (days - month_day) * DAY_MS
}
