//! Tenants: the unit of isolation, plan and standing.

use crate::accounts::begin_status;
use crate::audit::{Change, Entry};
use crate::bootstrap::check_not_system;
use crate::entity::{project, tenant as table};
use crate::page::fetch_count;
use crate::projects::check_name;
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use types::{TenantId, TimestampMs};

/// Characters of a reason given for a status, at most (in bytes of UTF-8).
const REASON_BYTES_MAX: usize = 1_000;

/// What the tenant pays for: one of the plans that are always there, or one of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(into = "String")]
pub enum Plan {
    #[default]
    Free,
    Pro,
    Enterprise,
    Custom(Box<str>),
}

/// Bytes of a plan's name.
const PLAN_NAME_BYTES_MAX: usize = 40;

impl Plan {
    pub fn name(&self) -> &str {
        match self {
            Plan::Free => "free",
            Plan::Pro => "pro",
            Plan::Enterprise => "enterprise",
            Plan::Custom(name) => name,
        }
    }

    /// 1 to 40 of `a-z`, `0-9` and `-`. Whether there is such a plan is not asked.
    pub fn parse(name: &str) -> Result<Plan> {
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match name {
            "free" => Ok(Plan::Free),
            "pro" => Ok(Plan::Pro),
            "enterprise" => Ok(Plan::Enterprise),
            _ if (1..=PLAN_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_good) => {
                Ok(Plan::Custom(name.into()))
            }
            _ => Err(TenancyError::invalid("plan", "1 to 40 of `a-z`, `0-9` and `-`")),
        }
    }

    pub(crate) fn read(name: &str) -> Result<Plan> {
        Plan::parse(name).map_err(|_| TenancyError::Corrupt(format!("unknown plan `{name}`")))
    }
}

impl From<Plan> for String {
    fn from(plan: Plan) -> String {
        plan.name().to_owned()
    }
}

impl std::str::FromStr for Plan {
    type Err = TenancyError;
    fn from_str(name: &str) -> Result<Plan> {
        Plan::parse(name)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        Plan::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    #[default]
    Active,
    Trial,
    PastDue,
    /// Every credential of the tenant is refused and its connections end.
    Suspended,
}

/// Columns that hold one of a few words.
pub(crate) trait Word: Copy + 'static {
    const ALL: &'static [(Self, &'static str)];

    fn word(self) -> &'static str
    where
        Self: PartialEq,
    {
        // Each implementation lists all of its variants, which a test walks through.
        Self::ALL.iter().find(|(value, _)| *value == self).map_or("", |(_, word)| word)
    }

    fn read(text: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .find(|(_, word)| *word == text)
            .map(|(value, _)| *value)
            .ok_or_else(|| TenancyError::Corrupt(format!("unknown word `{text}`")))
    }
}

impl Word for TenantStatus {
    const ALL: &'static [(TenantStatus, &'static str)] = &[
        (TenantStatus::Active, "active"),
        (TenantStatus::Trial, "trial"),
        (TenantStatus::PastDue, "past_due"),
        (TenantStatus::Suspended, "suspended"),
    ];
}

impl TenantStatus {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub plan: Plan,
    pub status: TenantStatus,
    /// Why the status is what it is, in the operator's words.
    pub status_reason: Option<String>,
    pub stripe_customer_id: Option<String>,
    pub created_at: TimestampMs,
}

#[derive(Debug, Clone, Default)]
pub struct NewTenant {
    pub name: String,
    pub plan: Plan,
    /// `Suspended` is refused: suspend with a reason instead.
    pub status: TenantStatus,
}

/// Changes what is `Some`.
#[derive(Debug, Clone, Default)]
pub struct TenantPatch {
    pub name: Option<String>,
    pub plan: Option<Plan>,
    /// `Suspended` is refused, and so is any change while suspended: use `suspend_tenant` and
    /// `resume_tenant`.
    pub status: Option<TenantStatus>,
    pub stripe_customer_id: Option<String>,
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "tenant" }
}

pub(crate) fn read(row: table::Model) -> Result<Tenant> {
    Ok(Tenant {
        id: TenantId(row.id),
        name: row.name,
        plan: Plan::read(&row.plan)?,
        status: TenantStatus::read(&row.status)?,
        status_reason: row.status_reason,
        stripe_customer_id: row.stripe_customer_id,
        created_at: row.created_at,
    })
}

/// The row, locked until the transaction ends (on SQLite the whole database is).
pub(crate) async fn locked(change: &Change<'_>, id: TenantId) -> Result<table::Model> {
    let found = table::Entity::find_by_id(id.0).lock_exclusive().one(&change.transaction).await?;
    found.ok_or_else(missing)
}

fn check_status(status: TenantStatus) -> Result<()> {
    if status == TenantStatus::Suspended {
        return Err(TenancyError::invalid("status", "a tenant is suspended with a reason"));
    }
    Ok(())
}

fn entry<'a>(id: &'a TenantId, action: &'static str, details: serde_json::Value) -> Entry<'a> {
    Entry { tenant: Some(*id), project: None, action, target: id, details }
}

impl Tenancy {
    pub async fn create_tenant(&self, new: NewTenant, by: &Actor) -> Result<Tenant> {
        let change = self.change(by).await?;
        let tenant = self.insert_tenant(&change, new).await?;
        let details = json!({"name": tenant.name, "plan": tenant.plan, "status": tenant.status});
        change.commit(entry(&tenant.id, "tenant.create", details)).await?;
        Ok(tenant)
    }

