//! Plans: those that are always there, and the operator's own. A plan in use is archived, never
//! deleted: its tenants keep its terms.

use crate::audit::Entry;
use crate::entity::{plan as table, tenant};
use crate::page::fetch_count;
use crate::projects::check_name;
use crate::tenants::Plan;
use crate::{Actor, Page, Result, Stop, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::json;
use types::plan::{BUILTIN_PLANS, Terms};
use types::{TenantId, TimestampMs};

#[derive(Debug, Clone, PartialEq)]
pub struct PlanRecord {
    pub plan: Plan,
    /// For people.
    pub title: String,
    pub terms: Terms,
    /// `None`: always there.
    pub created_at: Option<TimestampMs>,
    /// New tenants are refused it since.
    pub archived_at: Option<TimestampMs>,
}

/// What a tenant may use now: its plan's terms, and what stops it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Allowance {
    pub terms: Terms,
    pub stop: Option<Stop>,
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "plan" }
}

fn read(row: table::Model) -> Result<PlanRecord> {
    Ok(PlanRecord {
        plan: Plan::read(&row.name)?,
        title: row.title,
        terms: serde_json::from_value(row.terms)
            .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        created_at: Some(row.created_at),
        archived_at: row.archived_at,
    })
}

fn builtin(name: &str) -> Option<PlanRecord> {
    let terms = Terms::of_builtin(name)?;
    let mut title = name.to_owned();
    // Names of these are small ASCII letters.
    title.get_mut(..1)?.make_ascii_uppercase();
    let plan = Plan::read(name).ok()?;
    Some(PlanRecord { plan, title, terms, created_at: None, archived_at: None })
}

impl Tenancy {
    /// The plans that are always there, and then the operator's own by name.
    pub async fn plans(&self, after: Option<&str>, limit: usize) -> Result<Page<PlanRecord>> {
        let mut rows = table::Entity::find();
        let custom_after = after.filter(|name| !BUILTIN_PLANS.contains(name));
        if let Some(after) = custom_after {
            rows = rows.filter(table::Column::Name.gt(after));
        }
        let rows = rows.order_by_asc(table::Column::Name).limit(fetch_count(limit));
        let mut all: Vec<PlanRecord> = Vec::new();
        if custom_after.is_none() {
            let seen = after.and_then(|name| BUILTIN_PLANS.iter().position(|it| *it == name));
            let rest = BUILTIN_PLANS.iter().skip(seen.map_or(0, |at| at + 1));
            all.extend(rest.filter_map(|name| builtin(name)));
        }
        for row in rows.all(self.reader()).await? {
            all.push(read(row)?);
        }
        Page::collect(all, limit, Ok)
    }

    pub async fn plan(&self, plan: &Plan) -> Result<PlanRecord> {
        if let Some(found) = builtin(plan.name()) {
            return Ok(found);
        }
        let row = table::Entity::find_by_id(plan.name().to_owned()).one(self.reader()).await?;
        read(row.ok_or_else(missing)?)
    }

    /// Makes a plan or changes its title and terms, in force for its tenants at once. `true` when
    /// it was made. The caller has checked the terms.
    pub async fn put_plan(
        &self,
        plan: &Plan,
        title: &str,
        terms: &Terms,
        by: &Actor,
    ) -> Result<(PlanRecord, bool)> {
        check_name(title).map_err(|_| TenancyError::invalid("title", "1 to 128 bytes"))?;
        if builtin(plan.name()).is_some() {
            let message = "this plan is always there as it is; make one of your own";
            return Err(TenancyError::conflict("plan", message));
        }
        let change = self.change(by).await?;
        let terms = serde_json::to_value(terms)
            .map_err(|error| TenancyError::Database(error.to_string()))?;
        let name = plan.name().to_owned();
        let found = table::Entity::find_by_id(name.clone()).one(&change.transaction).await?;
        let is_new = found.is_none();
        let row = table::Model {
            name: name.clone(),
            title: title.to_owned(),
            terms: terms.clone(),
            created_at: found.as_ref().map_or(change.at, |row| row.created_at),
            updated_at: change.at,
            archived_at: None,
        };
        let active = row.clone().into_active_model();
        match found {
            None => {
                let insert = table::Entity::insert(active);
                insert.exec_without_returning(&change.transaction).await?;
            }
            Some(_) => {
                active.reset_all().update(&change.transaction).await?;
            }
        }
        let action = if is_new { "plan.create" } else { "plan.update" };
        let details = json!({"title": title, "terms": terms});
        change
            .commit(Entry { tenant: None, project: None, action, target: &name, details })
            .await?;
        Ok((read(row)?, is_new))
    }

    /// No tenant takes the plan any more; those who have it keep it.
    pub async fn archive_plan(&self, plan: &Plan, by: &Actor) -> Result<()> {
        let name = plan.name().to_owned();
        if builtin(&name).is_some() {
            return Err(TenancyError::conflict("plan", "this plan is always there"));
        }
        let change = self.change(by).await?;
        let found = table::Entity::find_by_id(name.clone()).one(&change.transaction).await?;
        let mut row = found.ok_or_else(missing)?.into_active_model();
        row.archived_at = Set(Some(change.at));
        row.update(&change.transaction).await?;
        let action = "plan.archive";
        let details = json!({});
        change.commit(Entry { tenant: None, project: None, action, target: &name, details }).await
    }

    /// Tenants of a plan, in order of their identifiers: the node is told when its terms change.
    pub async fn tenants_of_plan(
        &self,
        plan: &Plan,
        after: Option<TenantId>,
        limit: usize,
    ) -> Result<Page<TenantId>> {
        let mut rows = tenant::Entity::find()
            .select_only()
            .column(tenant::Column::Id)
            .filter(tenant::Column::Plan.eq(plan.name()));
        if let Some(after) = after {
            rows = rows.filter(tenant::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(tenant::Column::Id).limit(fetch_count(limit));
        let rows = rows.into_tuple::<Uuid>().all(self.reader()).await?;
        Page::collect(rows, limit, |id| Ok(TenantId(id)))
    }

    /// The terms of a plan; those of one that is gone are `enterprise`'s: who was promised
    /// something that is no more is not cut off for it.
    pub(crate) async fn terms_of(&self, plan: &Plan) -> Result<Terms> {
        match self.plan(plan).await {
            Ok(found) => Ok(found.terms),
            Err(TenancyError::NotFound { .. }) => Ok(Terms::enterprise()),
            Err(error) => Err(error),
        }
    }

    /// What a tenant on this plan may use.
    pub async fn allowance(&self, plan: &Plan, tenant: TenantId) -> Result<Allowance> {
        let stop = self.account(tenant).await?.stop;
        Ok(Allowance { terms: self.terms_of(plan).await?, stop })
    }

    /// Refuses a plan that a tenant cannot take.
    pub(crate) async fn check_plan(&self, plan: &Plan) -> Result<()> {
        match self.plan(plan).await {
            Ok(found) if found.archived_at.is_none() => Ok(()),
            Ok(_) => Err(TenancyError::conflict("plan", "the plan is archived")),
            Err(TenancyError::NotFound { .. }) => {
                Err(TenancyError::invalid("plan", "there is no such plan"))
            }
            Err(error) => Err(error),
        }
    }
}
