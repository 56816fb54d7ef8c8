//! Acts that wait for a second person: what was asked for, by whom, and what became of it. A state
//! changes in a transaction that looks at the row under a lock, so of two who decide at once one is
//! told that he is late. The store keeps a request as sealed bytes and does not know what it does,
//! nor who may ask or approve: its callers have checked that.

pub(crate) mod rules;
pub(crate) mod run;

use crate::audit::{Change, Entry};
use crate::entity::approval as table;
use crate::ids::record_id;
use crate::page::fetch_count;
use crate::tenants::Word;
use crate::{Actor, Page, Result, Tenancy, TenancyError, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use types::{ProjectId, TenantId, TimestampMs};

/// Acts that may wait at a time, of one asker and of all.
const WAITING_OF_ONE_MAX: u64 = 100;
pub const APPROVALS_WAITING_MAX: u64 = 10_000;
/// How long an approved pass counts.
pub const APPROVAL_PASS_MS: i64 = 3_600_000;
/// Bytes of a reason or a comment.
const REASON_BYTES_MAX: usize = 1_000;

record_id!(
    /// An act that waits, or waited, for a second person.
    ApprovalId,
    "apr_"
);

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApprovalState {
    /// Nobody has decided yet.
    Pending,
    /// Somebody approved; it is about to be carried out, or may be by who asked.
    Approved,
    /// Being carried out.
    Running,
    Done,
    /// Carried out, and it came to nothing.
    Failed,
    /// Somebody said no.
    Refused,
    /// Nobody decided in time.
    Expired,
    /// By who asked.
    Withdrawn,
    /// Who asked, or who approved, may it no more.
    Void,
}

impl Word for ApprovalState {
    const ALL: &'static [(ApprovalState, &'static str)] = &[
        (ApprovalState::Pending, "pending"),
        (ApprovalState::Approved, "approved"),
        (ApprovalState::Running, "running"),
        (ApprovalState::Done, "done"),
        (ApprovalState::Failed, "failed"),
        (ApprovalState::Refused, "refused"),
        (ApprovalState::Expired, "expired"),
        (ApprovalState::Withdrawn, "withdrawn"),
        (ApprovalState::Void, "void"),
    ];
}

impl ApprovalState {
    pub fn name(self) -> &'static str {
        self.word()
    }

    pub fn named(name: &str) -> Option<ApprovalState> {
        ApprovalState::read(name).ok()
    }

    /// Nothing comes after it.
    pub fn is_over(self) -> bool {
        !matches!(self, ApprovalState::Pending | ApprovalState::Approved | ApprovalState::Running)
    }
}

/// Who carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApprovalMode {
    /// The platform, once, as soon as it is approved.
    Once,
    /// Who asked, as often as it takes, for `APPROVAL_PASS_MS`: answers that nobody could keep.
    Pass,
}

impl Word for ApprovalMode {
    const ALL: &'static [(ApprovalMode, &'static str)] =
        &[(ApprovalMode::Once, "once"), (ApprovalMode::Pass, "pass")];
}

impl ApprovalMode {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

/// What a request is about, and where its permission is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApprovalPlace {
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    /// The permission must be held in the installation, whatever is named.
    pub at_installation: bool,
}

