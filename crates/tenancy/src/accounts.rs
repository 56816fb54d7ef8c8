//! A tenant's standing with money: trial, overdue payment, grace, and what stops it. Each step is
//! one transaction with its record in the trail, told to all projects of the tenant.

use crate::audit::{Change, Entry};
use crate::entity::{account as table, project, usage_notice};
use crate::page::PAGE_ITEMS_MAX;
use crate::tenants::{Plan, Tenant, TenantStatus, Word, locked, read as read_tenant};
use crate::{Actor, Result, Tenancy};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, Condition, DatabaseTransaction, IntoActiveModel, QuerySelect};
use serde_json::{Value, json};
use types::plan::DAY_MS;
use types::{ProjectId, TenantId, TimestampMs};

/// Projects of a tenant that are told of one event; the trail tells everybody else.
const TOLD_PROJECTS_MAX: u64 = 200;

/// What is not known of a tenant is at its default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Account {
    pub trial_ends_at: Option<TimestampMs>,
    pub past_due_at: Option<TimestampMs>,
    /// The tenant is suspended then.
    pub grace_ends_at: Option<TimestampMs>,
    /// Suspended because of a payment; the next payment ends it.
    pub is_suspended_unpaid: bool,
    /// Why further use is refused, and until when.
    pub stop: Option<Stop>,
    pub stripe_subscription_id: Option<String>,
    /// In Stripe's words.
    pub stripe_status: Option<String>,
    /// What is used from then on is reported to Stripe.
    pub billed_from: Option<TimestampMs>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub reason: String,
    pub until: TimestampMs,
}

/// What became due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    TrialEnds,
    GraceEnds,
}

pub(crate) fn read(row: table::Model) -> Account {
    let stop = row.stop_reason.zip(row.stop_until).map(|(reason, until)| Stop { reason, until });
    Account {
        trial_ends_at: row.trial_ends_at,
        past_due_at: row.past_due_at,
        grace_ends_at: row.grace_ends_at,
        is_suspended_unpaid: row.is_suspended_unpaid,
        stop,
        stripe_subscription_id: row.stripe_subscription_id,
        stripe_status: row.stripe_status,
        billed_from: row.billed_from,
    }
}

/// The tenant's row, made when there is none.
pub(crate) async fn row(
    transaction: &DatabaseTransaction,
    tenant: TenantId,
) -> Result<table::Model> {
    if let Some(found) = table::Entity::find_by_id(tenant.0).one(transaction).await? {
        return Ok(found);
    }
    let row = table::Model {
        tenant_id: tenant.0,
        trial_ends_at: None,
        past_due_at: None,
        grace_ends_at: None,
        is_suspended_unpaid: false,
        stop_reason: None,
        stop_until: None,
        stripe_subscription_id: None,
        stripe_status: None,
        stripe_event_at: None,
        billed_from: None,
    };
    let insert = table::Entity::insert(row.clone().into_active_model());
    insert.exec_without_returning(transaction).await?;
    Ok(row)
}

/// Sets the clocks that a status starts or stops.
pub(crate) async fn begin_status(
    tenancy: &Tenancy,
    change: &Change<'_>,
    tenant: TenantId,
    plan: &Plan,
    status: TenantStatus,
) -> Result<()> {
    let terms = tenancy.terms_of(plan).await?;
    let after = |days: u32| change.at.saturating_add(i64::from(days) * DAY_MS);
    let mut account = row(&change.transaction, tenant).await?.into_active_model();
    let (mut trial, mut past_due, mut grace) = (None, None, None);
    match status {
        TenantStatus::Trial => trial = Some(after(terms.trial_days)),
        TenantStatus::PastDue => {
            past_due = Some(change.at);
            grace = Some(after(terms.grace_days));
        }
        TenantStatus::Active | TenantStatus::Suspended => {}
    }
    account.trial_ends_at = Set(trial);
    account.past_due_at = Set(past_due);
    account.grace_ends_at = Set(grace);
    if status == TenantStatus::Active {
        account.is_suspended_unpaid = Set(false);
    }
    account.update(&change.transaction).await?;
    Ok(())
}

pub(crate) async fn projects_of(
    transaction: &DatabaseTransaction,
    tenant: TenantId,
) -> Result<Vec<ProjectId>> {
    let rows = project::Entity::find()
        .select_only()
        .column(project::Column::Id)
        .filter(project::Column::TenantId.eq(tenant.0))
        .limit(TOLD_PROJECTS_MAX)
        .into_tuple::<Uuid>()
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(ProjectId).collect())
}

