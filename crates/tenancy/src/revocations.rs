//! Tokens that a project has taken back, one by one or all that somebody was given before some
//! moment. What a token is recognised by is text here: which token it fits is `identity`'s to say.
//! Bounded per project, and forgotten when no token it could fit counts any more.

use crate::audit::{Change, Entry, natural};
use crate::entity::project;
use crate::entity::revocations::revocation as table;
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::projects;
use crate::tenants::Word;
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::str::FromStr;
use types::{ProjectId, TenantId, TimestampMs};

/// Revocations that one project may hold: each process of a node keeps all of them in memory, in
/// less than a hundred bytes each.
pub const REVOCATIONS_MAX: u64 = 20_000;
/// Bytes of what a token is recognised by.
pub const REVOCATION_VALUE_BYTES_MAX: usize = 2_048;
/// Bytes of why.
pub const REVOCATION_REASON_BYTES_MAX: usize = 512;
/// How long one may be kept: ten years.
pub const REVOCATION_KEPT_MS_MAX: i64 = 3_653 * 86_400_000;

/// What a taken back token is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationKind {
    /// Its claim `jti` (RFC 7519 section 4.1.7).
    Jti,
    /// The SHA-256 of what its signature is over, in hexadecimal digits.
    Fingerprint,
    /// Its claim `sub`.
    Sub,
    /// The `kid` of its header: all tokens of one signing key.
    Kid,
    /// Its claim `iss`: all tokens of one issuer.
    Iss,
}

impl Word for RevocationKind {
    const ALL: &'static [(RevocationKind, &'static str)] = &[
        (RevocationKind::Jti, "jti"),
        (RevocationKind::Fingerprint, "fingerprint"),
        (RevocationKind::Sub, "sub"),
        (RevocationKind::Kid, "kid"),
        (RevocationKind::Iss, "iss"),
    ];
}

impl RevocationKind {
    pub fn name(self) -> &'static str {
        self.word()
    }

    /// Whether it fits many tokens, so that a moment must part those of before from newer ones.
    pub fn is_of_many(self) -> bool {
        matches!(self, RevocationKind::Sub | RevocationKind::Kid | RevocationKind::Iss)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId(pub Uuid);

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rev_{}", self.0.simple())
    }
}

impl FromStr for RevocationId {
    type Err = TenancyError;
    fn from_str(text: &str) -> Result<RevocationId> {
        text.strip_prefix("rev_")
            .and_then(|digits| Uuid::try_parse(digits).ok())
            .map(RevocationId)
            .ok_or_else(|| TenancyError::invalid("id", "expected `rev_` and 32 hexadecimal digits"))
    }
}

impl Serialize for RevocationId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub id: RevocationId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub kind: RevocationKind,
    /// Unique in the project together with the kind.
    pub value: String,
    /// Only tokens issued before; `None`: whenever it was issued.
    pub issued_before: Option<TimestampMs>,
    /// When no token that it fits counts any more by itself.
    pub until: TimestampMs,
    pub reason: Option<String>,
    /// Who took back last.
    pub actor: String,
    pub created_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewRevocation {
    pub kind: RevocationKind,
    pub value: String,
    /// For kinds of many tokens; now when absent.
    pub issued_before: Option<TimestampMs>,
    pub until: TimestampMs,
    pub reason: Option<String>,
}

/// Which changes of a project's revocations have been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RevocationHead {
    /// Counted up by each change.
    pub version: u64,
    /// Whoever knows those of before this version reads all anew: some were taken away.
    pub rebuilt: u64,
}

/// What of a revocation matters when a token is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationMark {
    pub kind: RevocationKind,
    pub value: String,
    pub issued_before: Option<TimestampMs>,
    pub until: TimestampMs,
}

impl RevocationHead {
    pub(crate) fn of(row: &project::Model) -> Result<RevocationHead> {
        let version = natural(row.revocations_version)?;
        Ok(RevocationHead { version, rebuilt: natural(row.revocations_rebuilt)? })
    }
}

fn read(row: table::Model) -> Result<Revocation> {
    Ok(Revocation {
        id: RevocationId(row.id),
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        kind: RevocationKind::read(&row.kind)?,
        value: row.value,
        issued_before: row.issued_before,
        until: row.until,
        reason: row.reason,
        actor: row.actor,
        created_at: row.created_at,
    })
}

