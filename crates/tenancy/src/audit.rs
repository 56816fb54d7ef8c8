//! Who did what: the audit trail, and the one way to write anything administrative. A `Change` is
//! a transaction that commits only together with its audit record and its entry in the outbox, so
//! no write can forget either.

pub(crate) mod chain;
pub(crate) mod form;
pub(crate) mod incidents;
pub(crate) mod search;
pub(crate) mod sinks;

use crate::approvals::run::{ApprovalTurn, carry};
use crate::entity::audit as table;
use crate::tenants::Word;
use crate::{Result, Tenancy, TenancyError, UserId, outbox};
use form::AuditHash;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DatabaseTransaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use types::{ProjectId, TenantId, TimestampMs, TopicName};

/// Who makes a change, as the audit trail names him, and where his request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: String,
    address: Option<IpAddr>,
    request: Option<String>,
    turn: Option<ApprovalTurn>,
    circumstances: Option<Value>,
}

impl Actor {
    fn named(name: impl Into<String>) -> Actor {
        Actor { name: name.into(), address: None, request: None, turn: None, circumstances: None }
    }

    /// Somebody with an operator's token of this installation: the principal of the same name.
    pub fn operator() -> Actor {
        Actor::named("operator")
    }

    /// The node itself: start-up, reload, expiry.
    pub fn system() -> Actor {
        Actor::named("system")
    }

    /// One of the installation's users, by identifier and address.
    pub fn user(user: UserId, email: &str) -> Actor {
        Actor::named(format!("{user}:{email}"))
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The same, who asked from there.
    pub fn from_address(self, address: IpAddr) -> Actor {
        // Nobody's address: the request did not come through the edge.
        let address = Some(address).filter(|address| !address.is_unspecified());
        Actor { address, ..self }
    }

    /// The same, by this request.
    pub fn by_request(self, request: &str) -> Actor {
        Actor { request: Some(request.to_owned()), ..self }
    }

    /// The same, doing what a second person approved: whatever is written is written with the mark
    /// that it was, and no more once this turn is over.
    pub fn in_turn(self, turn: Option<ApprovalTurn>) -> Actor {
        Actor { turn, ..self }
    }

    /// The same, with what is known of his request: kept with what he asks for or approves, so that
    /// it is carried out as in these circumstances.
    pub fn in_circumstances(self, circumstances: Option<Value>) -> Actor {
        Actor { circumstances, ..self }
    }

    pub(crate) fn circumstances(&self) -> Option<Value> {
        self.circumstances.clone()
    }
}

impl From<&port::Identity> for Actor {
    fn from(who: &port::Identity) -> Actor {
        Actor::named(who.principal().to_string())
    }
}

/// What came of what somebody did or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    Done,
    /// He may not, or it cannot be as he wants it.
    Refused,
    /// It could not be carried out.
    Failed,
}

impl Word for AuditOutcome {
    const ALL: &'static [(AuditOutcome, &'static str)] = &[
        (AuditOutcome::Done, "done"),
        (AuditOutcome::Refused, "refused"),
        (AuditOutcome::Failed, "failed"),
    ];
}

impl AuditOutcome {
    /// As records and requests write it.
    pub fn name(self) -> &'static str {
        self.word()
    }

    pub fn named(name: &str) -> Option<AuditOutcome> {
        AuditOutcome::read(name).ok()
    }

    /// What an action says of its own end: `session.refuse`, `keyring.rotate_fail`.
    fn of(action: &str) -> AuditOutcome {
        let verb = action.rsplit('.').next().unwrap_or(action);
        match verb {
            "refuse" | "throttle" => AuditOutcome::Refused,
            verb if verb.ends_with("fail") => AuditOutcome::Failed,
            _ => AuditOutcome::Done,
        }
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
    pub outcome: AuditOutcome,
    /// Where the request came from.
    pub address: Option<String>,
    /// The request's id.
    pub request: Option<String>,
    /// How often it happened: more than once for what is told together.
    pub count: u64,
    /// Its place in the chain; none for the moment after it was written.
    pub link: Option<AuditLink>,
}

/// Where a record stands in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditLink {
    /// Counted from 1, without a gap.
    pub sequence: u64,
    /// The hash of the record before.
    pub previous: AuditHash,
    pub hash: AuditHash,
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
        if let Some(turn) = self.actor.turn {
            carry(&self.transaction, turn, self.at).await?;
        }
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
            outcome: Set(AuditOutcome::of(entry.action).word().to_owned()),
            address: Set(self.actor.address.map(|address| address.to_string())),
            request: Set(self.actor.request.clone()),
            count: Set(1),
            ..Default::default()
        };
        table::Entity::insert(record).exec_without_returning(&self.transaction).await?;
        self.transaction.commit().await?;
        self.tenancy.changes.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }
}

/// A stored count or place, which is never below zero.
pub(crate) fn natural(stored: i64) -> Result<u64> {
    u64::try_from(stored).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

pub(crate) fn read(row: table::Model) -> Result<AuditRecord> {
    let link = match (row.sequence, row.previous, row.hash) {
        (Some(sequence), Some(previous), Some(hash)) => Some(AuditLink {
            sequence: natural(sequence)?,
            previous: AuditHash::read(&previous)?,
            hash: AuditHash::read(&hash)?,
        }),
        _ => None,
    };
    Ok(AuditRecord {
        id: AuditId(row.id),
        tenant: row.tenant_id.map(TenantId),
        project: row.project_id.map(ProjectId),
        actor: row.actor,
        action: row.action,
        target: row.target,
        details: row.details,
        at: row.at,
        outcome: AuditOutcome::read(&row.outcome)?,
        address: row.address,
        request: row.request,
        count: natural(row.count)?,
        link,
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

    /// What was done to the records of a topic: this store has none of them, but that somebody
    /// removed some is in the trail.
    pub async fn note_topic(
        &self,
        (tenant, project): (TenantId, ProjectId),
        name: &TopicName,
        action: &'static str,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        let (tenant, project) = (Some(tenant), Some(project));
        let change = self.change(by).await?;
        change.commit(Entry { tenant, project, action, target: name, details }).await
    }

    /// Somebody was handed a report of the trail: of one tenant, or of everything.
    pub async fn note_report(
        &self,
        tenant: Option<TenantId>,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        let action = "audit.report";
        let entry = Entry { tenant, project: None, action, target: &"audit", details };
        self.change(by).await?.commit(entry).await
    }

    pub(crate) async fn change<'a>(&'a self, actor: &'a Actor) -> Result<Change<'a>> {
        let transaction = self.begin().await?;
        Ok(Change { transaction, tenancy: self, actor, at: self.ids.now_ms() })
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

    /// What an operator did to a Kafka group: none of it is in this store, but all of it is in the
    /// trail.
    pub async fn note_kafka_group(
        &self,
        (tenant, project): (TenantId, ProjectId),
        group: &str,
        action: &'static str,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        let (tenant, project) = (Some(tenant), Some(project));
        let change = self.change(by).await?;
        change.commit(Entry { tenant, project, action, target: &group, details }).await
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
}
