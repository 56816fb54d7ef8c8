//! Usage that equals the log: each write of counts says which offsets it counted, in the same
//! transaction, so that after a crash the node knows from where on to count again. This file must
//! not know how the log is read.

use crate::audit::Entry;
use crate::entity::{usage_mark, usage_range, usage_window, usage_writer};
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::tenants::Word;
use crate::usage::{add_windows, window_of};
use crate::{Actor, Page, Result, Tenancy, TenancyError, UsageFilter};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, Condition, DatabaseTransaction, QueryOrder, QuerySelect};
use serde_json::json;
use types::{
    LogRange, Offset, Partition, ProjectId, TenantId, TimestampMs, TopicId, Usage, UsageMetric,
};

/// Rows of one statement, well below the databases' bound on parameters.
const ROWS_PER_STATEMENT_MAX: usize = 1_000;
/// Numbers of processes are forgotten after so long: none tries a write again that is as old.
const WRITERS_KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// What was counted of one partition in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRange {
    pub tenant: TenantId,
    pub project: ProjectId,
    /// The hour that the counts are in.
    pub window_start: TimestampMs,
    pub range: LogRange,
    pub records: u64,
    pub bytes: u64,
}

/// The place of a range in the list of a tenant's ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRangeKey {
    pub window_start: TimestampMs,
    pub topic: TopicId,
    pub partition: Partition,
}

impl UsageRange {
    pub fn key(&self) -> UsageRangeKey {
        UsageRangeKey {
            window_start: self.window_start,
            topic: self.range.topic,
            partition: self.range.partition,
        }
    }
}

/// Up to where a partition is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageMark {
    pub topic: TopicId,
    pub partition: Partition,
    pub next: Offset,
    /// When that was written.
    pub at: TimestampMs,
}

/// Counts on their way into the windows. Tried again it must be the same in every field.
#[derive(Debug, Clone, Default)]
pub struct UsageWrite {
    /// The process.
    pub writer: Uuid,
    /// Its writes are numbered from 1; none is carried out twice.
    pub sequence: u64,
    /// The counts go into the hour that holds it.
    pub at: TimestampMs,
    /// All counts, those of `ranges` included.
    pub usage: Vec<(TenantId, ProjectId, Usage)>,
    /// What of it the log can tell again.
    pub ranges: Vec<UsageRange>,
}

/// What the log says of a range, where it differs from what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    pub counted: UsageRange,
    pub records: u64,
    pub bytes: u64,
}

