//! Who did what: the audit trail, and the one way to write anything administrative. A `Change` is
//! a transaction that commits only together with its audit record and its entry in the outbox, so
//! no write can forget either.

use crate::entity::audit as table;
use crate::page::fetch_count;
use crate::{Page, Result, Tenancy, TenancyError, UserId, outbox};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, QueryOrder, QuerySelect};
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use types::{ProjectId, TenantId, TimestampMs};

/// Who makes a change, as the audit trail names him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(String);

impl Actor {
    /// Somebody with an operator's token of this installation: the principal of the same name.
    pub fn operator() -> Actor {
        Actor("operator".to_owned())
    }

    /// The node itself: start-up, reload, expiry.
    pub fn system() -> Actor {
        Actor("system".to_owned())
    }

    /// One of the installation's users, by identifier and address.
    pub fn user(user: UserId, email: &str) -> Actor {
        Actor(format!("{user}:{email}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&port::Identity> for Actor {
    fn from(who: &port::Identity) -> Actor {
        Actor(who.principal().to_string())
    }
}

/// One record of the audit trail; sorts in the order of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuditId(pub Uuid);

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aud_{}", self.0.simple())
    }
}

impl FromStr for AuditId {
    type Err = TenancyError;
    fn from_str(text: &str) -> Result<AuditId> {
        text.strip_prefix("aud_")
            .and_then(|digits| Uuid::try_parse(digits).ok())
            .map(AuditId)
            .ok_or_else(|| TenancyError::invalid("id", "expected `aud_` and 32 hexadecimal digits"))
    }
}

impl Serialize for AuditId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    pub id: AuditId,
    /// `None`: a change to the node itself.
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    pub actor: String,
    /// Noun and verb: `key.revoke`.
    pub action: String,
    /// The identifier or name of what was changed.
    pub target: String,
    pub details: Value,
    pub at: TimestampMs,
}

/// What part of a tenant's trail is wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub project: Option<ProjectId>,
    /// Exactly this action.
    pub action: Option<String>,
    /// Older than this record: the trail is listed newest first.
    pub before: Option<AuditId>,
}

/// What the audit trail will say of a change.
pub(crate) struct Entry<'a> {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) action: &'static str,
    pub(crate) target: &'a (dyn fmt::Display + Sync),
    pub(crate) details: Value,
}

/// An administrative write under way. Dropped without `commit`, it never happened.
pub(crate) struct Change<'a> {
    pub(crate) transaction: DatabaseTransaction,
    tenancy: &'a Tenancy,
    actor: &'a Actor,
    pub(crate) at: TimestampMs,
}

impl Change<'_> {
    pub(crate) async fn commit(self, entry: Entry<'_>) -> Result<()> {
        self.commit_told(entry, &[]).await
    }

    /// As `commit`, and tells these projects too.
    pub(crate) async fn commit_told(self, entry: Entry<'_>, projects: &[ProjectId]) -> Result<()> {
        let id = self.tenancy.ids.uuid();
        let actor = self.actor.as_str();
        outbox::enqueue(&self.transaction, self.tenancy, id, actor, &entry, self.at, projects)
            .await?;
        let record = table::ActiveModel {
            id: Set(id),
            tenant_id: Set(entry.tenant.map(|id| id.0)),
            project_id: Set(entry.project.map(|id| id.0)),
            actor: Set(self.actor.as_str().to_owned()),
            action: Set(entry.action.to_owned()),
            target: Set(entry.target.to_string()),
            details: Set(entry.details),
            at: Set(self.at),
        };
        table::Entity::insert(record).exec_without_returning(&self.transaction).await?;
        self.transaction.commit().await?;
        self.tenancy.changes.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }
}

fn read(row: table::Model) -> Result<AuditRecord> {
    Ok(AuditRecord {
        id: AuditId(row.id),
        tenant: row.tenant_id.map(TenantId),
        project: row.project_id.map(ProjectId),
        actor: row.actor,
        action: row.action,
        target: row.target,
        details: row.details,
        at: row.at,
    })
}

impl Tenancy {
    /// Writes down what was done to the node itself, of which no table holds anything.
    pub async fn note(
        &self,
        action: &'static str,
        target: &str,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        change.commit(Entry { tenant: None, project: None, action, target: &target, details }).await
    }

    pub(crate) async fn change<'a>(&'a self, actor: &'a Actor) -> Result<Change<'a>> {
        let transaction = self.begin().await?;
        Ok(Change { transaction, tenancy: self, actor, at: self.ids.now_ms() })
    }

    /// The tenant's trail, newest first.
    pub async fn audit(
        &self,
        tenant: TenantId,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        let rows = table::Entity::find().filter(table::Column::TenantId.eq(tenant.0));
        self.audit_page(rows, filter, limit).await
    }

    /// Everybody's trail and the node's own, newest first: for the operator only.
    pub async fn audit_of_all_tenants(
        &self,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        self.audit_page(table::Entity::find(), filter, limit).await
    }

    /// A connection that an operator closed: it is no record of the store, but its end is in the
    /// trail.
    pub async fn note_connection_closed(
        &self,
        tenant: TenantId,
        project: ProjectId,
        connection: u64,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        let entry = Entry {
            tenant: Some(tenant),
            project: Some(project),
            action: "connection.close",
            target: &connection,
            details,
        };
        self.change(by).await?.commit(entry).await
    }

    /// What is about to be done to the keys of encryption at rest, or how it failed: they are no
    /// record of the store, but whoever touches them is in the trail.
    pub async fn note_keyring(
        &self,
        action: &'static str,
        tenant: Option<TenantId>,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        let target: &(dyn fmt::Display + Sync) = match &tenant {
            Some(tenant) => tenant,
            None => &"ring",
        };
        let entry = Entry { tenant, project: None, action, target, details };
        self.change(by).await?.commit(entry).await
    }

    async fn audit_page(
        &self,
        mut rows: Select<table::Entity>,
        filter: &AuditFilter,
        limit: usize,
    ) -> Result<Page<AuditRecord>> {
        if let Some(project) = filter.project {
            rows = rows.filter(table::Column::ProjectId.eq(project.0));
        }
        if let Some(action) = &filter.action {
            rows = rows.filter(table::Column::Action.eq(action));
        }
        if let Some(before) = filter.before {
            rows = rows.filter(table::Column::Id.lt(before.0));
        }
        let rows = rows.order_by_desc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }
}
