//! Durable consumers' definitions: what each is called and how it is configured. Where it stands
//! is in the log, under the consumer's identifier, which is never given to another.

use crate::audit::{Change, Entry};
use crate::entity::consumer as table;
use crate::page::fetch_count;
use crate::projects::{self, parse, to_json};
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use std::fmt;
use types::{ConsumerConfig, ConsumerName, ProjectId, TenantId, TimestampMs, TopicId, TopicName};

/// A consumer for ever: its name may be used again after it is deleted, this is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(pub Uuid);

#[derive(Debug, Clone, PartialEq)]
pub struct Consumer {
    pub id: ConsumerId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub topic: TopicId,
    pub name: ConsumerName,
    pub config: ConsumerConfig,
    pub dead_letter_topic: TopicName,
    pub created_at: TimestampMs,
}

/// Which consumer: the topic by its number, and by its name for the audit trail.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerPlace<'a> {
    pub topic: TopicId,
    pub topic_name: &'a TopicName,
    pub name: &'a ConsumerName,
}

/// What a consumer is made or altered to.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerTerms<'a> {
    pub config: &'a ConsumerConfig,
    /// As configured, or by rule.
    pub dead_letter_topic: &'a TopicName,
}

impl fmt::Display for ConsumerPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic_name, self.name)
    }
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "consumer" }
}

fn corrupt(error: impl fmt::Display) -> TenancyError {
    TenancyError::Corrupt(error.to_string())
}

fn read(row: table::Model) -> Result<Consumer> {
    Ok(Consumer {
        id: ConsumerId(row.id),
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        topic: TopicId(u64::try_from(row.topic_id).map_err(corrupt)?),
        name: ConsumerName::parse(&row.name).map_err(corrupt)?,
        config: parse(row.config)?,
        dead_letter_topic: TopicName::parse(&row.dead_letter_topic).map_err(corrupt)?,
        created_at: row.created_at,
    })
}

fn of(tenant: TenantId, project: ProjectId, topic: TopicId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::TenantId.eq(tenant.0))
        .filter(table::Column::ProjectId.eq(project.0))
        .filter(table::Column::TopicId.eq(topic.0.cast_signed()))
}

/// The topic goes, and its consumers with it.
pub(crate) async fn forget(change: &Change<'_>, topic: i64) -> Result<()> {
    let rows = table::Entity::delete_many().filter(table::Column::TopicId.eq(topic));
    rows.exec(&change.transaction).await?;
    Ok(())
}

/// A topic's dead letters are one consumer's.
async fn check_dead(change: &Change<'_>, row: &table::Model) -> Result<()> {
    let taken = table::Entity::find()
        .filter(table::Column::ProjectId.eq(row.project_id))
        .filter(table::Column::DeadLetterTopic.eq(row.dead_letter_topic.as_str()))
        .filter(table::Column::Id.ne(row.id));
    if taken.count(&change.transaction).await? > 0 {
        let rule = "another consumer's dead letters go to this topic";
        return Err(TenancyError::conflict("dead_letter_topic", rule));
    }
    Ok(())
}

async fn locked(change: &Change<'_>, one: Select<table::Entity>) -> Result<table::Model> {
    one.lock_exclusive().one(&change.transaction).await?.ok_or_else(missing)
}

fn entry<'a>(
    (tenant, project): (TenantId, ProjectId),
    at: &'a ConsumerPlace<'_>,
    action: &'static str,
    details: Value,
) -> Entry<'a> {
    Entry { tenant: Some(tenant), project: Some(project), action, target: at, details }
}