/// The last step of each change here: in the trail once, and told to every project.
pub(crate) async fn commit(
    change: Change<'_>,
    tenant: TenantId,
    action: &'static str,
    details: Value,
) -> Result<()> {
    let projects = projects_of(&change.transaction, tenant).await?;
    let entry = Entry { tenant: Some(tenant), project: None, action, target: &tenant, details };
    change.commit_told(entry, &projects).await
}

impl Tenancy {
    pub async fn account(&self, tenant: TenantId) -> Result<Account> {
        let row = table::Entity::find_by_id(tenant.0).one(self.reader()).await?;
        Ok(row.map(read).unwrap_or_default())
    }

    /// Tenants whose trial or grace is over: for the node's worker.
    pub async fn accounts_due(&self, now: TimestampMs) -> Result<Vec<(TenantId, Due)>> {
        let due = Condition::any()
            .add(table::Column::TrialEndsAt.lte(now))
            .add(table::Column::GraceEndsAt.lte(now));
        let rows = table::Entity::find().filter(due).limit(PAGE_ITEMS_MAX as u64);
        let rows = rows.all(self.reader()).await?;
        let what = |row: table::Model| match row.trial_ends_at.is_some_and(|at| at <= now) {
            true => (TenantId(row.tenant_id), Due::TrialEnds),
            false => (TenantId(row.tenant_id), Due::GraceEnds),
        };
        Ok(rows.into_iter().map(what).collect())
    }

    /// The trial is over: with a subscription the tenant goes on as it is, otherwise on the plan
    /// that the terms name. `None` when it is not on trial any more.
    pub async fn end_trial(&self, tenant: TenantId, by: &Actor) -> Result<Option<Tenant>> {
        let change = self.change(by).await?;
        let found = locked(&change, tenant).await?;
        let account = row(&change.transaction, tenant).await?;
        let mut open = account.clone().into_active_model();
        open.trial_ends_at = Set(None);
        open.update(&change.transaction).await?;
        if TenantStatus::read(&found.status)? != TenantStatus::Trial {
            change.transaction.commit().await?;
            return Ok(None);
        }
        let before = Plan::read(&found.plan)?;
        let successor = match account.stripe_subscription_id {
            Some(_) => None,
            None => self.terms_of(&before).await?.after_trial,
        };
        let plan = successor.unwrap_or_else(|| found.plan.clone());
        let details = json!({"plan": plan, "plan_before": found.plan});
        let mut next = found.into_active_model();
        next.plan = Set(plan);
        next.status = Set(TenantStatus::Active.word().to_owned());
        let row = next.update(&change.transaction).await?;
        commit(change, tenant, "trial.end", details).await?;
        read_tenant(row).map(Some)
    }

    /// A payment failed: the tenant goes on for the plan's grace, or is suspended at once when
    /// there is none. A second failure does not begin the grace again.
    pub async fn payment_failed(
        &self,
        tenant: TenantId,
        details: Value,
        by: &Actor,
    ) -> Result<Tenant> {
        let change = self.change(by).await?;
        let found = locked(&change, tenant).await?;
        let status = TenantStatus::read(&found.status)?;
        let plan = Plan::read(&found.plan)?;
        let mut next = found.clone().into_active_model();
        let row = match status {
            TenantStatus::Active | TenantStatus::Trial => {
                begin_status(self, &change, tenant, &plan, TenantStatus::PastDue).await?;
                next.status = Set(TenantStatus::PastDue.word().to_owned());
                next.update(&change.transaction).await?
            }
            TenantStatus::PastDue | TenantStatus::Suspended => found,
        };
        let at = change.at;
        commit(change, tenant, "payment.fail", details).await?;
        let account = self.account_now(tenant).await?;
        if account.grace_ends_at.is_some_and(|end| end <= at)
            && let Some(suspended) = self.end_grace(tenant, by).await?
        {
            return Ok(suspended);
        }
        read_tenant(row)
    }

    /// As the writer sees it: a pool of readers may be a moment behind.
    async fn account_now(&self, tenant: TenantId) -> Result<Account> {
        let transaction = self.begin().await?;
        let row = table::Entity::find_by_id(tenant.0).one(&transaction).await?;
        transaction.commit().await?;
        Ok(row.map(read).unwrap_or_default())
    }

