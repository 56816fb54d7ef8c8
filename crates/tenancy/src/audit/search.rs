//! Looking through the trail: by who, what, of whom, what came of it and when, newest first or in
//! the chain's order, and counted for reports. It must not write.

use super::{AuditId, AuditOutcome, AuditRecord, natural, read};
use crate::entity::audit as table;
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::{Page, Result, Tenancy};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, Func, LikeExpr};
use sea_orm::{QueryOrder, QuerySelect};
use types::{ProjectId, TenantId, TimestampMs};

const HOURS: usize = 24;
/// Groups that a report counts; the rest is said to be left out.
pub const AUDIT_GROUPS_MAX: usize = 10_000;

/// What part of a trail is wanted. What is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub project: Option<ProjectId>,
    /// Exactly this action, or with a `*` at its end all that begin so: `key.*`.
    pub action: Option<String>,
    /// Exactly this actor, or those that begin so.
    pub actor: Option<String>,
    /// What was acted upon, likewise.
    pub target: Option<String>,
    pub outcome: Option<AuditOutcome>,
    pub address: Option<String>,
    /// Written then or later.
    pub from: Option<TimestampMs>,
    /// Written before.
    pub to: Option<TimestampMs>,
    /// Older than this record: the trail is listed newest first.
    pub before: Option<AuditId>,
}

/// How often somebody did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCount {
    pub actor: String,
    pub action: String,
    pub outcome: AuditOutcome,
    pub count: u64,
}

fn like(column: table::Column, wanted: &str) -> Expr {
    let Some(start) = wanted.strip_suffix('*') else { return column.eq(wanted) };
    let mut pattern = String::with_capacity(start.len() + 1);
    for character in start.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    column.like(LikeExpr::new(pattern).escape('\\'))
}

fn chosen(filter: &AuditFilter) -> Select<table::Entity> {
    let mut rows = table::Entity::find();
    if let Some(project) = filter.project {
        rows = rows.filter(table::Column::ProjectId.eq(project.0));
    }
    let texts = [
        (table::Column::Action, &filter.action),
        (table::Column::Actor, &filter.actor),
        (table::Column::Target, &filter.target),
    ];
    for (column, wanted) in texts {
        if let Some(wanted) = wanted {
            rows = rows.filter(like(column, wanted));
        }
    }
    if let Some(outcome) = filter.outcome {
        rows = rows.filter(table::Column::Outcome.eq(outcome.name()));
    }
    if let Some(address) = &filter.address {
        rows = rows.filter(table::Column::Address.eq(address));
    }
    if let Some(from) = filter.from {
        rows = rows.filter(table::Column::At.gte(from));
    }
    if let Some(to) = filter.to {
        rows = rows.filter(table::Column::At.lt(to));
    }
    if let Some(before) = filter.before {
        rows = rows.filter(table::Column::Id.lt(before.0));
    }
    rows
}

fn of(tenant: TenantId, filter: &AuditFilter) -> Select<table::Entity> {
    chosen(filter).filter(table::Column::TenantId.eq(tenant.0))
}

impl Tenancy {
    /// The tenant's trail, newest first.
    pub async fn audit(
        &self,
        tenant: TenantId,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        self.audit_page(of(tenant, filter), limit).await
    }

    /// Everybody's trail and the node's own, newest first: for the operator only.
    pub async fn audit_of_all_tenants(
        &self,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        self.audit_page(chosen(filter), limit).await
    }

    /// The tenant's records behind this number, in the order of the chain. `before` is ignored.
    pub async fn audit_after(
        &self,
        tenant: TenantId,
        filter: &AuditFilter,
        sequence: u64,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        self.audit_in_order(of(tenant, filter), sequence, limit).await
    }

    /// As `audit_after`, of everybody: for the operator and for what leaves the installation.
    pub async fn audit_of_all_after(
        &self,
        filter: &AuditFilter,
        sequence: u64,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        self.audit_in_order(chosen(filter), sequence, limit).await
    }

