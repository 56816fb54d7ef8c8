//! Projects: namespaces of topics inside a tenant, with their limits.

use crate::audit::{Change, Entry};
use crate::bootstrap::check_not_system;
use crate::entity::{
    api_key, consumer, project as table, signing_key, tenant, topic, topic_schema,
};
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::revocations::delete_revocations_of;
use crate::signing::TokenSettings;
use crate::topics::INTERNAL_TOPICS;
use crate::{Actor, ListOwner, Page, Result, Tenancy, TenancyError, Tenant};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::json;
use types::{Limits, ProjectId, TenantId, TimestampMs};

/// Bytes of UTF-8 in the name of a tenant, project or key.
pub const NAME_BYTES_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    pub id: ProjectId,
    pub tenant: TenantId,
    /// Unique in its tenant.
    pub name: String,
    pub limits: Limits,
    pub created_at: TimestampMs,
}

#[derive(Debug, Clone, Default)]
pub struct NewProject {
    pub name: String,
    pub limits: Limits,
}

/// Changes what is `Some`; limits are replaced whole.
#[derive(Debug, Clone, Default)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub limits: Option<Limits>,
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let rule = "a name has 1 to 128 bytes and no control characters";
        return Err(TenancyError::invalid("name", rule));
    }
    Ok(())
}

pub(crate) fn missing() -> TenancyError {
    TenancyError::NotFound { what: "project" }
}

fn name_taken(error: DbErr) -> TenancyError {
    match TenancyError::from(error) {
        TenancyError::Conflict { .. } => {
            TenancyError::conflict("name", "the tenant has a project of this name")
        }
        other => other,
    }
}

/// JSON of our own making; what does not parse was written by something else.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

pub(crate) fn read(row: table::Model) -> Result<Project> {
    Ok(Project {
        id: ProjectId(row.id),
        tenant: TenantId(row.tenant_id),
        name: row.name,
        limits: parse(row.limits)?,
        created_at: row.created_at,
    })
}

pub(crate) fn of(tenant: TenantId, project: ProjectId) -> Select<table::Entity> {
    table::Entity::find_by_id(project.0).filter(table::Column::TenantId.eq(tenant.0))
}

/// The row, locked until the transaction ends, so that what hangs on it can be counted.
pub(crate) async fn locked(
    change: &Change<'_>,
    tenant: TenantId,
    project: ProjectId,
) -> Result<table::Model> {
    let found = of(tenant, project).lock_exclusive().one(&change.transaction).await?;
    found.ok_or_else(missing)
}

fn entry<'a>(
    tenant: TenantId,
    project: &'a ProjectId,
    action: &'static str,
    details: serde_json::Value,
) -> Entry<'a> {
    Entry { tenant: Some(tenant), project: Some(*project), action, target: project, details }
}

impl Tenancy {
    pub async fn create_project(
        &self,
        tenant: TenantId,
        new: NewProject,
        by: &Actor,
    ) -> Result<Project> {
        let change = self.change(by).await?;
        let project = self.insert_project(&change, tenant, new).await?;
        let details = json!({"name": project.name, "limits": project.limits});
        change.commit(entry(tenant, &project.id, "project.create", details)).await?;
        Ok(project)
    }

    pub(crate) async fn insert_project(
        &self,
        change: &Change<'_>,
        tenant: TenantId,
        new: NewProject,
    ) -> Result<Project> {
        check_name(&new.name)?;
        let owner = tenant::Entity::find_by_id(tenant.0).lock_shared();
        if owner.one(&change.transaction).await?.is_none() {
            return Err(TenancyError::NotFound { what: "tenant" });
        }
        let row = table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.0,
            name: new.name,
            limits: to_json(&new.limits)?,
            token_settings: to_json(&TokenSettings::default())?,
            created_at: change.at,
            revocations_version: 0,
            revocations_rebuilt: 0,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(name_taken)?;
        read(row)
    }

    pub async fn project(&self, tenant: TenantId, project: ProjectId) -> Result<Project> {
        read(of(tenant, project).one(self.reader()).await?.ok_or_else(missing)?)
    }