    /// The grace is over: the tenant is suspended. `None` when it is not overdue any more.
    pub async fn end_grace(&self, tenant: TenantId, by: &Actor) -> Result<Option<Tenant>> {
        let change = self.change(by).await?;
        let found = locked(&change, tenant).await?;
        let account = row(&change.transaction, tenant).await?;
        let is_overdue = TenantStatus::read(&found.status)? == TenantStatus::PastDue;
        let since = account.past_due_at;
        // Asked again, it must not forget why the tenant is suspended.
        let is_suspended_unpaid = is_overdue || account.is_suspended_unpaid;
        let mut open = account.into_active_model();
        open.grace_ends_at = Set(None);
        open.is_suspended_unpaid = Set(is_suspended_unpaid);
        open.update(&change.transaction).await?;
        if !is_overdue {
            change.transaction.commit().await?;
            return Ok(None);
        }
        let mut next = found.into_active_model();
        next.status_before = Set(Some(TenantStatus::PastDue.word().to_owned()));
        next.status = Set(TenantStatus::Suspended.word().to_owned());
        next.status_reason = Set(Some("a payment is overdue".to_owned()));
        let row = next.update(&change.transaction).await?;
        let details = json!({"reason": "a payment is overdue", "past_due_at": since});
        commit(change, tenant, "tenant.suspend", details).await?;
        read_tenant(row).map(Some)
    }

    /// A payment came: who was overdue, or suspended for it, is active again.
    pub async fn payment_succeeded(
        &self,
        tenant: TenantId,
        details: Value,
        by: &Actor,
    ) -> Result<Tenant> {
        let change = self.change(by).await?;
        let found = locked(&change, tenant).await?;
        let account = row(&change.transaction, tenant).await?;
        let status = TenantStatus::read(&found.status)?;
        let plan = Plan::read(&found.plan)?;
        let is_freed = match status {
            TenantStatus::PastDue => true,
            TenantStatus::Suspended => account.is_suspended_unpaid,
            TenantStatus::Active | TenantStatus::Trial => false,
        };
        let row = if is_freed {
            begin_status(self, &change, tenant, &plan, TenantStatus::Active).await?;
            let mut next = found.into_active_model();
            next.status = Set(TenantStatus::Active.word().to_owned());
            next.status_before = Set(None);
            next.status_reason = Set(None);
            next.update(&change.transaction).await?
        } else {
            found
        };
        commit(change, tenant, "payment.succeed", details).await?;
        read_tenant(row)
    }

    /// Refuses further use until then, or lifts that.
    pub async fn set_stop(&self, tenant: TenantId, stop: Option<Stop>, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        locked(&change, tenant).await?;
        let mut open = row(&change.transaction, tenant).await?.into_active_model();
        let details = json!({
            "reason": stop.as_ref().map(|stop| &stop.reason),
            "until": stop.as_ref().map(|stop| stop.until),
        });
        open.stop_until = Set(stop.as_ref().map(|stop| stop.until));
        let is_stopped = stop.is_some();
        open.stop_reason = Set(stop.map(|stop| stop.reason));
        open.update(&change.transaction).await?;
        let action = if is_stopped { "usage.stop" } else { "usage.resume" };
        commit(change, tenant, action, details).await
    }

    /// Says something of a tenant's use once per period, in the trail and to all its projects.
    /// `false` when it was said before.
    pub async fn give_notice(
        &self,
        tenant: TenantId,
        period_start: TimestampMs,
        subject: &str,
        details: Value,
        by: &Actor,
    ) -> Result<bool> {
        let change = self.change(by).await?;
        let row = usage_notice::ActiveModel {
            tenant_id: Set(tenant.0),
            period_start: Set(period_start),
            subject: Set(subject.to_owned()),
            at: Set(change.at),
        };
        let once = OnConflict::columns([
            usage_notice::Column::TenantId,
            usage_notice::Column::PeriodStart,
            usage_notice::Column::Subject,
        ])
        .do_nothing()
        .to_owned();
        let insert = usage_notice::Entity::insert(row).on_conflict(once);
        let inserted = insert.exec_without_returning(&change.transaction).await?;
        if inserted == 0 {
            return Ok(false);
        }
        commit(change, tenant, "usage.warn", details).await?;
        Ok(true)
    }

    /// What was said of a tenant's use in a period.
    pub async fn notices(
        &self,
        tenant: TenantId,
        period_start: TimestampMs,
    ) -> Result<Vec<String>> {
        let rows = usage_notice::Entity::find()
            .filter(usage_notice::Column::TenantId.eq(tenant.0))
            .filter(usage_notice::Column::PeriodStart.eq(period_start))
            .limit(PAGE_ITEMS_MAX as u64)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|row| row.subject).collect())
    }

    /// Forgotten with the tenant.
    pub(crate) async fn delete_account_of(
        &self,
        change: &Change<'_>,
        tenant: TenantId,
    ) -> Result<()> {
        table::Entity::delete_by_id(tenant.0).exec(&change.transaction).await?;
        crate::budgets::delete_all_of(change, tenant).await
    }
}
