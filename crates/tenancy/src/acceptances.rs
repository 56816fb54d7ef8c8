//! Findings of the security checks that somebody accepts until a day, and why. What a finding says
//! is not known here, only its name and its place.

use crate::audit::Entry;
use crate::entity::security::accepted_finding as table;
use crate::ids::record_id;
use crate::{Actor, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use types::{ProjectId, TenantId, TimestampMs};

/// Acceptances that count at one time, all places together: all are read with each look.
pub const ACCEPTANCES_MAX: u64 = 2_000;
/// Nothing is accepted for longer than a year, so that it is thought about again.
pub const ACCEPTANCE_MS_MAX: i64 = 366 * 24 * 3_600_000;
const REASON_BYTES_MAX: usize = 500;
const FINDING_BYTES_MAX: usize = 500;

record_id!(
    /// One accepted finding.
    AcceptanceId,
    "acp_"
);

/// Somebody knows of a finding and lets it be until a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    pub id: AcceptanceId,
    /// The finding's name.
    pub finding: String,
    /// Where it belongs; `None`: the installation.
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    pub reason: String,
    pub actor: String,
    pub at: TimestampMs,
    pub until: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewAcceptance {
    pub finding: String,
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    pub reason: String,
    pub until: TimestampMs,
}

fn read(row: table::Model) -> Acceptance {
    Acceptance {
        id: AcceptanceId(row.id),
        finding: row.finding,
        tenant: row.tenant_id.map(TenantId),
        project: row.project_id.map(ProjectId),
        reason: row.reason,
        actor: row.actor,
        at: row.at,
        until: row.until,
    }
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "acceptance" }
}

fn check(new: &NewAcceptance, now: TimestampMs) -> Result<()> {
    let reason = new.reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(TenancyError::invalid("reason", "say why, in 1 to 500 bytes"));
    }
    if reason.chars().any(char::is_control) {
        return Err(TenancyError::invalid("reason", "one line of text"));
    }
    if new.until <= now {
        return Err(TenancyError::invalid("until", "the moment lies in the past"));
    }
    if new.until - now > ACCEPTANCE_MS_MAX {
        return Err(TenancyError::invalid("until", "at most a year from now"));
    }
    if new.finding.is_empty() || new.finding.len() > FINDING_BYTES_MAX {
        return Err(TenancyError::invalid("finding", "1 to 500 bytes"));
    }
    Ok(())
}

fn entry<'a>(one: &'a Acceptance, action: &'static str, details: Value) -> Entry<'a> {
    Entry { tenant: one.tenant, project: one.project, action, target: &one.finding, details }
}

impl Tenancy {
    /// Accepts a finding; what was said of it before is replaced. The caller has checked that
    /// there is such a finding, and whose it is.
    pub async fn accept_finding(&self, new: NewAcceptance, by: &Actor) -> Result<Acceptance> {
        let change = self.change(by).await?;
        check(&new, change.at)?;
        table::Entity::delete_many()
            .filter(table::Column::Finding.eq(new.finding.as_str()))
            .exec(&change.transaction)
            .await?;
        if table::Entity::find().count(&change.transaction).await? >= ACCEPTANCES_MAX {
            let why = format!("{ACCEPTANCES_MAX} findings are accepted: put some right first");
            return Err(TenancyError::state(why));
        }
        let row = table::Model {
            id: self.ids.uuid(),
            finding: new.finding,
            tenant_id: new.tenant.map(|id| id.0),
            project_id: new.project.map(|id| id.0),
            reason: new.reason.trim().to_owned(),
            actor: by.as_str().to_owned(),
            at: change.at,
            until: new.until,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let made = read(row);
        let details = json!({"until": made.until, "reason": made.reason});
        change.commit(entry(&made, "finding.accept", details)).await?;
        Ok(made)
    }

    pub async fn acceptance(&self, id: AcceptanceId) -> Result<Acceptance> {
        let row = table::Entity::find_by_id(id.0).one(self.reader()).await?;
        row.map(read).ok_or_else(missing)
    }

    /// All that count; there are `ACCEPTANCES_MAX` at most.
    pub async fn acceptances(&self, now: TimestampMs) -> Result<Vec<Acceptance>> {
        let rows = table::Entity::find()
            .filter(table::Column::Until.gt(now))
            .order_by_asc(table::Column::Id)
            .limit(ACCEPTANCES_MAX)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// The finding counts again.
    pub async fn reopen_finding(&self, id: AcceptanceId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let row = table::Entity::find_by_id(id.0).one(&change.transaction).await?;
        let gone = read(row.ok_or_else(missing)?);
        table::Entity::delete_by_id(id.0).exec(&change.transaction).await?;
        let details = json!({"until": gone.until, "reason": gone.reason});
        change.commit(entry(&gone, "finding.reopen", details)).await
    }

    /// Drops what ended before this moment.
    pub async fn sweep_acceptances(&self, before: TimestampMs) -> Result<u64> {
        let transaction = self.begin().await?;
        let gone = table::Entity::delete_many()
            .filter(table::Column::Until.lte(before))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected)
    }
}
