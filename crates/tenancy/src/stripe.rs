//! The outbox of metered usage, and the events of Stripe that were taken. One row is one event to
//! be counted once; what it holds never changes after it was made. This file must not know how
//! rows are sent.

use crate::accounts::{commit, row as account_row};
use crate::entity::{account, meter_report as table, stripe_event, tenant, usage_window};
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::tenants::{Plan, Word, locked};
use crate::{Actor, Page, Result, Tenancy, TenancyError, USAGE_WINDOW_MS};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Func, OnConflict};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::json;
use std::collections::BTreeMap;
use types::{TenantId, TimestampMs, UsageMetric};

/// Taken events are remembered for so long; Stripe sends again for three days.
const EVENTS_KEPT_MS: i64 = 30 * 24 * 3_600_000;
/// Windows of one tenant that are looked at in one call.
const WINDOWS_MAX: u64 = 50_000;

/// What is to become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportState {
    Pending,
    Sent,
    /// Not sent again by itself.
    Stuck,
}

impl Word for ReportState {
    const ALL: &'static [(ReportState, &'static str)] = &[
        (ReportState::Pending, "pending"),
        (ReportState::Sent, "sent"),
        (ReportState::Stuck, "stuck"),
    ];
}

impl ReportState {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

/// One event on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterReport {
    /// Tenant, metric, window and part: the same for every attempt.
    pub identifier: String,
    pub tenant: TenantId,
    pub metric: UsageMetric,
    pub window_start: TimestampMs,
    /// 0 is the window as it was first reported; the others are what came later.
    pub part: u32,
    pub quantity: u64,
    pub state: ReportState,
    pub attempts: u32,
    /// When it may first have been counted without an answer.
    pub uncertain_at: Option<TimestampMs>,
    pub next_at: TimestampMs,
    pub sent_at: Option<TimestampMs>,
    pub error: Option<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportOutcome {
    Sent,
    Wait { error: String, next_at: TimestampMs, is_uncertain: bool },
    Stuck { error: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBacklog {
    pub pending: u64,
    pub stuck: u64,
}

/// Whether an event of Stripe is to be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenEvent {
    Fresh,
    /// Taken before.
    Repeated,
    /// Something newer of the same tenant was acted on.
    Outdated,
}

/// What is known of a tenant's subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionNote {
    /// `None`: it ended.
    pub subscription: Option<String>,
    /// In Stripe's words.
    pub status: String,
}

fn unsigned(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

fn read(row: table::Model) -> Result<MeterReport> {
    Ok(MeterReport {
        identifier: row.identifier,
        tenant: TenantId(row.tenant_id),
        metric: UsageMetric::read(&row.metric)?,
        window_start: row.window_start,
        part: u32::try_from(row.part).unwrap_or(u32::MAX),
        quantity: unsigned(row.quantity)?,
        state: ReportState::read(&row.state)?,
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        uncertain_at: row.uncertain_at,
        next_at: row.next_at,
        sent_at: row.sent_at,
        error: row.error,
    })
}

type Sums = BTreeMap<(String, i64), i64>;

/// Metered quantities per metric and window, of all projects.
async fn metered(
    transaction: &DatabaseTransaction,
    tenant: TenantId,
    metrics: &[UsageMetric],
    (from, before): (TimestampMs, TimestampMs),
) -> Result<Sums> {
    use usage_window::Column;
    let total = Func::cast_as(Column::Quantity.sum(), "bigint");
    let rows = usage_window::Entity::find()
        .select_only()
        .column(Column::Metric)
        .column(Column::WindowStart)
        .column_as(Expr::from(total), "total")
        .filter(Column::TenantId.eq(tenant.0))
        .filter(Column::Metric.is_in(metrics.iter().map(|metric| metric.word())))
        .filter(Column::WindowStart.gte(from))
        .filter(Column::WindowStart.lt(before))
        .group_by(Column::Metric)
        .group_by(Column::WindowStart)
        .limit(WINDOWS_MAX)
        .into_tuple::<(String, i64, i64)>()
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(|(metric, window, total)| ((metric, window), total)).collect())
}

/// What is in the outbox of them already: the sum, and the number of parts.
async fn reported(
    transaction: &DatabaseTransaction,
    tenant: TenantId,
    (from, before): (TimestampMs, TimestampMs),
) -> Result<BTreeMap<(String, i64), (i64, i64)>> {
    use table::Column;
    let total = Func::cast_as(Column::Quantity.sum(), "bigint");
    let rows = table::Entity::find()
        .select_only()
        .column(Column::Metric)
        .column(Column::WindowStart)
        .column_as(Expr::from(total), "total")
        .column_as(Column::Part.count(), "parts")
        .filter(Column::TenantId.eq(tenant.0))
        .filter(Column::WindowStart.gte(from))
        .filter(Column::WindowStart.lt(before))
        .group_by(Column::Metric)
        .group_by(Column::WindowStart)
        .into_tuple::<(String, i64, i64, i64)>()
        .all(transaction)
        .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|(metric, window, total, parts)| ((metric, window), (total, parts))).collect())
}

