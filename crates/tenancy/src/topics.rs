//! Topic definitions: what a topic is called and how it is configured. The records themselves are
//! in the log, under the topic's number, which outlives the name.

use crate::audit::{Change, Entry};
use crate::entity::{topic as table, topic_schema};
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::projects::{self, parse, to_json};
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use types::limits::PARTITIONS_MAX;
use types::{
    Limits, ProjectId, SchemaKind, TenantId, TimestampMs, TopicConfig, TopicId, TopicName,
};

/// The platform's own, as SQL's `LIKE` takes them.
pub(crate) const INTERNAL_TOPICS: &str = "$%";

#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    pub id: TopicId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub name: TopicName,
    pub config: TopicConfig,
    /// Version of `config.schema`, counted from 1; 0 without one. Never used again in this topic.
    pub schema_version: u32,
    pub created_at: TimestampMs,
}

/// A schema that the topic has or had.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaVersion {
    pub version: u32,
    pub kind: SchemaKind,
    pub schema: Value,
    pub created_at: TimestampMs,
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "topic" }
}

fn read_name(text: &str) -> Result<TopicName> {
    TopicName::written(text).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

fn read_version(version: i64) -> Result<u32> {
    u32::try_from(version).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

fn read(row: table::Model) -> Result<Topic> {
    let id = u64::try_from(row.id).map_err(|error| TenancyError::Corrupt(error.to_string()))?;
    Ok(Topic {
        id: TopicId(id),
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        name: read_name(&row.name)?,
        config: parse(row.config)?,
        schema_version: read_version(row.schema_version)?,
        created_at: row.created_at,
    })
}

fn read_schema(row: topic_schema::Model) -> Result<SchemaVersion> {
    let kind = SchemaKind::named(&row.kind);
    Ok(SchemaVersion {
        version: read_version(row.version)?,
        kind: kind.ok_or_else(|| TenancyError::Corrupt(format!("schema kind {}", row.kind)))?,
        schema: row.schema,
        created_at: row.created_at,
    })
}

/// Topics of a project that are not deleted.
fn of(tenant: TenantId, project: ProjectId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::TenantId.eq(tenant.0))
        .filter(table::Column::ProjectId.eq(project.0))
        .filter(table::Column::DeletedAt.is_null())
}

async fn locked(
    change: &Change<'_>,
    tenant: TenantId,
    project: ProjectId,
    name: &TopicName,
) -> Result<table::Model> {
    let found = of(tenant, project).filter(table::Column::Name.eq(name.as_str())).lock_exclusive();
    found.one(&change.transaction).await?.ok_or_else(missing)
}

fn check_config(config: &TopicConfig) -> Result<()> {
    if config.partitions == 0 || config.partitions > PARTITIONS_MAX {
        let rule = format!("a topic has 1 to {PARTITIONS_MAX} partitions");
        return Err(TenancyError::invalid("partitions", rule));
    }
    Ok(())
}

async fn check_room(change: &Change<'_>, limits: &Limits, row: &table::Model) -> Result<()> {
    let Some(max) = limits.topics_max else { return Ok(()) };
    if row.name.starts_with('$') {
        return Ok(());
    }
    let count = of(TenantId(row.tenant_id), ProjectId(row.project_id))
        .filter(table::Column::Name.not_like(INTERNAL_TOPICS))
        .count(&change.transaction)
        .await?;
    if count >= u64::from(max) {
        return Err(TenancyError::LimitReached { what: "topics", max: u64::from(max) });
    }
    Ok(())
}

async fn insert_schema(
    change: &Change<'_>,
    topic: &table::Model,
    version: i64,
    kind: SchemaKind,
    schema: Value,
) -> Result<()> {
    let row = topic_schema::ActiveModel {
        topic_id: Set(topic.id),
        version: Set(version),
        tenant_id: Set(topic.tenant_id),
        project_id: Set(topic.project_id),
        schema: Set(schema),
        kind: Set(kind.name().to_owned()),
        created_at: Set(change.at),
    };
    topic_schema::Entity::insert(row).exec_without_returning(&change.transaction).await?;
    Ok(())
}

/// The version after all that the topic ever had: a version names one schema for ever.
async fn next_schema_version(change: &Change<'_>, topic: i64) -> Result<i64> {
    let newest = topic_schema::Entity::find()
        .filter(topic_schema::Column::TopicId.eq(topic))
        .order_by_desc(topic_schema::Column::Version)
        .one(&change.transaction)
        .await?;
    Ok(newest.map_or(1, |row| row.version + 1))
}

fn entry<'a>(
    tenant: TenantId,
    project: ProjectId,
    name: &'a TopicName,
    action: &'static str,
    details: Value,
) -> Entry<'a> {
    Entry { tenant: Some(tenant), project: Some(project), action, target: name, details }
}

