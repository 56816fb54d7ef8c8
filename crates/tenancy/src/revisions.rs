//! Revisions of the node's own configuration, so that a change at run time can be traced and taken
//! back. They belong to the node, not to a tenant.

use crate::audit::Entry;
use crate::entity::config_revision as table;
use crate::page::fetch_count;
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use types::TimestampMs;

#[derive(Debug, Clone, PartialEq)]
pub struct ConfigRevision {
    /// Counted from 1 without holes.
    pub revision: u64,
    /// The whole configuration, secrets left out by the caller.
    pub config: Value,
    pub actor: String,
    /// Why, or where it came from.
    pub note: String,
    pub at: TimestampMs,
}

fn read(row: table::Model) -> Result<ConfigRevision> {
    let revision = u64::try_from(row.revision);
    Ok(ConfigRevision {
        revision: revision.map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        config: row.config,
        actor: row.actor,
        note: row.note,
        at: row.at,
    })
}

impl Tenancy {
    /// Keeps a configuration that was put into effect. The node's, so it takes no tenant. Two
    /// nodes that do so at one moment: the later gets a conflict and may try again.
    pub async fn add_config_revision(
        &self,
        config: &Value,
        note: &str,
        by: &Actor,
    ) -> Result<ConfigRevision> {
        let change = self.change(by).await?;
        let newest = table::Entity::find()
            .order_by_desc(table::Column::Revision)
            .one(&change.transaction)
            .await?;
        let row = table::Model {
            revision: newest.map_or(1, |row| row.revision + 1),
            config: config.clone(),
            actor: by.as_str().to_owned(),
            note: note.to_owned(),
            at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let entry = Entry {
            tenant: None,
            project: None,
            action: "config.change",
            target: &row.revision,
            details: json!({"note": note}),
        };
        change.commit(entry).await?;
        read(row)
    }

    /// `None` asks for the newest. The node's, so it takes no tenant.
    pub async fn config_revision(&self, revision: Option<u64>) -> Result<Option<ConfigRevision>> {
        let mut rows = table::Entity::find();
        if let Some(revision) = revision {
            let Ok(revision) = i64::try_from(revision) else { return Ok(None) };
            rows = rows.filter(table::Column::Revision.eq(revision));
        }
        let row = rows.order_by_desc(table::Column::Revision).one(self.reader()).await?;
        row.map(read).transpose()
    }

    /// Newest first, older than `before`. The node's, so it takes no tenant.
    pub async fn config_revisions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<ConfigRevision>> {
        let mut rows = table::Entity::find();
        if let Some(before) = before {
            let before = i64::try_from(before).unwrap_or(i64::MAX);
            rows = rows.filter(table::Column::Revision.lt(before));
        }
        let rows = rows.order_by_desc(table::Column::Revision).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }
}