    /// The project with its tenant: its limits and whether it may act.
    pub async fn standing(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<(Tenant, Project)> {
        Ok((self.tenant(tenant).await?, self.project(tenant, project).await?))
    }

    /// The limits of every project: for the node, which gives the log its bounds.
    pub async fn all_limits(&self) -> Result<Vec<(ProjectId, Limits)>> {
        let mut found: Vec<(ProjectId, Limits)> = Vec::new();
        loop {
            let mut rows = table::Entity::find();
            if let Some((last, _)) = found.last() {
                rows = rows.filter(table::Column::Id.gt(last.0));
            }
            let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(PAGE_ITEMS_MAX));
            let page = Page::collect(rows.all(self.reader()).await?, PAGE_ITEMS_MAX, read)?;
            found.extend(page.items.into_iter().map(|project| (project.id, project.limits)));
            if !page.has_more {
                return Ok(found);
            }
        }
    }

    /// In order of their identifiers.
    pub async fn projects(
        &self,
        tenant: TenantId,
        after: Option<ProjectId>,
        limit: usize,
    ) -> Result<Page<Project>> {
        let mut rows = table::Entity::find().filter(table::Column::TenantId.eq(tenant.0));
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    pub async fn update_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
        patch: ProjectPatch,
        by: &Actor,
    ) -> Result<Project> {
        let change = self.change(by).await?;
        let mut row = locked(&change, tenant, project).await?.into_active_model();
        let mut details = serde_json::Map::new();
        if let Some(name) = patch.name {
            check_name(&name)?;
            details.insert("name".into(), name.clone().into());
            row.name = Set(name);
        }
        if let Some(limits) = patch.limits {
            let limits = to_json(&limits)?;
            details.insert("limits".into(), limits.clone());
            row.limits = Set(limits);
        }
        if details.is_empty() {
            return read(row.try_into()?);
        }
        let row = row.update(&change.transaction).await.map_err(name_taken)?;
        change.commit(entry(tenant, &project, "project.update", details.into())).await?;
        read(row)
    }

    /// Refused while the project has topics: the log must let go of them first. Its keys end with
    /// it; its usage and audit records stay.
    pub async fn delete_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let row = locked(&change, tenant, project).await?;
        check_not_system(&change, tenant).await?;
        let topics = topic::Entity::find()
            .filter(topic::Column::ProjectId.eq(project.0))
            .filter(topic::Column::TenantId.eq(tenant.0))
            .filter(topic::Column::DeletedAt.is_null())
            .filter(topic::Column::Name.not_like(INTERNAL_TOPICS))
            .count(&change.transaction)
            .await?;
        if topics > 0 {
            return Err(TenancyError::state("the project still has topics: delete them first"));
        }
        let transaction = &change.transaction;
        let id = project.0;
        topic_schema::Entity::delete_many()
            .filter(topic_schema::Column::ProjectId.eq(id))
            .exec(transaction)
            .await?;
        topic::Entity::delete_many()
            .filter(topic::Column::ProjectId.eq(id))
            .exec(transaction)
            .await?;
        api_key::Entity::delete_many()
            .filter(api_key::Column::ProjectId.eq(id))
            .exec(transaction)
            .await?;
        signing_key::Entity::delete_many()
            .filter(signing_key::Column::ProjectId.eq(id))
            .exec(transaction)
            .await?;
        delete_revocations_of(&change, project).await?;
        self.delete_webhooks_of(&change, project).await?;
        self.delete_bindings_of(&change, tenant, Some(project)).await?;
        self.delete_access_lists_of(&change, ListOwner::Project(tenant, project)).await?;
        // Of the project's own topics they went with the topics; these are of the platform's.
        consumer::Entity::delete_many()
            .filter(consumer::Column::ProjectId.eq(id))
            .exec(transaction)
            .await?;
        table::Entity::delete_by_id(id).exec(transaction).await?;
        let details = json!({"name": row.name});
        change.commit(entry(tenant, &project, "project.delete", details)).await
    }
}
