//! Budgets: what a tenant wants to spend or use in a month, and what happens when it is reached.

use crate::audit::{Change, Entry};
use crate::entity::budget as table;
use crate::projects::check_name;
use crate::tenants::{Word, locked};
use crate::{Actor, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::str::FromStr;
use types::{TenantId, TimestampMs, UsageMetric};

/// Budgets of one tenant.
pub const BUDGETS_MAX: u64 = 50;

/// Names one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetId(pub Uuid);

impl fmt::Display for BudgetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bud_{}", self.0.simple())
    }
}

impl FromStr for BudgetId {
    type Err = TenancyError;
    fn from_str(text: &str) -> Result<BudgetId> {
        text.strip_prefix("bud_")
            .and_then(|digits| Uuid::try_parse(digits).ok())
            .map(BudgetId)
            .ok_or_else(|| TenancyError::invalid("id", "expected `bud_` and 32 hexadecimal digits"))
    }
}

/// What reaching a budget does, beside telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum BudgetAction {
    #[default]
    Warn,
    /// Further use is refused until the month is over.
    Stop,
}

impl Word for BudgetAction {
    const ALL: &'static [(BudgetAction, &'static str)] =
        &[(BudgetAction::Warn, "warn"), (BudgetAction::Stop, "stop")];
}

#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    pub id: BudgetId,
    pub name: String,
    /// `None`: of money, in minor units of the plan's currency.
    pub metric: Option<UsageMetric>,
    /// Per calendar month.
    pub amount: u64,
    pub action: BudgetAction,
    pub created_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewBudget {
    pub name: String,
    pub metric: Option<UsageMetric>,
    pub amount: u64,
    pub action: BudgetAction,
}

fn read(row: table::Model) -> Result<Budget> {
    Ok(Budget {
        id: BudgetId(row.id),
        name: row.name,
        metric: row.metric.as_deref().map(UsageMetric::read).transpose()?,
        amount: u64::try_from(row.amount)
            .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        action: BudgetAction::read(&row.action)?,
        created_at: row.created_at,
    })
}

pub(crate) async fn delete_all_of(change: &Change<'_>, tenant: TenantId) -> Result<()> {
    let of_tenant = table::Entity::delete_many().filter(table::Column::TenantId.eq(tenant.0));
    of_tenant.exec(&change.transaction).await?;
    Ok(())
}

impl Tenancy {
    /// All budgets of a tenant, oldest first; there are never many.
    pub async fn budgets(&self, tenant: TenantId) -> Result<Vec<Budget>> {
        let rows = table::Entity::find()
            .filter(table::Column::TenantId.eq(tenant.0))
            .order_by_asc(table::Column::Id)
            .limit(BUDGETS_MAX)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    pub async fn create_budget(
        &self,
        tenant: TenantId,
        new: NewBudget,
        by: &Actor,
    ) -> Result<Budget> {
        check_name(&new.name)?;
        let amount = i64::try_from(new.amount).ok().filter(|amount| *amount > 0);
        let amount =
            amount.ok_or_else(|| TenancyError::invalid("amount", "a budget is above zero"))?;
        let change = self.change(by).await?;
        locked(&change, tenant).await?;
        let count = table::Entity::find()
            .filter(table::Column::TenantId.eq(tenant.0))
            .count(&change.transaction)
            .await?;
        if count >= BUDGETS_MAX {
            return Err(TenancyError::LimitReached { what: "budgets", max: BUDGETS_MAX });
        }
        let row = table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.0,
            name: new.name,
            metric: new.metric.map(|metric| metric.word().to_owned()),
            amount,
            action: new.action.word().to_owned(),
            created_at: change.at,
        };
        let active = table::ActiveModel {
            id: Set(row.id),
            tenant_id: Set(row.tenant_id),
            name: Set(row.name.clone()),
            metric: Set(row.metric.clone()),
            amount: Set(row.amount),
            action: Set(row.action.clone()),
            created_at: Set(row.created_at),
        };
        table::Entity::insert(active).exec_without_returning(&change.transaction).await?;
        let budget = read(row)?;
        let details = json!({"name": budget.name, "metric": budget.metric,
            "amount": budget.amount, "action": budget.action});
        let action = "budget.create";
        let entry =
            Entry { tenant: Some(tenant), project: None, action, target: &budget.id, details };
        change.commit(entry).await?;
        Ok(budget)
    }

    pub async fn delete_budget(
        &self,
        tenant: TenantId,
        budget: BudgetId,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let gone = table::Entity::delete_many()
            .filter(table::Column::TenantId.eq(tenant.0))
            .filter(table::Column::Id.eq(budget.0))
            .exec(&change.transaction)
            .await?;
        if gone.rows_affected == 0 {
            return Err(TenancyError::NotFound { what: "budget" });
        }
        let (action, details) = ("budget.delete", json!({}));
        let entry = Entry { tenant: Some(tenant), project: None, action, target: &budget, details };
        change.commit(entry).await
    }
}