    pub(crate) async fn insert_tenant(
        &self,
        change: &Change<'_>,
        new: NewTenant,
    ) -> Result<Tenant> {
        check_name(&new.name)?;
        check_status(new.status)?;
        self.check_plan(&new.plan).await?;
        let (plan, status) = (new.plan.clone(), new.status);
        let row = table::Model {
            id: self.ids.uuid(),
            name: new.name,
            plan: new.plan.name().to_owned(),
            status: new.status.word().to_owned(),
            status_reason: None,
            status_before: None,
            stripe_customer_id: None,
            created_at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        if status != TenantStatus::Active {
            let tenant = TenantId(row.id);
            begin_status(self, change, tenant, &plan, status).await?;
        }
        read(row)
    }

    pub async fn tenant(&self, tenant: TenantId) -> Result<Tenant> {
        let row = table::Entity::find_by_id(tenant.0).one(self.reader()).await?;
        read(row.ok_or_else(missing)?)
    }

    /// All tenants in order of their identifiers: for the operator, and for the node at start.
    pub async fn tenants(&self, after: Option<TenantId>, limit: usize) -> Result<Page<Tenant>> {
        let mut rows = table::Entity::find();
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    pub async fn update_tenant(
        &self,
        tenant: TenantId,
        patch: TenantPatch,
        by: &Actor,
    ) -> Result<Tenant> {
        let change = self.change(by).await?;
        let mut row = locked(&change, tenant).await?.into_active_model();
        let mut details = serde_json::Map::new();
        if let Some(name) = patch.name {
            check_name(&name)?;
            details.insert("name".into(), name.clone().into());
            row.name = Set(name);
        }
        if let Some(plan) = patch.plan {
            self.check_plan(&plan).await?;
            details.insert("plan".into(), plan.name().into());
            row.plan = Set(plan.name().to_owned());
        }
        if let Some(status) = patch.status {
            check_status(status)?;
            if row.status.as_ref() == TenantStatus::Suspended.word() {
                return Err(TenancyError::state("the tenant is suspended: resume it first"));
            }
            details.insert("status".into(), status.word().into());
            let plan = Plan::read(row.plan.as_ref())?;
            begin_status(self, &change, tenant, &plan, status).await?;
            row.status = Set(status.word().to_owned());
            row.status_reason = Set(None);
        }
        if let Some(customer) = patch.stripe_customer_id {
            details.insert("stripe_customer_id".into(), customer.clone().into());
            row.stripe_customer_id = Set(Some(customer));
        }
        if details.is_empty() {
            return read(row.try_into()?);
        }
        let row = row.update(&change.transaction).await?;
        change.commit(entry(&tenant, "tenant.update", details.into())).await?;
        read(row)
    }

    /// Takes effect when the caller tells the node (`port::Change::Tenant`). Suspending again
    /// changes the reason.
    pub async fn suspend_tenant(
        &self,
        tenant: TenantId,
        reason: &str,
        by: &Actor,
    ) -> Result<Tenant> {
        if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
            return Err(TenancyError::invalid("reason", "a reason has 1 to 1000 bytes"));
        }
        let change = self.change(by).await?;
        let found = locked(&change, tenant).await?;
        let status = TenantStatus::read(&found.status)?;
        let mut row = found.into_active_model();
        if status != TenantStatus::Suspended {
            row.status_before = Set(Some(status.word().to_owned()));
            row.status = Set(TenantStatus::Suspended.word().to_owned());
        }
        row.status_reason = Set(Some(reason.to_owned()));
        let row = row.update(&change.transaction).await?;
        let details = json!({"reason": reason, "status_before": status});
        change.commit(entry(&tenant, "tenant.suspend", details)).await?;
        read(row)
    }

    /// Back to the status the tenant had before it was suspended.
    pub async fn resume_tenant(
        &self,
        tenant: TenantId,
        reason: Option<&str>,
        by: &Actor,
    ) -> Result<Tenant> {
        if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(TenancyError::invalid("reason", "a reason has at most 1000 bytes"));
        }
        let change = self.change(by).await?;
        let found = locked(&change, tenant).await?;
        if TenantStatus::read(&found.status)? != TenantStatus::Suspended {
            return Err(TenancyError::state("the tenant is not suspended"));
        }
        let status =
            found.status_before.clone().unwrap_or_else(|| TenantStatus::Active.word().to_owned());
        let details = json!({"reason": reason, "status": status});
        let mut row = found.into_active_model();
        row.status = Set(status);
        row.status_before = Set(None);
        row.status_reason = Set(reason.map(str::to_owned));
        let row = row.update(&change.transaction).await?;
        change.commit(entry(&tenant, "tenant.resume", details)).await?;
        read(row)
    }

    /// Refused while the tenant has projects. Its usage and audit records stay.
    pub async fn delete_tenant(&self, tenant: TenantId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let row = locked(&change, tenant).await?;
        check_not_system(&change, tenant).await?;
        let projects = project::Entity::find()
            .filter(project::Column::TenantId.eq(tenant.0))
            .count(&change.transaction)
            .await?;
        if projects > 0 {
            return Err(TenancyError::state("the tenant still has projects: delete them first"));
        }
        self.delete_providers_of(&change, tenant).await?;
        self.delete_bindings_of(&change, tenant, None).await?;
        self.delete_attributes_of_tenant(&change, tenant).await?;
        self.delete_access_lists_of(&change, crate::ListOwner::Tenant(tenant)).await?;
        self.delete_account_of(&change, tenant).await?;
        self.delete_approval_rules_of(&change, tenant).await?;
        table::Entity::delete_by_id(tenant.0).exec(&change.transaction).await?;
        change.commit(entry(&tenant, "tenant.delete", json!({"name": row.name}))).await
    }
}