fn of(tenant: TenantId, project: ProjectId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::TenantId.eq(tenant.0))
        .filter(table::Column::ProjectId.eq(project.0))
}

fn check(new: &NewRevocation, now: TimestampMs) -> Result<()> {
    let value = &new.value;
    let fits = (1..=REVOCATION_VALUE_BYTES_MAX).contains(&value.len())
        && !value.chars().any(char::is_control);
    if !fits {
        let rule = "1 to 2048 bytes without control characters";
        return Err(TenancyError::invalid(new.kind.name(), rule));
    }
    let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if new.kind == RevocationKind::Fingerprint && !is_hash {
        let rule = "64 hexadecimal digits: the SHA-256 of the token up to its second dot";
        return Err(TenancyError::invalid("fingerprint", rule));
    }
    if new.issued_before.is_some() && !new.kind.is_of_many() {
        let rule = "one token is taken back whenever it was issued: leave the moment out";
        return Err(TenancyError::invalid("issued_before", rule));
    }
    if new.issued_before.is_some_and(|before| before > now || before < 0) {
        let rule = "the moment lies in the future: only tokens that were issued are taken back";
        return Err(TenancyError::invalid("issued_before", rule));
    }
    if new.until <= now || new.until > now.saturating_add(REVOCATION_KEPT_MS_MAX) {
        let rule = "the token's own end lies between now and in ten years";
        return Err(TenancyError::invalid("expires_at", rule));
    }
    let is_long = |reason: &String| reason.len() > REVOCATION_REASON_BYTES_MAX;
    if new.reason.as_ref().is_some_and(is_long) {
        return Err(TenancyError::invalid("reason", "a reason has at most 512 bytes"));
    }
    Ok(())
}

/// Counts one more change of the project's revocations and answers its number.
async fn count_up(change: &Change<'_>, row: project::Model, is_rebuilt: Rebuilt) -> Result<i64> {
    let version = row.revocations_version.saturating_add(1);
    let mut row = row.into_active_model();
    row.revocations_version = Set(version);
    if is_rebuilt == Rebuilt::Yes {
        row.revocations_rebuilt = Set(version);
    }
    row.update(&change.transaction).await?;
    Ok(version)
}

#[derive(PartialEq, Eq)]
enum Rebuilt {
    Yes,
    No,
}

pub(crate) async fn delete_revocations_of(change: &Change<'_>, project: ProjectId) -> Result<()> {
    let of_it = table::Entity::delete_many().filter(table::Column::ProjectId.eq(project.0));
    of_it.exec(&change.transaction).await?;
    Ok(())
}

impl Tenancy {
    /// Takes tokens back, from when the node is told. One that is there already is made wider: the
    /// later of both moments and of both ends counts.
    ///
    /// # Errors
    /// `Invalid`, or `LimitReached` with `REVOCATIONS_MAX` of them in force.
    pub async fn revoke_tokens(
        &self,
        tenant: TenantId,
        project: ProjectId,
        mut new: NewRevocation,
        by: &Actor,
    ) -> Result<Revocation> {
        let change = self.change(by).await?;
        check(&new, change.at)?;
        if new.kind == RevocationKind::Fingerprint {
            new.value.make_ascii_lowercase();
        }
        let owner = projects::locked(&change, tenant, project).await?;
        let same = of(tenant, project)
            .filter(table::Column::Kind.eq(new.kind.word()))
            .filter(table::Column::Value.eq(&new.value))
            .one(&change.transaction)
            .await?;
        if same.is_none() {
            let held = of(tenant, project).filter(table::Column::Until.gt(change.at));
            if held.count(&change.transaction).await? >= REVOCATIONS_MAX {
                let what = "token revocations in force; wait until the oldest have ended, or \
                            take back all of a signing key at once by its `kid`";
                return Err(TenancyError::LimitReached { what, max: REVOCATIONS_MAX });
            }
        }
        let serial = count_up(&change, owner, Rebuilt::No).await?;
        let row = self.revoked_row((tenant, project), new, &change, by, serial);
        let row = match same {
            None => {
                table::Entity::insert(row.clone().into_active_model())
                    .exec_without_returning(&change.transaction)
                    .await?;
                row
            }
            Some(before) => widen(before, row).update(&change.transaction).await?,
        };
        let revoked = read(row)?;
        let details = json!({
            "kind": revoked.kind,
            "value": revoked.value,
            "issued_before": revoked.issued_before,
            "until": revoked.until,
            "reason": revoked.reason,
        });
        let (tenant, project) = (Some(tenant), Some(project));
        let action = "token.revoke";
        change.commit(Entry { tenant, project, action, target: &revoked.id, details }).await?;
        Ok(revoked)
    }