impl Tenancy {
    /// Tenants that are billed through Stripe, in order of their identifiers: for its worker.
    pub async fn billed_tenants(
        &self,
        after: Option<TenantId>,
        limit: usize,
    ) -> Result<Page<TenantId>> {
        let mut rows = account::Entity::find()
            .select_only()
            .column(account::Column::TenantId)
            .filter(account::Column::BilledFrom.is_not_null());
        if let Some(after) = after {
            rows = rows.filter(account::Column::TenantId.gt(after.0));
        }
        let rows = rows.order_by_asc(account::Column::TenantId).limit(fetch_count(limit));
        let rows = rows.into_tuple::<Uuid>().all(self.reader()).await?;
        Page::collect(rows, limit, |id| Ok(TenantId(id)))
    }

    /// Puts what the tenant's windows in `from..before` hold and no row says into the outbox; what
    /// was used before the tenant was billed is left out. Answers how many rows were added.
    pub async fn draft_reports(
        &self,
        tenant: TenantId,
        metrics: &[UsageMetric],
        from: TimestampMs,
        before: TimestampMs,
    ) -> Result<usize> {
        let transaction = self.begin().await?;
        let owner = account::Entity::find_by_id(tenant.0).lock_exclusive();
        let Some(owner) = owner.one(&transaction).await? else { return Ok(0) };
        let Some(billed_from) = owner.billed_from else { return Ok(0) };
        let span = (from.max(billed_from), before);
        let known = reported(&transaction, tenant, span).await?;
        let now = self.ids.now_ms();
        let mut rows = Vec::new();
        for ((metric, window_start), total) in metered(&transaction, tenant, metrics, span).await? {
            let (sum, part) =
                known.get(&(metric.clone(), window_start)).copied().unwrap_or_default();
            if total <= sum {
                continue;
            }
            rows.push(table::ActiveModel {
                identifier: Set(format!("{tenant}:{metric}:{window_start}:{part}")),
                tenant_id: Set(tenant.0),
                metric: Set(metric),
                window_start: Set(window_start),
                part: Set(part),
                quantity: Set(total - sum),
                state: Set(ReportState::Pending.word().to_owned()),
                attempts: Set(0),
                certain_attempts: Set(0),
                uncertain_at: Set(None),
                next_at: Set(now),
                sent_at: Set(None),
                error: Set(None),
                created_at: Set(now),
            });
        }
        let added = rows.len();
        for chunk in rows.chunks(500) {
            let insert = table::Entity::insert_many(chunk.to_vec());
            insert.exec_without_returning(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(added)
    }

    /// Rows of everybody that are to be sent now, oldest window first: for the worker.
    pub async fn reports_due(&self, now: TimestampMs, limit: usize) -> Result<Vec<MeterReport>> {
        let rows = table::Entity::find()
            .filter(table::Column::State.eq(ReportState::Pending.word()))
            .filter(table::Column::NextAt.lte(now))
            .order_by_asc(table::Column::WindowStart)
            .order_by_asc(table::Column::Identifier)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// Before an attempt: from now on it may be counted, even if nobody comes to hear of it.
    pub async fn begin_report(&self, tenant: TenantId, identifier: &str) -> Result<()> {
        let transaction = self.begin().await?;
        let found = of(tenant, identifier).one(&transaction).await?;
        let found = found.ok_or(TenancyError::NotFound { what: "report" })?;
        let (attempts, before) = (found.attempts + 1, found.uncertain_at);
        let mut row = found.into_active_model();
        row.attempts = Set(attempts);
        row.uncertain_at = Set(before.or(Some(self.ids.now_ms())));
        row.update(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// What became of the attempt. Where nobody counted it, it is as if it had not been made,
    /// unless one before was uncertain already.
    pub async fn end_report(
        &self,
        tenant: TenantId,
        identifier: &str,
        outcome: &ReportOutcome,
    ) -> Result<()> {
        let transaction = self.begin().await?;
        let found = of(tenant, identifier).one(&transaction).await?;
        let found = found.ok_or(TenancyError::NotFound { what: "report" })?;
        let certain = found.certain_attempts;
        let attempts = found.attempts;
        let mut row = found.into_active_model();
        match outcome {
            ReportOutcome::Sent => {
                row.state = Set(ReportState::Sent.word().to_owned());
                row.sent_at = Set(Some(self.ids.now_ms()));
                row.error = Set(None);
            }
            ReportOutcome::Wait { error, next_at, is_uncertain } => {
                row.next_at = Set(*next_at);
                row.error = Set(Some(error.clone()));
                if !is_uncertain {
                    let certain = certain + 1;
                    row.certain_attempts = Set(certain);
                    // Every attempt so far is known to have come to nothing.
                    if certain >= attempts {
                        row.uncertain_at = Set(None);
                    }
                }
            }
            ReportOutcome::Stuck { error } => {
                row.state = Set(ReportState::Stuck.word().to_owned());
                row.error = Set(Some(error.clone()));
            }
        }
        row.update(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    pub async fn report_backlog(&self) -> Result<ReportBacklog> {
        let count = |state: ReportState| {
            let rows = table::Entity::find();
            rows.filter(table::Column::State.eq(state.word())).count(self.reader())
        };
        let pending = count(ReportState::Pending).await?;
        Ok(ReportBacklog { pending, stuck: count(ReportState::Stuck).await? })
    }

    /// Rows of a tenant in order of their identifiers.
    pub async fn reports(
        &self,
        tenant: TenantId,
        state: Option<ReportState>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<MeterReport>> {
        let mut rows = table::Entity::find().filter(table::Column::TenantId.eq(tenant.0));
        if let Some(state) = state {
            rows = rows.filter(table::Column::State.eq(state.word()));
        }
        if let Some(after) = after {
            rows = rows.filter(table::Column::Identifier.gt(after));
        }
        let rows = rows.order_by_asc(table::Column::Identifier).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// A person decided what became of a stuck row: it was counted, or it is sent again.
    pub async fn settle_report(
        &self,
        tenant: TenantId,
        identifier: &str,
        state: ReportState,
        by: &Actor,
    ) -> Result<MeterReport> {
        let change = self.change(by).await?;
        let found = of(tenant, identifier).one(&change.transaction).await?;
        let found = found.ok_or(TenancyError::NotFound { what: "report" })?;
        if found.state != ReportState::Stuck.word() {
            return Err(TenancyError::state("only a stuck report waits for a decision"));
        }
        let mut row = found.into_active_model();
        row.state = Set(state.word().to_owned());
        row.uncertain_at = Set(None);
        row.attempts = Set(0);
        row.certain_attempts = Set(0);
        row.next_at = Set(change.at);
        row.sent_at = Set((state == ReportState::Sent).then_some(change.at));
        let row = row.update(&change.transaction).await?;
        let details = json!({"identifier": identifier, "state": state.name()});
        commit(change, tenant, "report.settle", details).await?;
        read(row)
    }

    /// Whether an event of Stripe was taken, or is older than one of the tenant's that was.
    pub async fn stripe_event(
        &self,
        tenant: Option<TenantId>,
        id: &str,
        created_s: i64,
    ) -> Result<TakenEvent> {
        // The writer's own view: a pool of readers may be a moment behind.
        let transaction = self.begin().await?;
        let known = stripe_event::Entity::find_by_id(id.to_owned()).one(&transaction).await?;
        let newest = match tenant {
            Some(tenant) => account::Entity::find_by_id(tenant.0).one(&transaction).await?,
            None => None,
        };
        transaction.commit().await?;
        let newest = newest.and_then(|row| row.stripe_event_at);
        Ok(match known {
            Some(_) => TakenEvent::Repeated,
            None if newest.is_some_and(|newest| newest > created_s) => TakenEvent::Outdated,
            None => TakenEvent::Fresh,
        })
    }

    /// The event is done with. Answers whether it was this call that said so.
    pub async fn end_stripe_event(
        &self,
        tenant: Option<TenantId>,
        id: &str,
        kind: &str,
        created_s: i64,
    ) -> Result<bool> {
        let transaction = self.begin().await?;
        let now = self.ids.now_ms();
        let row = stripe_event::ActiveModel {
            id: Set(id.to_owned()),
            tenant_id: Set(tenant.map(|tenant| tenant.0)),
            kind: Set(kind.to_owned()),
            created_s: Set(created_s),
            taken_at: Set(now),
        };
        let once = OnConflict::column(stripe_event::Column::Id).do_nothing().to_owned();
        let insert = stripe_event::Entity::insert(row).on_conflict(once);
        let inserted = insert.exec_without_returning(&transaction).await?;
        if let Some(tenant) = tenant {
            let row = account_row(&transaction, tenant).await?;
            let newest = row.stripe_event_at.map_or(created_s, |newest| newest.max(created_s));
            let mut row = row.into_active_model();
            row.stripe_event_at = Set(Some(newest));
            row.update(&transaction).await?;
        }
        let old = stripe_event::Column::TakenAt.lt(now.saturating_sub(EVENTS_KEPT_MS));
        stripe_event::Entity::delete_many().filter(old).exec(&transaction).await?;
        transaction.commit().await?;
        Ok(inserted > 0)
    }

    /// What Stripe says of a tenant's subscription. The first one begins billing with the current
    /// hour; the end of one moves the tenant to the plan that its terms name, or to `free`.
    pub async fn note_subscription(
        &self,
        tenant: TenantId,
        note: &SubscriptionNote,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let found = locked(&change, tenant).await?;
        let account = account_row(&change.transaction, tenant).await?;
        let hour = change.at.div_euclid(USAGE_WINDOW_MS) * USAGE_WINDOW_MS;
        let billed_from = account.billed_from.or(note.subscription.is_some().then_some(hour));
        let mut row = account.into_active_model();
        row.billed_from = Set(billed_from);
        row.stripe_subscription_id = Set(note.subscription.clone());
        row.stripe_status = Set(Some(note.status.clone()));
        row.update(&change.transaction).await?;
        let mut details = json!({"subscription": note.subscription, "status": note.status});
        if note.subscription.is_none() {
            let before = Plan::read(&found.plan)?;
            let after = self.terms_of(&before).await?.after_trial;
            let after = after.unwrap_or_else(|| Plan::Free.name().to_owned());
            details["plan"] = json!(after);
            let mut owner = found.into_active_model();
            owner.plan = Set(after);
            owner.update(&change.transaction).await?;
        }
        commit(change, tenant, "subscription.update", details).await
    }
}

/// A row of a tenant.
fn of(tenant: TenantId, identifier: &str) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::TenantId.eq(tenant.0))
        .filter(table::Column::Identifier.eq(identifier))
}

impl Tenancy {
    /// Whose customer it is; Stripe's webhooks know nothing else.
    pub async fn tenant_of_stripe_customer(&self, customer: &str) -> Result<Option<TenantId>> {
        let row = tenant::Entity::find()
            .filter(tenant::Column::StripeCustomerId.eq(customer))
            .one(self.reader())
            .await?;
        Ok(row.map(|row| TenantId(row.id)))
    }
}