    /// The smallest and the greatest number of everybody's records that were written then or later,
    /// and before `to`; `None`: there are none with a place in the chain.
    pub async fn audit_span(
        &self,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<Option<(u64, u64)>> {
        let ends = table::Entity::find()
            .select_only()
            .column_as(table::Column::Sequence.min(), "first")
            .column_as(table::Column::Sequence.max(), "last")
            .filter(table::Column::At.gte(from))
            .filter(table::Column::At.lt(to))
            .into_tuple::<(Option<i64>, Option<i64>)>()
            .one(self.reader())
            .await?;
        match ends {
            Some((Some(first), Some(last))) => Ok(Some((natural(first)?, natural(last)?))),
            _ => Ok(None),
        }
    }

    /// Records behind one number and up to another, in the order of the chain; of all tenants where
    /// none is given.
    pub async fn audit_within(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
        (after, last): (u64, u64),
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        let rows = match tenant {
            Some(tenant) => of(tenant, filter),
            None => chosen(filter),
        };
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        self.audit_in_order(rows.filter(table::Column::Sequence.lte(last)), after, limit).await
    }

    /// What was done how often, by whom and with what outcome, most often first; of all tenants
    /// where none is given. At most `AUDIT_GROUPS_MAX` groups, and whether there are more.
    pub async fn audit_counts(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
    ) -> Result<Page<AuditCount>> {
        let rows = match tenant {
            Some(tenant) => of(tenant, filter),
            None => chosen(filter),
        };
        let total = Func::cast_as(table::Column::Count.sum(), "bigint");
        let mut rows = rows
            .select_only()
            .column(table::Column::Actor)
            .column(table::Column::Action)
            .column(table::Column::Outcome)
            .column_as(Expr::from(total.clone()), "total")
            .group_by(table::Column::Actor)
            .group_by(table::Column::Action)
            .group_by(table::Column::Outcome)
            .order_by_desc(Expr::from(total))
            .order_by_asc(table::Column::Actor)
            .order_by_asc(table::Column::Action)
            .order_by_asc(table::Column::Outcome)
            .limit(AUDIT_GROUPS_MAX as u64 + 1)
            .into_tuple::<(String, String, String, i64)>()
            .all(self.reader())
            .await?;
        let has_more = rows.len() > AUDIT_GROUPS_MAX;
        rows.truncate(AUDIT_GROUPS_MAX);
        let items = rows.into_iter().map(|(actor, action, outcome, total)| {
            let outcome = <AuditOutcome as crate::tenants::Word>::read(&outcome)?;
            Ok(AuditCount { actor, action, outcome, count: natural(total)? })
        });
        Ok(Page { items: items.collect::<Result<Vec<AuditCount>>>()?, has_more })
    }

    /// How often something was done in each hour of the day (UTC); of all tenants where none is
    /// given.
    pub async fn audit_hours(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
    ) -> Result<[u64; HOURS]> {
        let rows = match tenant {
            Some(tenant) => of(tenant, filter),
            None => chosen(filter),
        };
        let hour = Expr::cust("(at / 3600000) % 24");
        let total = Func::cast_as(table::Column::Count.sum(), "bigint");
        let rows = rows
            .select_only()
            .column_as(hour.clone(), "hour")
            .column_as(Expr::from(total), "total")
            .group_by(hour)
            .into_tuple::<(i64, i64)>()
            .all(self.reader())
            .await?;
        let mut hours = [0; HOURS];
        for (hour, total) in rows {
            let hour = usize::try_from(hour).ok().and_then(|hour| hours.get_mut(hour));
            if let Some(sum) = hour {
                *sum += natural(total)?;
            }
        }
        Ok(hours)
    }

    async fn audit_page(
        &self,
        rows: Select<table::Entity>,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        let rows = rows.order_by_desc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    async fn audit_in_order(
        &self,
        rows: Select<table::Entity>,
        after: u64,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let rows = rows
            .filter(table::Column::Sequence.gt(after))
            .order_by_asc(table::Column::Sequence)
            .limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }
}