/// An act as it was asked for.
#[derive(Debug, Clone)]
pub struct NewApproval {
    pub place: ApprovalPlace,
    pub mode: ApprovalMode,
    /// The operation's name in the description of the API.
    pub act: String,
    pub method: String,
    /// With its query.
    pub path: String,
    pub permission: String,
    /// SHA-256 of the body.
    pub digest: Vec<u8>,
    /// What was sent; the caller alone can open it.
    pub sealed: Vec<u8>,
    /// What it is about, as it was when it was asked for, and the digest of that.
    pub before: Option<Value>,
    pub before_digest: Option<Vec<u8>>,
    /// `None`: an operator's token.
    pub asker: Option<UserId>,
    pub address: Option<String>,
    pub reason: String,
    pub wait_ms: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    pub id: ApprovalId,
    pub place: ApprovalPlace,
    pub state: ApprovalState,
    pub mode: ApprovalMode,
    pub act: String,
    pub method: String,
    pub path: String,
    pub permission: String,
    pub digest: Vec<u8>,
    pub sealed: Vec<u8>,
    pub before: Option<Value>,
    pub before_digest: Option<Vec<u8>>,
    /// As the trail names him.
    pub asker: String,
    pub asker_user: Option<UserId>,
    pub address: Option<String>,
    pub reason: String,
    pub asked_at: TimestampMs,
    pub expires_at: TimestampMs,
    pub decider: Option<String>,
    pub decider_user: Option<UserId>,
    pub decided_at: Option<TimestampMs>,
    pub comment: String,
    pub attempt: u32,
    /// When the first of what it changes was written.
    pub carried_at: Option<TimestampMs>,
    pub ended_at: Option<TimestampMs>,
    /// Why it ended so, for people.
    pub outcome: Option<String>,
    /// HTTP status and body of its answer, without secrets.
    pub status: Option<u16>,
    pub answer: Option<Value>,
    /// The whole answer, until who asked has taken it.
    pub sealed_answer: Option<Vec<u8>>,
    /// What was known of the requests by which it was asked for and decided.
    pub asked_in: Option<Value>,
    pub decided_in: Option<Value>,
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    Person(UserId),
    /// Somebody with an operator's token.
    Operator,
}

/// Which ones a list shows: those of this asker, and those of these places.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// As the trail names him.
    pub asker: Option<String>,
    /// `None`: everywhere.
    pub places: Option<Vec<(TenantId, Option<ProjectId>)>>,
    /// Only what names this tenant.
    pub tenant: Option<TenantId>,
    /// Any when empty.
    pub states: Vec<ApprovalState>,
    /// Older than this one.
    pub before: Option<ApprovalId>,
}

pub(crate) fn read(row: table::Model) -> Result<Approval> {
    let corrupt = |error: std::num::TryFromIntError| TenancyError::Corrupt(error.to_string());
    Ok(Approval {
        id: ApprovalId(row.id),
        place: ApprovalPlace {
            tenant: row.tenant_id.map(TenantId),
            project: row.project_id.map(ProjectId),
            at_installation: row.at_installation,
        },
        state: ApprovalState::read(&row.state)?,
        mode: ApprovalMode::read(&row.mode)?,
        act: row.act,
        method: row.method,
        path: row.path,
        permission: row.permission,
        digest: row.digest,
        sealed: row.sealed,
        before: row.before,
        before_digest: row.before_digest,
        asker: row.asker,
        asker_user: row.asker_user.map(UserId),
        address: row.address,
        reason: row.reason,
        asked_at: row.asked_at,
        expires_at: row.expires_at,
        decider: row.decider,
        decider_user: row.decider_user.map(UserId),
        decided_at: row.decided_at,
        comment: row.comment,
        attempt: u32::try_from(row.attempt).map_err(corrupt)?,
        carried_at: row.carried_at,
        ended_at: row.ended_at,
        outcome: row.outcome,
        status: row.status.map(u16::try_from).transpose().map_err(corrupt)?,
        answer: row.answer,
        sealed_answer: row.sealed_answer,
        asked_in: row.asked_in,
        decided_in: row.decided_in,
    })
}

fn check_text(field: &'static str, text: &str) -> Result<()> {
    if text.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    Err(TenancyError::invalid(field, format!("at most {REASON_BYTES_MAX} bytes")))
}

pub(crate) fn missing() -> TenancyError {
    TenancyError::NotFound { what: "approval" }
}

/// Both names, and what it is about: in each record of the trail.
pub(crate) fn details(approval: &Approval) -> Value {
    json!({
        "act": approval.act,
        "request": format!("{} {}", approval.method, approval.path),
        "asker": approval.asker,
        "reason": approval.reason,
        "decider": approval.decider,
        "comment": approval.comment,
        "outcome": approval.outcome,
        "status": approval.status,
    })
}

pub(crate) fn entry<'a>(of: &'a Approval, action: &'static str) -> Entry<'a> {
    let (tenant, project) = (of.place.tenant, of.place.project);
    Entry { tenant, project, action, target: &of.id, details: details(of) }
}

