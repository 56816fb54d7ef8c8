//! From counts in memory to the usage windows, once a second. What was published is written
//! together with the offsets it was counted from, so after a crash `settle` counts on from there.

use crate::node::Node;
use port::{Refusal, Usage};
use std::collections::HashMap;
use std::time::Duration;
use tenancy::{PAGE_ITEMS_MAX, UsageFilter, UsageWrite};
pub use types::usage::month_start;
use types::{ProjectId, TenantId, TimestampMs};
use uuid::Uuid;

/// How often the bytes on the device are looked at; what a crash can lose of their hours.
const STORED_EVERY: Duration = Duration::from_secs(15);
/// How often old ranges are dropped, how old they are then, and how many at once.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const RANGES_KEPT_MS: i64 = 62 * 24 * 3_600_000;
const SWEEP_RANGES_MAX: usize = 500;
const HOUR_MS: u128 = 3_600_000;

/// Writes counts down, each write once.
pub struct UsageWriter {
    id: Uuid,
    sequence: u64,
    /// Not accepted by the database yet; tried again as it is.
    pending: Option<UsageWrite>,
    stored_at: Duration,
    /// Byte-milliseconds that do not make up a byte-hour yet.
    stored_rest: HashMap<ProjectId, u128>,
    swept_at: Duration,
}

impl UsageWriter {
    pub fn new(random: [u8; 16], now: Duration) -> UsageWriter {
        UsageWriter {
            id: uuid::Builder::from_random_bytes(random).into_uuid(),
            sequence: 0,
            pending: None,
            stored_at: now,
            stored_rest: HashMap::new(),
            swept_at: now,
        }
    }

    /// The next write of this process.
    pub fn next(&mut self, at: TimestampMs) -> UsageWrite {
        self.sequence += 1;
        UsageWrite { writer: self.id, sequence: self.sequence, at, ..UsageWrite::default() }
    }
}

impl Node {
    /// Writes what was used since the last call. What the database does not take now is kept and
    /// written with the next call.
    pub async fn write_usage(&self) -> Result<(), Refusal> {
        let mut writer = self.usage_writer.lock().await;
        self.count_stored(&mut writer);
        // What waits from before, and then what came meanwhile.
        for _ in 0..2 {
            if writer.pending.is_none() {
                writer.pending = self.gather(&mut writer);
            }
            let Some(write) = &writer.pending else { break };
            let began = self.world.clock.monotonic();
            self.tenancy.write_usage(write).await?;
            let took = self.world.clock.monotonic().saturating_sub(began);
            metrics::histogram!(port::metric::USAGE_WRITE_SECONDS).record(took.as_secs_f64());
            metrics::gauge!(port::metric::USAGE_WRITTEN_AT).set(write.at as f64 / 1_000.0);
            writer.pending = None;
        }
        self.sweep_ranges(&mut writer).await
    }

    /// Counts that the windows do not have, and the offsets of those that the log has.
    pub(crate) fn take_all_usage(
        &self,
    ) -> (Vec<(TenantId, ProjectId, Usage)>, Vec<tenancy::UsageRange>) {
        self.connections.meter();
        let tallied = self.meters.tallies.take();
        (self.meters.take(tallied.published), tallied.ranges)
    }

    fn gather(&self, writer: &mut UsageWriter) -> Option<UsageWrite> {
        let (usage, ranges) = self.take_all_usage();
        if usage.is_empty() && ranges.is_empty() {
            return None;
        }
        let write = writer.next(self.world.clock.now_ms());
        Some(UsageWrite { usage, ranges, ..write })
    }

    /// Bytes on the device times the time they lay there since the last look.
    fn count_stored(&self, writer: &mut UsageWriter) {
        let now = self.world.clock.monotonic();
        let passed = now.saturating_sub(writer.stored_at);
        if passed < STORED_EVERY {
            return;
        }
        writer.stored_at = now;
        for ((tenant, project), bytes) in self.stored_by_project() {
            let rest = writer.stored_rest.entry(project).or_default();
            *rest += u128::from(bytes) * passed.as_millis();
            let byte_hours = *rest / HOUR_MS;
            *rest %= HOUR_MS;
            let byte_hours = u64::try_from(byte_hours).unwrap_or(u64::MAX);
            self.meters.get(tenant, project).stored(byte_hours);
        }
    }

    async fn sweep_ranges(&self, writer: &mut UsageWriter) -> Result<(), Refusal> {
        let now = self.world.clock.monotonic();
        if now.saturating_sub(writer.swept_at) < SWEEP_EVERY {
            return Ok(());
        }
        writer.swept_at = now;
        let before = self.world.clock.now_ms().saturating_sub(RANGES_KEPT_MS);
        self.tenancy.sweep_usage_ranges(before, SWEEP_RANGES_MAX).await?;
        Ok(())
    }

    /// Reads what every tenant has used this month, before traffic.
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

    /// Reads a tenant's month again, after its windows were corrected.
    pub(crate) async fn reload_month(&self, tenant: TenantId) -> Result<(), Refusal> {
        let writer = self.usage_writer.lock().await;
        match writer.pending {
            // What was taken is not in the windows: the next change or start sets it right.
            Some(_) => Ok(()),
            None => self.load_month(tenant).await,
        }
    }

    /// The caller knows that everything taken is written.
    async fn load_month(&self, tenant: TenantId) -> Result<(), Refusal> {
        let since = month_start(self.world.clock.now_ms());
        let filter = UsageFilter { from: Some(since), ..UsageFilter::default() };
        let mut windows: HashMap<ProjectId, Usage> = HashMap::new();
        for total in self.tenancy.usage_totals(tenant, &filter).await? {
            *windows.entry(total.project).or_default().at(total.metric) = total.quantity;
        }
        self.meters.rebase(tenant, since, &windows);
        Ok(())
    }
}