impl Tenancy {
    /// Refused when the name is taken in the topic, another consumer's dead letters go to the
    /// same topic, or the topic has `max` consumers already.
    pub async fn create_consumer(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: ConsumerPlace<'_>,
        terms: ConsumerTerms<'_>,
        max: usize,
        by: &Actor,
    ) -> Result<Consumer> {
        let change = self.change(by).await?;
        // Held until the end, so that no two are counted at once.
        projects::locked(&change, tenant, project).await?;
        let row = table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.0,
            project_id: project.0,
            topic_id: at.topic.0.cast_signed(),
            name: at.name.as_str().to_owned(),
            config: to_json(terms.config)?,
            dead_letter_topic: terms.dead_letter_topic.as_str().to_owned(),
            created_at: change.at,
        };
        let others = of(tenant, project, at.topic);
        let taken = others.clone().filter(table::Column::Name.eq(at.name.as_str()));
        if taken.count(&change.transaction).await? > 0 {
            return Err(TenancyError::conflict("name", "the topic has a consumer of this name"));
        }
        if others.count(&change.transaction).await? >= max as u64 {
            return Err(TenancyError::LimitReached { what: "consumers", max: max as u64 });
        }
        check_dead(&change, &row).await?;
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let details = json!({"config": row.config, "dead_letter_topic": row.dead_letter_topic});
        change.commit(entry((tenant, project), &at, "consumer.create", details)).await?;
        read(row)
    }

    /// Replaces the configuration whole.
    pub async fn alter_consumer(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: ConsumerPlace<'_>,
        terms: ConsumerTerms<'_>,
        by: &Actor,
    ) -> Result<Consumer> {
        let change = self.change(by).await?;
        let named = of(tenant, project, at.topic).filter(table::Column::Name.eq(at.name.as_str()));
        let found = locked(&change, named).await?;
        let old = read(found.clone())?;
        if old.config == *terms.config && old.dead_letter_topic == *terms.dead_letter_topic {
            return Ok(old);
        }
        let mut row = found;
        row.config = to_json(terms.config)?;
        row.dead_letter_topic = terms.dead_letter_topic.as_str().to_owned();
        check_dead(&change, &row).await?;
        let mut active = row.clone().into_active_model();
        active.config = Set(row.config.clone());
        active.dead_letter_topic = Set(row.dead_letter_topic.clone());
        active.update(&change.transaction).await?;
        let details = json!({"config": row.config, "dead_letter_topic": row.dead_letter_topic});
        change.commit(entry((tenant, project), &at, "consumer.update", details)).await?;
        read(row)
    }

    /// The name is free again; the identifier is never given to another.
    pub async fn delete_consumer(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: ConsumerPlace<'_>,
        by: &Actor,
    ) -> Result<Consumer> {
        let change = self.change(by).await?;
        let named = of(tenant, project, at.topic).filter(table::Column::Name.eq(at.name.as_str()));
        let row = locked(&change, named).await?;
        row.clone().into_active_model().delete(&change.transaction).await?;
        change.commit(entry((tenant, project), &at, "consumer.delete", json!({}))).await?;
        read(row)
    }

    pub async fn consumer(
        &self,
        tenant: TenantId,
        project: ProjectId,
        topic: TopicId,
        name: &ConsumerName,
    ) -> Result<Consumer> {
        let named = of(tenant, project, topic).filter(table::Column::Name.eq(name.as_str()));
        read(named.one(self.reader()).await?.ok_or_else(missing)?)
    }

    /// Consumers of a topic in byte order of their names.
    pub async fn consumers(
        &self,
        tenant: TenantId,
        project: ProjectId,
        topic: TopicId,
        after: Option<&ConsumerName>,
        limit: usize,
    ) -> Result<Page<Consumer>> {
        let mut rows = of(tenant, project, topic);
        if let Some(after) = after {
            rows = rows.filter(table::Column::Name.gt(after.as_str()));
        }
        let rows = rows.order_by_asc(table::Column::Name).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// What was done to a consumer's place or its dead letters: none of it is in this store, but
    /// all of it is in the trail.
    pub async fn note_consumer(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: ConsumerPlace<'_>,
        action: &'static str,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        self.change(by).await?.commit(entry((tenant, project), &at, action, details)).await
    }
}
