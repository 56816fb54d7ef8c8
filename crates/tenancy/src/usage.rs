//! Usage: what each project consumed, added up in windows of an hour.

use crate::entity::usage_window as table;
use crate::page::fetch_count;
use crate::tenants::Word;
use crate::{Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, Func, OnConflict};
use sea_orm::{ActiveValue::Set, Condition, DatabaseTransaction, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{ProjectId, TenantId, TimestampMs, Usage, UsageMetric};

/// Length of a window; windows begin at whole multiples of it since the Unix epoch.
pub const USAGE_WINDOW_MS: i64 = 3_600_000;
/// Length of a day's window.
pub const USAGE_DAY_MS: i64 = 24 * USAGE_WINDOW_MS;
/// Rows of one statement, well below the databases' bound on parameters.
const ROWS_PER_STATEMENT_MAX: usize = 1_000;

/// How long the windows of an answer are. Only hours are stored; a day is the sum of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageStep {
    #[default]
    Hour,
    /// From midnight UTC.
    Day,
}

impl Word for UsageMetric {
    const ALL: &'static [(UsageMetric, &'static str)] = &UsageMetric::ALL;
}

#[derive(Debug, Clone, PartialEq)]
pub struct UsageWindow {
    pub tenant: TenantId,
    pub project: ProjectId,
    pub metric: UsageMetric,
    pub window_start: TimestampMs,
    pub quantity: u64,
}

/// The place of a window in the list of a tenant's windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageWindowKey {
    pub window_start: TimestampMs,
    pub project: ProjectId,
    pub metric: UsageMetric,
}

impl UsageWindow {
    pub fn key(&self) -> UsageWindowKey {
        UsageWindowKey {
            window_start: self.window_start,
            project: self.project,
            metric: self.metric,
        }
    }
}

/// Windows that begin in `from..to`.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    pub project: Option<ProjectId>,
    pub metric: Option<UsageMetric>,
    pub from: Option<TimestampMs>,
    pub to: Option<TimestampMs>,
    pub after: Option<UsageWindowKey>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct UsageTotal {
    pub project: ProjectId,
    pub metric: UsageMetric,
    pub quantity: u64,
}

