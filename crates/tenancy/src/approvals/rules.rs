//! Which acts wait for a second person: marked for the installation, or for one tenant. What an act
//! is called is not known here.

use crate::audit::{Change, Entry};
use crate::entity::approval_rule as table;
use crate::{Actor, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::json;
use types::{TenantId, TimestampMs};

/// Marks of one owner: there are not so many acts.
pub const APPROVAL_RULES_MAX: u64 = 500;
/// Nobody waits longer for a second person: a week.
pub const APPROVAL_HOURS_MAX: u32 = 7 * 24;
/// Who marks for the whole installation.
const INSTALLATION: &str = "installation";

/// An act that waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRule {
    /// `None`: everywhere.
    pub tenant: Option<TenantId>,
    pub act: String,
    /// How long it waits.
    pub hours: u32,
    pub actor: String,
    pub at: TimestampMs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApprovalRule {
    pub tenant: Option<TenantId>,
    /// The caller has checked that there is such an act.
    pub act: String,
    pub hours: u32,
}

fn owner(tenant: Option<TenantId>) -> String {
    tenant.map_or_else(|| INSTALLATION.to_owned(), |tenant| tenant.to_string())
}

fn read(row: table::Model) -> Result<ApprovalRule> {
    Ok(ApprovalRule {
        tenant: row.tenant_id.map(TenantId),
        act: row.act,
        hours: u32::try_from(row.hours)
            .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        actor: row.actor,
        at: row.at,
    })
}

impl Tenancy {
    /// Marks an act, or changes how long it waits.
    pub async fn put_approval_rule(
        &self,
        new: NewApprovalRule,
        by: &Actor,
    ) -> Result<ApprovalRule> {
        if !(1..=APPROVAL_HOURS_MAX).contains(&new.hours) {
            return Err(TenancyError::invalid("hours", format!("1 to {APPROVAL_HOURS_MAX}")));
        }
        let change = self.change(by).await?;
        if let Some(tenant) = new.tenant {
            let found = crate::entity::tenant::Entity::find_by_id(tenant.0).lock_shared();
            let found = found.one(&change.transaction).await?;
            found.ok_or(TenancyError::NotFound { what: "tenant" })?;
        }
        let owner = owner(new.tenant);
        let held = table::Entity::find().filter(table::Column::Owner.eq(owner.as_str()));
        if held.count(&change.transaction).await? >= APPROVAL_RULES_MAX {
            return Err(TenancyError::state(format!("there may be {APPROVAL_RULES_MAX} marks")));
        }
        let row = table::Model {
            owner,
            act: new.act,
            tenant_id: new.tenant.map(|id| id.0),
            hours: i64::from(new.hours),
            actor: by.as_str().to_owned(),
            at: change.at,
        };
        let mut replace = OnConflict::columns([table::Column::Owner, table::Column::Act]);
        replace.update_columns([table::Column::Hours, table::Column::Actor, table::Column::At]);
        table::Entity::insert(row.clone().into_active_model())
            .on_conflict(replace)
            .exec_without_returning(&change.transaction)
            .await?;
        let rule = read(row)?;
        let details = json!({"hours": rule.hours});
        let entry = Entry {
            tenant: rule.tenant,
            project: None,
            action: "approval_rule.put",
            target: &rule.act,
            details,
        };
        change.commit(entry).await?;
        Ok(rule)
    }

    /// Takes a mark away. The caller has seen to it that a second person approved.
    pub async fn delete_approval_rule(
        &self,
        tenant: Option<TenantId>,
        act: &str,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let gone = table::Entity::delete_by_id((owner(tenant), act.to_owned()));
        if gone.exec(&change.transaction).await?.rows_affected == 0 {
            return Err(TenancyError::NotFound { what: "mark of this act" });
        }
        let action = "approval_rule.delete";
        let entry = Entry { tenant, project: None, action, target: &act, details: json!({}) };
        change.commit(entry).await
    }

    /// All marks of the installation, and of this tenant, in the order of acts.
    pub async fn approval_rules(&self, tenant: Option<TenantId>) -> Result<Vec<ApprovalRule>> {
        let rows = table::Entity::find().filter(in_force(tenant));
        let rows = rows.order_by_asc(table::Column::Act).order_by_asc(table::Column::Owner);
        let rows = rows.limit(2 * APPROVAL_RULES_MAX).all(self.reader()).await?;
        rows.into_iter().map(read).collect()
    }

    /// The marks of one act in the installation and these tenants: it waits if there is any.
    pub async fn approval_rules_of(
        &self,
        act: &str,
        tenants: &[TenantId],
    ) -> Result<Vec<ApprovalRule>> {
        let owned = tenants.iter().map(|tenant| tenant.0);
        let there = Condition::any()
            .add(table::Column::TenantId.is_null())
            .add(table::Column::TenantId.is_in(owned));
        let rows = table::Entity::find().filter(table::Column::Act.eq(act)).filter(there);
        let rows = rows.limit(APPROVAL_RULES_MAX).all(self.reader()).await?;
        rows.into_iter().map(read).collect()
    }

    /// A tenant's marks go with it.
    pub(crate) async fn delete_approval_rules_of(
        &self,
        change: &Change<'_>,
        tenant: TenantId,
    ) -> Result<()> {
        let gone = table::Entity::delete_many().filter(table::Column::TenantId.eq(tenant.0));
        gone.exec(&change.transaction).await?;
        Ok(())
    }
}

fn in_force(tenant: Option<TenantId>) -> Condition {
    let mut there = Condition::any().add(table::Column::TenantId.is_null());
    if let Some(tenant) = tenant {
        there = there.add(table::Column::TenantId.eq(tenant.0));
    }
    there
}
