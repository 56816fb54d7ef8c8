//! What changed, on its way to the log: an entry is written in the transaction of the change
//! itself, so there is neither a change untold nor one told that never was. A worker outside
//! publishes the entries in order and marks them. This file must not know the log.

use crate::audit::Entry;
use crate::entity::outbox as table;
use crate::page::PAGE_ITEMS_MAX;
use crate::{Result, Tenancy};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use std::fmt;
use tokio::sync::watch;
use types::{ProjectId, TenantId, TimestampMs};

/// Version of the events' form; a change that readers could trip over counts it up.
pub const EVENT_VERSION: u32 = 1;
/// Bytes of an event's details, written as JSON; larger ones are left out and said to be.
pub const EVENT_DETAILS_BYTES_MAX: usize = 256 * 1024;
/// Destinations that may be left out of one look at what is pending.
pub const SKIPPED_MAX: usize = 500;

/// Names an event for ever; the audit record of the same change ends in the same digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}", self.0.simple())
    }
}

/// A change that waits to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    pub id: EventId,
    /// `None`: a change to the node itself.
    pub tenant: Option<TenantId>,
    /// `None`: a change to a tenant or to the node.
    pub project: Option<ProjectId>,
    /// Noun and participle: `key.revoked`.
    pub kind: String,
    /// `actor`, `target` and `details`, as in the audit trail: never a secret.
    pub payload: Value,
    pub at: TimestampMs,
}

/// How far publishing is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxBacklog {
    pub pending: u64,
    pub oldest_at: Option<TimestampMs>,
}

/// `key.revoke` becomes `key.revoked`.
pub fn event_kind(action: &str) -> String {
    let (noun, verb) = action.rsplit_once('.').unwrap_or(("", action));
    let done = match verb {
        "set" | "reset" | "put" => verb.to_owned(),
        "shred" => "shredded".to_owned(),
        "stop" => "stopped".to_owned(),
        "take" => "taken".to_owned(),
        "withdraw" => "withdrawn".to_owned(),
        "bootstrap" => "created".to_owned(),
        "commit" => "committed".to_owned(),
        verb if verb.ends_with('e') => format!("{verb}d"),
        verb if verb.ends_with("ly") => format!("{}ied", verb.trim_end_matches('y')),
        verb => format!("{verb}ed"),
    };
    format!("{noun}.{done}")
}

/// The platform's own topics come and go with their projects; nobody has to be told.
fn is_worth_telling(action: &str, target: &str) -> bool {
    !(action.starts_with("topic.") && target.starts_with('$'))
}

fn details(of: &Value) -> Value {
    if of.to_string().len() <= EVENT_DETAILS_BYTES_MAX {
        return of.clone();
    }
    let why = format!("more than {EVENT_DETAILS_BYTES_MAX} bytes; the audit trail has them");
    json!({"omitted": why})
}

/// Writes what `entry` says into the outbox, under the number of its audit record; for the projects
/// in `also` under numbers of their own.
pub(crate) async fn enqueue(
    transaction: &DatabaseTransaction,
    tenancy: &Tenancy,
    id: Uuid,
    actor: &str,
    entry: &Entry<'_>,
    at: TimestampMs,
    also: &[ProjectId],
) -> Result<()> {
    let target = entry.target.to_string();
    if !is_worth_telling(entry.action, &target) {
        return Ok(());
    }
    let row =
        |id: Uuid, project: Option<ProjectId>, kind: String, target: &str| table::ActiveModel {
            id: Set(id),
            tenant_id: Set(entry.tenant.map(|id| id.0)),
            project_id: Set(project.map(|id| id.0)),
            kind: Set(kind),
            payload: Set(json!({
                "actor": actor,
                "target": target,
                "details": details(&entry.details),
            })),
            at: Set(at),
            published_at: Set(None),
        };
    let mut rows = Vec::with_capacity(2);
    // A bootstrap makes a tenant and its project in one go: two things to tell.
    let made = entry.project.filter(|_| entry.action == "tenant.bootstrap");
    let project = entry.project.filter(|_| made.is_none());
    rows.push(row(id, project, event_kind(entry.action), &target));
    if let Some(made) = made {
        let kind = "project.created".to_owned();
        rows.push(row(tenancy.ids.uuid(), Some(made), kind, &made.to_string()));
    }
    let kind = event_kind(entry.action);
    rows.extend(
        also.iter().map(|told| row(tenancy.ids.uuid(), Some(*told), kind.clone(), &target)),
    );
    table::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    Ok(())
}

fn read(row: table::Model) -> OutboxEntry {
    OutboxEntry {
        id: EventId(row.id),
        tenant: row.tenant_id.map(TenantId),
        project: row.project_id.map(ProjectId),
        kind: row.kind,
        payload: row.payload,
        at: row.at,
    }
}

impl Tenancy {
    /// Wakes whoever waits for a change made through this store. Changes of other nodes are seen
    /// by looking again now and then.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Entries of everybody that are not published, oldest first; for the node's worker only.
    /// Leaves out those of `skipped` (`None` is what belongs to no project), at most `SKIPPED_MAX`.
    pub async fn pending_events(
        &self,
        skipped: &[Option<ProjectId>],
        limit: usize,
    ) -> Result<Vec<OutboxEntry>> {
        let projects: Vec<Uuid> =
            skipped.iter().flatten().take(SKIPPED_MAX).map(|project| project.0).collect();
        let mut wanted = Condition::any();
        if !skipped.contains(&None) {
            wanted = wanted.add(table::Column::ProjectId.is_null());
        }
        let with_project = Condition::all().add(table::Column::ProjectId.is_not_null());
        wanted = wanted.add(match projects.is_empty() {
            true => with_project,
            false => with_project.add(table::Column::ProjectId.is_not_in(projects)),
        });
        let rows = table::Entity::find()
            .filter(table::Column::PublishedAt.is_null())
            .filter(wanted)
            .order_by_asc(table::Column::Id)
            .limit(limit.clamp(1, PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// These entries are in the log; for the node's worker only.
    pub async fn mark_published(&self, events: &[EventId]) -> Result<()> {
        let transaction = self.begin().await?;
        for chunk in events.chunks(PAGE_ITEMS_MAX / 2) {
            table::Entity::update_many()
                .col_expr(table::Column::PublishedAt, Expr::value(self.ids.now_ms()))
                .filter(table::Column::Id.is_in(chunk.iter().map(|event| event.0)))
                .exec(&transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// How much of everybody's waits to be published; for the node's metrics only.
    pub async fn outbox_backlog(&self) -> Result<OutboxBacklog> {
        let pending = table::Entity::find().filter(table::Column::PublishedAt.is_null());
        let count = pending.clone().count(self.reader()).await?;
        let oldest = pending.order_by_asc(table::Column::Id).one(self.reader()).await?;
        Ok(OutboxBacklog { pending: count, oldest_at: oldest.map(|row| row.at) })
    }

    /// Drops entries published before `before`, at most `limit`, and answers how many; for the
    /// node's worker only.
    pub async fn sweep_outbox(&self, before: TimestampMs, limit: usize) -> Result<u64> {
        let old = table::Entity::find()
            .filter(table::Column::PublishedAt.lt(before))
            .limit(limit.clamp(1, PAGE_ITEMS_MAX / 2) as u64)
            .all(self.reader())
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let transaction = self.begin().await?;
        let gone = table::Entity::delete_many()
            .filter(table::Column::Id.is_in(old.into_iter().map(|row| row.id)))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected)
    }
}