    fn revoked_row(
        &self,
        (tenant, project): (TenantId, ProjectId),
        new: NewRevocation,
        change: &Change<'_>,
        by: &Actor,
        serial: i64,
    ) -> table::Model {
        table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.0,
            project_id: project.0,
            kind: new.kind.word().to_owned(),
            value: new.value,
            issued_before: new.kind.is_of_many().then(|| new.issued_before.unwrap_or(change.at)),
            until: new.until,
            reason: new.reason,
            actor: by.as_str().to_owned(),
            created_at: change.at,
            serial,
        }
    }

    /// What counts of it again counts from when the node is told.
    pub async fn withdraw_revocation(
        &self,
        tenant: TenantId,
        project: ProjectId,
        revocation: RevocationId,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let owner = projects::locked(&change, tenant, project).await?;
        let found = of(tenant, project).filter(table::Column::Id.eq(revocation.0));
        let row = found.one(&change.transaction).await?;
        let row = row.ok_or(TenancyError::NotFound { what: "token revocation" })?;
        table::Entity::delete_by_id(revocation.0).exec(&change.transaction).await?;
        count_up(&change, owner, Rebuilt::Yes).await?;
        let details = json!({"kind": row.kind, "value": row.value});
        let (tenant, project) = (Some(tenant), Some(project));
        let action = "token.reinstate";
        change.commit(Entry { tenant, project, action, target: &revocation, details }).await
    }

    /// Those in force, in order of their identifiers.
    pub async fn revocations(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<RevocationId>,
        limit: usize,
    ) -> Result<Page<Revocation>> {
        let mut rows = of(tenant, project).filter(table::Column::Until.gt(self.ids.now_ms()));
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// What came or was changed after this version of the project's, that is all after version 0.
    pub async fn revocation_marks(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: u64,
    ) -> Result<Vec<RevocationMark>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = of(tenant, project)
            .filter(table::Column::Serial.gt(after))
            .filter(table::Column::Until.gt(self.ids.now_ms()))
            .order_by_asc(table::Column::Serial)
            .limit(REVOCATIONS_MAX)
            .all(self.reader())
            .await?;
        let mark = |row| {
            let Revocation { kind, value, issued_before, until, .. } = read(row)?;
            Ok(RevocationMark { kind, value, issued_before, until })
        };
        rows.into_iter().map(mark).collect()
    }

    /// Forgets revocations whose tokens are all over by themselves, at most one page, and answers
    /// how many; for the node's worker only.
    pub async fn sweep_revocations(&self) -> Result<u64> {
        let over = table::Entity::find()
            .select_only()
            .column(table::Column::Id)
            .filter(table::Column::Until.lte(self.ids.now_ms()))
            .limit((PAGE_ITEMS_MAX / 2) as u64)
            .into_tuple::<Uuid>()
            .all(self.reader())
            .await?;
        if over.is_empty() {
            return Ok(0);
        }
        let transaction = self.begin().await?;
        // Asked again: one may have been made wider since.
        let gone = table::Entity::delete_many()
            .filter(table::Column::Id.is_in(over))
            .filter(table::Column::Until.lte(self.ids.now_ms()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected)
    }
}

/// The row of before, reaching as far as both; who and why are the newer one's.
fn widen(before: table::Model, new: table::Model) -> table::ActiveModel {
    let (until, issued_before) =
        (before.until.max(new.until), before.issued_before.max(new.issued_before));
    let reason = new.reason.or_else(|| before.reason.clone());
    let mut row = before.into_active_model();
    row.issued_before = Set(issued_before);
    row.until = Set(until);
    row.reason = Set(reason);
    row.actor = Set(new.actor);
    row.serial = Set(new.serial);
    row
}