impl Tenancy {
    /// Refused when the name is taken in the project or the project's `topics_max` is reached.
    pub async fn create_topic(
        &self,
        tenant: TenantId,
        project: ProjectId,
        name: &TopicName,
        config: &TopicConfig,
        by: &Actor,
    ) -> Result<Topic> {
        check_config(config)?;
        let change = self.change(by).await?;
        let owner = projects::read(projects::locked(&change, tenant, project).await?)?;
        let id = self.ids.topic();
        let row = table::Model {
            id: id.0.cast_signed(),
            tenant_id: tenant.0,
            project_id: project.0,
            name: name.as_str().to_owned(),
            config: to_json(config)?,
            schema_version: i64::from(config.schema.is_some()),
            created_at: change.at,
            deleted_at: None,
        };
        // A taken name is told before a full project: the caller can act on it.
        let taken = of(tenant, project).filter(table::Column::Name.eq(name.as_str()));
        if taken.count(&change.transaction).await? > 0 {
            return Err(TenancyError::conflict("topic", "the project has a topic of this name"));
        }
        check_room(&change, &owner.limits, &row).await?;
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        if let Some(schema) = config.schema.clone() {
            insert_schema(&change, &row, 1, config.schema_kind, schema).await?;
        }
        let details = json!({"id": id, "config": row.config});
        change.commit(entry(tenant, project, name, "topic.create", details)).await?;
        read(row)
    }

    /// Replaces the configuration whole. The number of partitions is fixed at creation; another
    /// schema gets the next version.
    pub async fn alter_topic(
        &self,
        tenant: TenantId,
        project: ProjectId,
        name: &TopicName,
        config: &TopicConfig,
        by: &Actor,
    ) -> Result<Topic> {
        check_config(config)?;
        let change = self.change(by).await?;
        let found = locked(&change, tenant, project, name).await?;
        let old = read(found.clone())?;
        if old.config == *config {
            return Ok(old);
        }
        if old.config.partitions != config.partitions {
            let rule = "the number of partitions is fixed when the topic is created";
            return Err(TenancyError::conflict("partitions", rule));
        }
        let version = match &config.schema {
            None => 0,
            same if *same == old.config.schema && config.schema_kind == old.config.schema_kind => {
                found.schema_version
            }
            Some(schema) => {
                let version = next_schema_version(&change, found.id).await?;
                insert_schema(&change, &found, version, config.schema_kind, schema.clone()).await?;
                version
            }
        };
        let mut row = found.into_active_model();
        row.config = Set(to_json(config)?);
        row.schema_version = Set(version);
        let row = row.update(&change.transaction).await?;
        let details = json!({"config": row.config, "schema_version": version});
        change.commit(entry(tenant, project, name, "topic.update", details)).await?;
        read(row)
    }