/// The row under a lock, so that nobody decides on it at the same time.
pub(crate) async fn locked(change: &Change<'_>, id: ApprovalId) -> Result<table::Model> {
    let found = table::Entity::find_by_id(id.0).lock_exclusive();
    found.one(&change.transaction).await?.ok_or_else(missing)
}

/// Refuses what is not, or no longer, waiting.
fn check_pending(found: &Approval, now: TimestampMs) -> Result<()> {
    if found.state != ApprovalState::Pending {
        return Err(TenancyError::state(format!("it is {} already", found.state.name())));
    }
    if found.expires_at <= now {
        return Err(TenancyError::state("nobody decided in time"));
    }
    Ok(())
}

impl Tenancy {
    /// Puts an act before a second person. The caller has checked that whoever asks may do it.
    pub async fn ask_approval(&self, new: NewApproval, by: &Actor) -> Result<Approval> {
        check_text("reason", &new.reason)?;
        let change = self.change(by).await?;
        let waiting = || {
            let open = [ApprovalState::Pending.word(), ApprovalState::Approved.word()];
            table::Entity::find().filter(table::Column::State.is_in(open))
        };
        let all = waiting().count(&change.transaction).await?;
        let own = waiting().filter(table::Column::Asker.eq(by.as_str()));
        if own.count(&change.transaction).await? >= WAITING_OF_ONE_MAX {
            let why = format!("{WAITING_OF_ONE_MAX} of your acts wait already: withdraw some");
            return Err(TenancyError::state(why));
        }
        if all >= APPROVALS_WAITING_MAX {
            return Err(TenancyError::state(format!("{APPROVALS_WAITING_MAX} acts wait already")));
        }
        let row = table::Model {
            id: self.ids.uuid(),
            tenant_id: new.place.tenant.map(|id| id.0),
            project_id: new.place.project.map(|id| id.0),
            at_installation: new.place.at_installation,
            state: ApprovalState::Pending.word().to_owned(),
            mode: new.mode.word().to_owned(),
            act: new.act,
            method: new.method,
            path: new.path,
            permission: new.permission,
            digest: new.digest,
            sealed: new.sealed,
            before: new.before,
            before_digest: new.before_digest,
            asker: by.as_str().to_owned(),
            asker_user: new.asker.map(|id| id.0),
            address: new.address,
            reason: new.reason,
            asked_at: change.at,
            expires_at: change.at.saturating_add(new.wait_ms),
            decider: None,
            decider_user: None,
            decided_at: None,
            comment: String::new(),
            attempt: 0,
            lease_until: None,
            carried_at: None,
            ended_at: None,
            outcome: None,
            status: None,
            answer: None,
            sealed_answer: None,
            asked_in: by.circumstances(),
            decided_in: None,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let made = read(row)?;
        change.commit(entry(&made, "approval.ask")).await?;
        Ok(made)
    }

    pub async fn approval(&self, id: ApprovalId) -> Result<Approval> {
        let found = table::Entity::find_by_id(id.0).one(self.reader()).await?;
        read(found.ok_or_else(missing)?)
    }

    /// Newest first.
    pub async fn approvals(&self, filter: &ApprovalFilter, limit: usize) -> Result<Page<Approval>> {
        let mut rows = table::Entity::find().filter(seen(filter));
        if let Some(tenant) = filter.tenant {
            rows = rows.filter(table::Column::TenantId.eq(tenant.0));
        }
        if !filter.states.is_empty() {
            let words = filter.states.iter().map(|state| state.word());
            rows = rows.filter(table::Column::State.is_in(words));
        }
        if let Some(before) = filter.before {
            rows = rows.filter(table::Column::Id.lt(before.0));
        }
        let rows = rows.order_by_desc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// How many wait for somebody to decide.
    pub async fn approvals_waiting(&self) -> Result<u64> {
        let rows =
            table::Entity::find().filter(table::Column::State.eq(ApprovalState::Pending.word()));
        Ok(rows.count(self.reader()).await?)
    }

    /// A second person's yes. Refused for who asked, and for what is not waiting any more. The
    /// caller has checked that he may.
    pub async fn approve(
        &self,
        id: ApprovalId,
        who: Decider,
        comment: &str,
        by: &Actor,
    ) -> Result<Approval> {
        self.decide(id, who, comment, (ApprovalState::Approved, "approval.approve"), by).await
    }

    /// A second person's no.
    pub async fn refuse_approval(
        &self,
        id: ApprovalId,
        who: Decider,
        comment: &str,
        by: &Actor,
    ) -> Result<Approval> {
        self.decide(id, who, comment, (ApprovalState::Refused, "approval.refuse"), by).await
    }

    async fn decide(
        &self,
        id: ApprovalId,
        who: Decider,
        comment: &str,
        (to, action): (ApprovalState, &'static str),
        by: &Actor,
    ) -> Result<Approval> {
        check_text("comment", comment)?;
        let change = self.change(by).await?;
        let row = locked(&change, id).await?;
        let found = read(row.clone())?;
        check_pending(&found, change.at)?;
        let decider = match who {
            Decider::Person(user) => Some(user),
            Decider::Operator => None,
        };
        // Operators' tokens are all alike: what one of them asks, none of them may approve.
        if found.asker_user == decider || found.asker == by.as_str() {
            return Err(TenancyError::state("it takes somebody else than who asked"));
        }
        let mut row = row.into_active_model();
        row.state = Set(to.word().to_owned());
        row.decider = Set(Some(by.as_str().to_owned()));
        row.decider_user = Set(decider.map(|id| id.0));
        row.decided_at = Set(Some(change.at));
        row.decided_in = Set(by.circumstances());
        row.comment = Set(comment.to_owned());
        match (to, found.mode) {
            (ApprovalState::Approved, ApprovalMode::Pass) => {
                row.expires_at = Set(change.at.saturating_add(APPROVAL_PASS_MS));
            }
            (ApprovalState::Approved, ApprovalMode::Once) => {}
            _ => row.ended_at = Set(Some(change.at)),
        }
        let decided = read(row.update(&change.transaction).await?)?;
        change.commit(entry(&decided, action)).await?;
        Ok(decided)
    }

    /// By who asked; also of what is approved and not begun yet.
    pub async fn withdraw_approval(&self, id: ApprovalId, by: &Actor) -> Result<Approval> {
        let change = self.change(by).await?;
        let row = locked(&change, id).await?;
        let found = read(row.clone())?;
        if found.asker != by.as_str() {
            return Err(missing());
        }
        let is_waiting = matches!(found.state, ApprovalState::Pending | ApprovalState::Approved);
        if !is_waiting || found.carried_at.is_some() {
            return Err(TenancyError::state(format!("it is {} already", found.state.name())));
        }
        let mut row = row.into_active_model();
        row.state = Set(ApprovalState::Withdrawn.word().to_owned());
        row.ended_at = Set(Some(change.at));
        let ended = read(row.update(&change.transaction).await?)?;
        change.commit(entry(&ended, "approval.withdraw")).await?;
        Ok(ended)
    }

    /// Hands the whole answer out, once, to who asked. The caller opens it.
    pub async fn take_approval_answer(&self, id: ApprovalId, by: &Actor) -> Result<Vec<u8>> {
        let change = self.change(by).await?;
        let row = locked(&change, id).await?;
        let found = read(row.clone())?;
        if found.asker != by.as_str() {
            return Err(missing());
        }
        let sealed = found.sealed_answer.clone();
        let sealed = sealed.ok_or_else(|| TenancyError::state("there is no secret to take"))?;
        let mut row = row.into_active_model();
        row.sealed_answer = Set(None);
        row.update(&change.transaction).await?;
        change.commit(entry(&found, "approval.take_answer")).await?;
        Ok(sealed)
    }
}

fn seen(filter: &ApprovalFilter) -> Condition {
    let Some(places) = &filter.places else { return Condition::all() };
    let mut any = Condition::any();
    if let Some(asker) = &filter.asker {
        any = any.add(table::Column::Asker.eq(asker.as_str()));
    }
    for (tenant, project) in places {
        let mut inside = Condition::all().add(table::Column::TenantId.eq(tenant.0));
        if let Some(project) = project {
            inside = inside.add(table::Column::ProjectId.eq(project.0));
        }
        any = any.add(inside);
    }
    // Nobody's and nowhere: nothing at all.
    if filter.asker.is_none() && places.is_empty() {
        any = any.add(table::Column::Id.is_null());
    }
    any
}