fn unsigned(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn read_range(row: usage_range::Model) -> Result<UsageRange> {
    let partition = u32::try_from(row.partition);
    Ok(UsageRange {
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        window_start: row.window_start,
        range: LogRange {
            topic: TopicId(row.topic_id.cast_unsigned()),
            partition: partition.map_err(|error| TenancyError::Corrupt(error.to_string()))?,
            from: unsigned(row.from_offset)?,
            to: unsigned(row.to_offset)?,
        },
        records: unsigned(row.records)?,
        bytes: unsigned(row.bytes)?,
    })
}

fn range_row(of: &UsageRange, window_start: TimestampMs) -> usage_range::ActiveModel {
    usage_range::ActiveModel {
        topic_id: Set(of.range.topic.0.cast_signed()),
        partition: Set(of.range.partition.into()),
        window_start: Set(window_start),
        tenant_id: Set(of.tenant.0),
        project_id: Set(of.project.0),
        from_offset: Set(signed(of.range.from)),
        to_offset: Set(signed(of.range.to)),
        records: Set(signed(of.records)),
        bytes: Set(signed(of.bytes)),
    }
}

/// A range that begins in a window goes on where it ended.
fn going_on() -> OnConflict {
    let mut on = OnConflict::columns([
        usage_range::Column::TopicId,
        usage_range::Column::Partition,
        usage_range::Column::WindowStart,
    ]);
    on.update_column(usage_range::Column::ToOffset);
    for column in [usage_range::Column::Records, usage_range::Column::Bytes] {
        let stored = Expr::col((usage_range::Entity, column));
        on.value(column, stored.add(Expr::col(("excluded", column))));
    }
    on
}

fn mark_rows(write: &UsageWrite) -> impl Iterator<Item = usage_mark::ActiveModel> {
    write.ranges.iter().map(|of| usage_mark::ActiveModel {
        topic_id: Set(of.range.topic.0.cast_signed()),
        partition: Set(of.range.partition.into()),
        next_offset: Set(signed(of.range.to)),
        at: Set(write.at),
    })
}

/// `false` when this very write was carried out before.
async fn is_new(transaction: &DatabaseTransaction, write: &UsageWrite) -> Result<bool> {
    let known = usage_writer::Entity::find_by_id(write.writer).one(transaction).await?;
    if known.is_some_and(|known| known.sequence >= signed(write.sequence)) {
        return Ok(false);
    }
    if write.sequence <= 1 {
        let before = write.at.saturating_sub(WRITERS_KEPT_MS);
        usage_writer::Entity::delete_many()
            .filter(usage_writer::Column::At.lt(before))
            .exec(transaction)
            .await?;
    }
    let row = usage_writer::ActiveModel {
        writer: Set(write.writer),
        sequence: Set(signed(write.sequence)),
        at: Set(write.at),
    };
    let mut newest = OnConflict::column(usage_writer::Column::Writer);
    newest.update_columns([usage_writer::Column::Sequence, usage_writer::Column::At]);
    let insert = usage_writer::Entity::insert(row).on_conflict(newest);
    insert.exec_without_returning(transaction).await?;
    Ok(true)
}

impl Tenancy {
    /// Adds counts to their windows and notes up to where the log is in them, all or nothing, and
    /// once, however often it is tried. No partition occurs twice in `ranges`.
    pub async fn write_usage(&self, write: &UsageWrite) -> Result<()> {
        let transaction = self.begin().await?;
        if !is_new(&transaction, write).await? {
            return Ok(());
        }
        let window_start = window_of(write.at);
        add_windows(&transaction, window_start, &write.usage).await?;
        let ranges: Vec<_> = write.ranges.iter().map(|of| range_row(of, window_start)).collect();
        for chunk in ranges.chunks(ROWS_PER_STATEMENT_MAX) {
            let insert = usage_range::Entity::insert_many(chunk.to_vec()).on_conflict(going_on());
            insert.exec_without_returning(&transaction).await?;
        }
        let marks: Vec<_> = mark_rows(write).collect();
        for chunk in marks.chunks(ROWS_PER_STATEMENT_MAX) {
            let mut newest =
                OnConflict::columns([usage_mark::Column::TopicId, usage_mark::Column::Partition]);
            newest.update_columns([usage_mark::Column::NextOffset, usage_mark::Column::At]);
            let insert = usage_mark::Entity::insert_many(chunk.to_vec()).on_conflict(newest);
            insert.exec_without_returning(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Up to where each partition is counted: for the node at start.
    pub async fn usage_marks(&self) -> Result<Vec<UsageMark>> {
        let rows = usage_mark::Entity::find().all(self.reader()).await?;
        rows.into_iter()
            .map(|row| {
                let partition = u32::try_from(row.partition);
                Ok(UsageMark {
                    topic: TopicId(row.topic_id.cast_unsigned()),
                    partition: partition
                        .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
                    next: unsigned(row.next_offset)?,
                    at: row.at,
                })
            })
            .collect()
    }

    /// Whether anything published was counted before marks were kept: for the node at start.
    pub async fn has_usage_without_marks(&self) -> Result<bool> {
        if usage_mark::Entity::find().one(self.reader()).await?.is_some() {
            return Ok(false);
        }
        let published = UsageMetric::EventsPublished.word();
        let counted = usage_window::Entity::find()
            .filter(usage_window::Column::Metric.eq(published))
            .one(self.reader())
            .await?;
        Ok(counted.is_some())
    }

    /// Ranges of a topic's partition that reach beyond an offset: for the node at start, when the
    /// log has lost its end.
    pub async fn usage_ranges_beyond(
        &self,
        tenant: TenantId,
        topic: TopicId,
        partition: Partition,
        beyond: Offset,
    ) -> Result<Vec<UsageRange>> {
        let rows = usage_range::Entity::find()
            .filter(usage_range::Column::TenantId.eq(tenant.0))
            .filter(usage_range::Column::TopicId.eq(topic.0.cast_signed()))
            .filter(usage_range::Column::Partition.eq(i64::from(partition)))
            .filter(usage_range::Column::ToOffset.gt(signed(beyond)))
            .order_by_asc(usage_range::Column::WindowStart)
            .limit(PAGE_ITEMS_MAX as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read_range).collect()
    }

    /// What was counted of the log, in order of window, topic and partition. Of the filter, project
    /// and time count.
    pub async fn usage_ranges(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
        after: Option<UsageRangeKey>,
        limit: usize,
    ) -> Result<Page<UsageRange>> {
        use usage_range::Column;
        let mut rows = usage_range::Entity::find().filter(Column::TenantId.eq(tenant.0));
        if let Some(project) = filter.project {
            rows = rows.filter(Column::ProjectId.eq(project.0));
        }
        if let Some(from) = filter.from {
            rows = rows.filter(Column::WindowStart.gte(from));
        }
        if let Some(to) = filter.to {
            rows = rows.filter(Column::WindowStart.lt(to));
        }
        if let Some(key) = after {
            let topic = key.topic.0.cast_signed();
            let partition_after = Condition::all()
                .add(Column::TopicId.eq(topic))
                .add(Column::Partition.gt(i64::from(key.partition)));
            let topic_after = Condition::any().add(Column::TopicId.gt(topic)).add(partition_after);
            let same_window =
                Condition::all().add(Column::WindowStart.eq(key.window_start)).add(topic_after);
            let later = Column::WindowStart.gt(key.window_start);
            rows = rows.filter(Condition::any().add(later).add(same_window));
        }
        let rows = rows
            .order_by_asc(Column::WindowStart)
            .order_by_asc(Column::TopicId)
            .order_by_asc(Column::Partition)
            .limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read_range)
    }

    /// Sets ranges of a tenant to what the log says, and their windows with them. A range that was
    /// counted on in the meantime is left alone; answers how many were corrected.
    pub async fn correct_usage(
        &self,
        tenant: TenantId,
        corrections: &[Correction],
        by: &Actor,
    ) -> Result<usize> {
        let change = self.change(by).await?;
        let mut corrected = Vec::new();
        for correction in corrections.iter().filter(|it| it.counted.tenant == tenant) {
            if correct(&change.transaction, correction).await? {
                corrected.push(json!({
                    "project": correction.counted.project,
                    "window_start": correction.counted.window_start,
                    "records": [correction.counted.records, correction.records],
                    "bytes": [correction.counted.bytes, correction.bytes],
                }));
            }
        }
        let count = corrected.len();
        if count == 0 {
            return Ok(0);
        }
        let details = json!({ "corrected": corrected });
        let action = "usage.correct";
        change
            .commit(Entry { tenant: Some(tenant), project: None, action, target: &tenant, details })
            .await?;
        Ok(count)
    }

    /// Forgets which offsets windows were made of that began before `before`, at most `limit`
    /// partitions' worth; the windows stay.
    pub async fn sweep_usage_ranges(&self, before: TimestampMs, limit: usize) -> Result<u64> {
        let old = usage_range::Entity::find()
            .filter(usage_range::Column::WindowStart.lt(before))
            .order_by_asc(usage_range::Column::WindowStart)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let transaction = self.begin().await?;
        for row in &old {
            let key = (row.topic_id, row.partition, row.window_start);
            usage_range::Entity::delete_by_id(key).exec(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(old.len() as u64)
    }
}

/// `false` when the range is not as it was counted any more.
async fn correct(transaction: &DatabaseTransaction, correction: &Correction) -> Result<bool> {
    use usage_range::Column;
    let counted = &correction.counted;
    let updated = usage_range::Entity::update_many()
        .col_expr(Column::Records, Expr::value(signed(correction.records)))
        .col_expr(Column::Bytes, Expr::value(signed(correction.bytes)))
        .filter(Column::TenantId.eq(counted.tenant.0))
        .filter(Column::TopicId.eq(counted.range.topic.0.cast_signed()))
        .filter(Column::Partition.eq(i64::from(counted.range.partition)))
        .filter(Column::WindowStart.eq(counted.window_start))
        .filter(Column::ToOffset.eq(signed(counted.range.to)))
        .filter(Column::Records.eq(signed(counted.records)))
        .filter(Column::Bytes.eq(signed(counted.bytes)))
        .exec(transaction)
        .await?;
    if updated.rows_affected == 0 {
        return Ok(false);
    }
    let differences = [
        (UsageMetric::EventsPublished, counted.records, correction.records),
        (UsageMetric::BytesPublished, counted.bytes, correction.bytes),
    ];
    for (metric, from, to) in differences {
        add_difference(transaction, counted, metric, signed(to) - signed(from)).await?;
    }
    Ok(true)
}

async fn add_difference(
    transaction: &DatabaseTransaction,
    of: &UsageRange,
    metric: UsageMetric,
    difference: i64,
) -> Result<()> {
    use usage_window::Column;
    let more = u64::try_from(difference).unwrap_or_default();
    if more > 0 {
        let mut usage = Usage::default();
        *usage.at(metric) = more;
        return add_windows(transaction, of.window_start, &[(of.tenant, of.project, usage)]).await;
    }
    usage_window::Entity::update_many()
        .col_expr(Column::Quantity, Expr::col(Column::Quantity).add(difference))
        .filter(Column::TenantId.eq(of.tenant.0))
        .filter(Column::ProjectId.eq(of.project.0))
        .filter(Column::Metric.eq(metric.word()))
        .filter(Column::WindowStart.eq(of.window_start))
        .exec(transaction)
        .await?;
    Ok(())
}
