//! What a tenant's plan allows: hard limits and stops, asked before anything is used. The
//! platform's own work is never asked.

use crate::meter::{Held, ProjectMeter};
use crate::node::Node;
use identity::ProjectSnapshot;
use port::{Code, Identity, Refusal};
use rules::plan::{Period, check_hard};
use rules::quota;
use std::sync::Arc;
use std::time::Duration;
use types::plan::DAY_MS;
use types::usage::month_start;
use types::{Limits, UsageMetric};

/// What readers use up.
const READING: [UsageMetric; 2] = [UsageMetric::EventsDelivered, UsageMetric::BytesDelivered];
const WRITING: [UsageMetric; 2] = [UsageMetric::EventsPublished, UsageMetric::BytesPublished];

impl Node {
    /// The calendar month (UTC) as it stands.
    pub(crate) fn period(&self) -> Period {
        let now = self.world.clock.now_ms();
        let start = month_start(now);
        // No month has more than 31 days, and no two begin within 32.
        Period { start, end: month_start(start + 32 * DAY_MS), now }
    }

    /// Room for one more unit of a metric in the tenant's month.
    fn check_bound(&self, snapshot: &ProjectSnapshot, metric: UsageMetric) -> Result<(), Refusal> {
        let Some(max) = snapshot.bounds.get(&metric) else { return Ok(()) };
        let period = self.period();
        let meter = self.meters.of_tenant(snapshot.tenant);
        let used = meter.counts.used(metric, period.start);
        if metric == UsageMetric::EventsDelivered && used < *max {
            // Live deliveries ask nobody: who passes the limit wakes the node.
            meter.set_alarm(max - used);
        }
        check_hard(metric, *max, used, 1, period)
    }

    fn check_stop(&self, snapshot: &ProjectSnapshot) -> Result<(), Refusal> {
        let Some(stop) = &snapshot.stop else { return Ok(()) };
        let left_ms = stop.until - self.world.clock.now_ms();
        let Ok(left_ms) = u64::try_from(left_ms) else { return Ok(()) };
        if left_ms == 0 {
            return Ok(());
        }
        Err(Refusal::new(Code::PlanLimitExceeded, format!("use is stopped: {}", stop.reason))
            .field("budget")
            .hint(format!(
                "it goes on at {} (ms since 1970, UTC), or when the owner drops the \
                           budget",
                stop.until
            ))
            .retry_after(Duration::from_millis(left_ms)))
    }

    /// May records be handed out: to reads, to new subscriptions.
    pub(crate) fn check_reading(
        &self,
        who: &Identity,
        snapshot: &ProjectSnapshot,
    ) -> Result<(), Refusal> {
        if who.is_platform() || who.is_operator() {
            return Ok(());
        }
        self.check_stop(snapshot)?;
        READING.into_iter().try_for_each(|metric| self.check_bound(snapshot, metric))
    }

    /// May one more connection be open.
    pub(crate) fn check_connecting(
        &self,
        who: &Identity,
        snapshot: &ProjectSnapshot,
    ) -> Result<(), Refusal> {
        if who.is_platform() || who.is_operator() {
            return Ok(());
        }
        self.check_stop(snapshot)?;
        self.check_bound(snapshot, UsageMetric::ConnectionSeconds)
    }

    /// One more request.
    pub(crate) fn check_asking(&self, snapshot: &ProjectSnapshot) -> Result<(), Refusal> {
        self.check_bound(snapshot, UsageMetric::ApiRequests)
    }

    /// Why open connections of a project must end; `Reading`: only of those who follow something.
    pub(crate) fn used_up(&self, snapshot: &ProjectSnapshot) -> UsedUp {
        if snapshot.bounds.is_empty() && snapshot.stop.is_none() {
            return UsedUp::default();
        }
        let connecting = self
            .check_stop(snapshot)
            .and_then(|()| self.check_bound(snapshot, UsageMetric::ConnectionSeconds));
        let reading = READING.into_iter().try_for_each(|metric| self.check_bound(snapshot, metric));
        UsedUp { connecting: connecting.err(), reading: reading.err() }
    }

    /// Room for records in the tenant's month and the project's, held until they are counted.
    pub(crate) fn hold(
        &self,
        snapshot: &ProjectSnapshot,
        limits: &Limits,
        meter: &Arc<ProjectMeter>,
        (records, bytes): (u64, u64),
    ) -> Result<Option<Held>, Refusal> {
        self.check_stop(snapshot)?;
        let is_bounded = WRITING.iter().any(|metric| snapshot.bounds.contains_key(metric));
        if !is_bounded && limits.publish_per_month_max.is_none() {
            return Ok(None);
        }
        let held = meter.hold(records, bytes);
        let period = self.period();
        if limits.publish_per_month_max.is_some() {
            quota::check_month(limits, held.of_project(period.start), records)?;
        }
        for metric in WRITING {
            let Some(max) = snapshot.bounds.get(&metric) else { continue };
            let more = if metric == UsageMetric::EventsPublished { records } else { bytes };
            check_hard(metric, *max, held.of_tenant(metric, period.start), more, period)?;
        }
        Ok(Some(held))
    }
}

/// What of a plan is used up.
#[derive(Default)]
pub(crate) struct UsedUp {
    pub connecting: Option<Refusal>,
    pub reading: Option<Refusal>,
}