    /// The name is free again; the number is never given to another topic.
    pub async fn delete_topic(
        &self,
        tenant: TenantId,
        project: ProjectId,
        name: &TopicName,
        by: &Actor,
    ) -> Result<Topic> {
        let change = self.change(by).await?;
        let found = locked(&change, tenant, project, name).await?;
        let mut row = found.into_active_model();
        row.deleted_at = Set(Some(change.at));
        crate::consumers::forget(&change, *row.id.as_ref()).await?;
        let topic = read(row.update(&change.transaction).await?)?;
        let details = json!({"id": topic.id});
        change.commit(entry(tenant, project, name, "topic.delete", details)).await?;
        Ok(topic)
    }

    pub async fn topic(
        &self,
        tenant: TenantId,
        project: ProjectId,
        name: &TopicName,
    ) -> Result<Topic> {
        let found = of(tenant, project).filter(table::Column::Name.eq(name.as_str()));
        read(found.one(self.reader()).await?.ok_or_else(missing)?)
    }

    /// In byte order of their names; internal topics are left out.
    pub async fn topics(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<&TopicName>,
        limit: usize,
    ) -> Result<Page<Topic>> {
        let mut rows = of(tenant, project).filter(table::Column::Name.not_like(INTERNAL_TOPICS));
        if let Some(after) = after {
            rows = rows.filter(table::Column::Name.gt(after.as_str()));
        }
        let rows = rows.order_by_asc(table::Column::Name).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// The schemas that the topic has and had, oldest first, after version `after`.
    pub async fn topic_schemas(
        &self,
        tenant: TenantId,
        project: ProjectId,
        name: &TopicName,
        after: u32,
        limit: usize,
    ) -> Result<Page<SchemaVersion>> {
        let topic = self.topic(tenant, project, name).await?;
        let rows = topic_schema::Entity::find()
            .filter(topic_schema::Column::TenantId.eq(tenant.0))
            .filter(topic_schema::Column::TopicId.eq(topic.id.0.cast_signed()))
            .filter(topic_schema::Column::Version.gt(i64::from(after)))
            .order_by_asc(topic_schema::Column::Version)
            .limit(fetch_count(limit))
            .all(self.reader())
            .await?;
        Page::collect(rows, limit, read_schema)
    }

    /// The version, or `NotFound`.
    pub async fn topic_schema(
        &self,
        tenant: TenantId,
        project: ProjectId,
        name: &TopicName,
        version: u32,
    ) -> Result<SchemaVersion> {
        let before = version.checked_sub(1);
        let missing = || TenancyError::NotFound { what: "schema" };
        let after = before.ok_or_else(missing)?;
        let page = self.topic_schemas(tenant, project, name, after, 1).await?;
        page.items.into_iter().find(|found| found.version == version).ok_or_else(missing)
    }

    /// The newest schemas that the topic has and had, `count` at most: for the node, which judges
    /// values by them.
    pub async fn newest_topic_schemas(
        &self,
        tenant: TenantId,
        topic: TopicId,
        count: usize,
    ) -> Result<Vec<SchemaVersion>> {
        let rows = topic_schema::Entity::find()
            .filter(topic_schema::Column::TenantId.eq(tenant.0))
            .filter(topic_schema::Column::TopicId.eq(topic.0.cast_signed()))
            .order_by_desc(topic_schema::Column::Version)
            .limit(count as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read_schema).collect()
    }

    /// Every topic of every project, the platform's own included: for the node at start, which must
    /// know the log's owners. In order of their numbers.
    pub async fn all_topics(&self) -> Result<Vec<Topic>> {
        let mut topics: Vec<Topic> = Vec::new();
        loop {
            let mut rows = table::Entity::find().filter(table::Column::DeletedAt.is_null());
            if let Some(last) = topics.last() {
                rows = rows.filter(table::Column::Id.gt(last.id.0.cast_signed()));
            }
            let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(PAGE_ITEMS_MAX));
            let page = Page::collect(rows.all(self.reader()).await?, PAGE_ITEMS_MAX, read)?;
            topics.extend(page.items);
            if !page.has_more {
                return Ok(topics);
            }
        }
    }
}