fn read_quantity(quantity: i64) -> Result<u64> {
    u64::try_from(quantity).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

fn read(row: table::Model) -> Result<UsageWindow> {
    Ok(UsageWindow {
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        metric: UsageMetric::read(&row.metric)?,
        window_start: row.window_start,
        quantity: read_quantity(row.quantity)?,
    })
}

fn of(tenant: TenantId, filter: &UsageFilter) -> Select<table::Entity> {
    let mut rows = table::Entity::find().filter(table::Column::TenantId.eq(tenant.0));
    if let Some(project) = filter.project {
        rows = rows.filter(table::Column::ProjectId.eq(project.0));
    }
    if let Some(metric) = filter.metric {
        rows = rows.filter(table::Column::Metric.eq(metric.word()));
    }
    if let Some(from) = filter.from {
        rows = rows.filter(table::Column::WindowStart.gte(from));
    }
    if let Some(to) = filter.to {
        rows = rows.filter(table::Column::WindowStart.lt(to));
    }
    rows
}

/// Strictly after `key` in the order of window, project, metric, where windows are so long.
fn after(key: UsageWindowKey, window_ms: i64) -> Condition {
    let metric_after = Condition::all()
        .add(table::Column::ProjectId.eq(key.project.0))
        .add(table::Column::Metric.gt(key.metric.word()));
    let project_after =
        Condition::any().add(table::Column::ProjectId.gt(key.project.0)).add(metric_after);
    let end = key.window_start.saturating_add(window_ms);
    let same_window = Condition::all()
        .add(table::Column::WindowStart.gte(key.window_start))
        .add(table::Column::WindowStart.lt(end))
        .add(project_after);
    Condition::any().add(table::Column::WindowStart.gte(end)).add(same_window)
}

pub(crate) fn window_of(at: TimestampMs) -> TimestampMs {
    at.div_euclid(USAGE_WINDOW_MS) * USAGE_WINDOW_MS
}

type Sums = BTreeMap<(TenantId, ProjectId, UsageMetric), u64>;

/// One statement must not touch a row twice, and all writers take rows in one order.
fn sum(usage: &[(TenantId, ProjectId, Usage)]) -> Sums {
    let mut sums = Sums::new();
    for (tenant, project, used) in usage {
        for (metric, quantity) in used.iter().filter(|(_, quantity)| *quantity > 0) {
            let sum = sums.entry((*tenant, *project, metric)).or_default();
            *sum = sum.saturating_add(quantity);
        }
    }
    sums
}

/// Adds counts to the windows that begin at `window_start`.
pub(crate) async fn add_windows(
    transaction: &DatabaseTransaction,
    window_start: TimestampMs,
    usage: &[(TenantId, ProjectId, Usage)],
) -> Result<()> {
    let rows: Vec<table::ActiveModel> = sum(usage)
        .into_iter()
        .map(|((tenant, project, metric), quantity)| table::ActiveModel {
            tenant_id: Set(tenant.0),
            project_id: Set(project.0),
            metric: Set(metric.word().to_owned()),
            window_start: Set(window_start),
            quantity: Set(i64::try_from(quantity).unwrap_or(i64::MAX)),
        })
        .collect();
    for chunk in rows.chunks(ROWS_PER_STATEMENT_MAX) {
        let stored = Expr::col((table::Entity, table::Column::Quantity));
        let added = Expr::col(("excluded", table::Column::Quantity));
        let mut adding = OnConflict::columns([
            table::Column::TenantId,
            table::Column::ProjectId,
            table::Column::Metric,
            table::Column::WindowStart,
        ]);
        adding.value(table::Column::Quantity, stored.add(added));
        table::Entity::insert_many(chunk.to_vec())
            .on_conflict(adding)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

impl Tenancy {
    /// Adds counts to the windows that hold `at`; all or nothing. The counts carry their tenants.
    pub async fn add_usage(
        &self,
        at: TimestampMs,
        usage: &[(TenantId, ProjectId, Usage)],
    ) -> Result<()> {
        let transaction = self.begin().await?;
        add_windows(&transaction, window_of(at), usage).await?;
        Ok(transaction.commit().await?)
    }

    /// Windows of a tenant in order of time, project and metric.
    pub async fn usage(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
        limit: usize,
    ) -> Result<Page<UsageWindow>> {
        let mut rows = of(tenant, filter);
        if let Some(key) = filter.after {
            rows = rows.filter(after(key, USAGE_WINDOW_MS));
        }
        let rows = rows
            .order_by_asc(table::Column::WindowStart)
            .order_by_asc(table::Column::ProjectId)
            .order_by_asc(table::Column::Metric)
            .limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// Days of a tenant in order of time, project and metric, each the sum of its hours.
    pub async fn usage_days(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
        limit: usize,
    ) -> Result<Page<UsageWindow>> {
        let mut rows = of(tenant, filter);
        if let Some(key) = filter.after {
            rows = rows.filter(after(key, USAGE_DAY_MS));
        }
        // Written out: as a parameter PostgreSQL would not see one expression in its three places.
        let into_day = Expr::cust(format!("window_start % {USAGE_DAY_MS}"));
        let day = Expr::col(table::Column::WindowStart).sub(into_day);
        let total = Func::cast_as(table::Column::Quantity.sum(), "bigint");
        let rows = rows
            .select_only()
            .column_as(day.clone(), "day")
            .column(table::Column::ProjectId)
            .column(table::Column::Metric)
            .column_as(Expr::from(total), "total")
            .group_by(day.clone())
            .group_by(table::Column::ProjectId)
            .group_by(table::Column::Metric)
            .order_by_asc(day)
            .order_by_asc(table::Column::ProjectId)
            .order_by_asc(table::Column::Metric)
            .limit(fetch_count(limit))
            .into_tuple::<(i64, Uuid, String, i64)>()
            .all(self.reader())
            .await?;
        Page::collect(rows, limit, |(window_start, project, metric, quantity)| {
            Ok(UsageWindow {
                tenant,
                project: ProjectId(project),
                metric: UsageMetric::read(&metric)?,
                window_start,
                quantity: read_quantity(quantity)?,
            })
        })
    }

    /// Sums over all windows that the filter takes, per project and metric; `after` is ignored.
    pub async fn usage_totals(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
    ) -> Result<Vec<UsageTotal>> {
        // PostgreSQL sums big integers into a numeric; both databases cast it back.
        let total = Func::cast_as(table::Column::Quantity.sum(), "bigint");
        let rows = of(tenant, filter)
            .select_only()
            .column(table::Column::ProjectId)
            .column(table::Column::Metric)
            .column_as(Expr::from(total), "total")
            .group_by(table::Column::ProjectId)
            .group_by(table::Column::Metric)
            .order_by_asc(table::Column::ProjectId)
            .order_by_asc(table::Column::Metric)
            .into_tuple::<(Uuid, String, i64)>()
            .all(self.reader())
            .await?;
        rows.into_iter()
            .map(|(project, metric, quantity)| {
                Ok(UsageTotal {
                    project: ProjectId(project),
                    metric: UsageMetric::read(&metric)?,
                    quantity: read_quantity(quantity)?,
                })
            })
            .collect()
    }
}
