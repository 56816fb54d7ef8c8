//! Carrying out what was approved, once: whoever does it claims it for a while, and everything he
//! writes is written together with the mark that it was. A process that dies leaves either the
//! mark, and nobody begins again, or none, and somebody else may. One that only seemed dead writes
//! nothing more: its turn is over.

use super::{Approval, ApprovalId, ApprovalMode, ApprovalState, entry, locked, read};
use crate::entity::approval as table;
use crate::tenants::Word;
use crate::{Actor, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, Condition, DatabaseTransaction, ExprTrait, IntoActiveModel, QueryOrder,
    QuerySelect,
};
use serde_json::Value;
use types::TimestampMs;

/// How long a turn lasts unless it is prolonged.
pub const APPROVAL_LEASE_MS: i64 = 60_000;
/// How often it may begin: who dies that often is killed by it.
const ATTEMPTS_MAX: i64 = 3;
/// Due ones looked at in one round.
const DUE_MAX: u64 = 50;
/// Those that are over are kept so long; the trail keeps them as well.
const ENDED_AGE_MS_MAX: i64 = 400 * 24 * 3_600_000;

/// One attempt to carry an act out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalTurn {
    pub id: ApprovalId,
    pub attempt: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalEnd {
    /// `Done`, `Failed` or `Void`.
    pub state: ApprovalState,
    /// For people; never a secret.
    pub outcome: Option<String>,
    pub status: Option<u16>,
    /// Without secrets.
    pub answer: Option<Value>,
    /// The whole answer, sealed, when it holds secrets that only who asked may see.
    pub sealed_answer: Option<Vec<u8>>,
}

impl ApprovalEnd {
    /// Without an answer.
    pub fn because(state: ApprovalState, why: impl Into<String>) -> ApprovalEnd {
        let outcome = Some(why.into());
        ApprovalEnd { state, outcome, status: None, answer: None, sealed_answer: None }
    }
}

/// Within the transaction of what is written in this turn: leaves the mark, or refuses when the
/// turn is over.
pub(crate) async fn carry(
    transaction: &DatabaseTransaction,
    turn: ApprovalTurn,
    at: TimestampMs,
) -> Result<()> {
    let first = Expr::col(table::Column::CarriedAt).if_null(at);
    let marked = table::Entity::update_many()
        .col_expr(table::Column::CarriedAt, first)
        .filter(table::Column::Id.eq(turn.id.0))
        .filter(table::Column::State.eq(ApprovalState::Running.word()))
        .filter(table::Column::Attempt.eq(i64::from(turn.attempt)))
        .exec(transaction)
        .await?;
    if marked.rows_affected == 0 {
        return Err(TenancyError::state("this approved act has ended meanwhile"));
    }
    Ok(())
}

impl Tenancy {
    /// What is approved and waits to be carried out by the platform, what somebody began and did
    /// not end in time, and what nobody decided in time; oldest first.
    pub async fn approvals_due(&self) -> Result<Vec<Approval>> {
        let now = self.ids.now_ms();
        let in_state =
            |state: ApprovalState| Condition::all().add(table::Column::State.eq(state.word()));
        let due = Condition::any()
            .add(
                in_state(ApprovalState::Approved)
                    .add(table::Column::Mode.eq(ApprovalMode::Once.word())),
            )
            .add(in_state(ApprovalState::Running).add(table::Column::LeaseUntil.lte(now)))
            .add(in_state(ApprovalState::Pending).add(table::Column::ExpiresAt.lte(now)))
            .add(
                in_state(ApprovalState::Approved)
                    .add(table::Column::Mode.eq(ApprovalMode::Pass.word()))
                    .add(table::Column::ExpiresAt.lte(now)),
            );
        let rows = table::Entity::find().filter(due).order_by_asc(table::Column::Id);
        let rows = rows.limit(DUE_MAX).all(self.reader()).await?;
        rows.into_iter().map(read).collect()
    }

    /// Claims an approved act, or one whose turn ended without a mark. `None`: somebody else has
    /// it, it was carried out, or it began too often.
    pub async fn claim_approval(&self, id: ApprovalId) -> Result<Option<ApprovalTurn>> {
        let now = self.ids.now_ms();
        let transaction = self.begin().await?;
        let may =
            Condition::any().add(table::Column::State.eq(ApprovalState::Approved.word())).add(
                Condition::all()
                    .add(table::Column::State.eq(ApprovalState::Running.word()))
                    .add(table::Column::LeaseUntil.lte(now)),
            );
        let claimed = table::Entity::update_many()
            .col_expr(table::Column::State, Expr::value(ApprovalState::Running.word()))
            .col_expr(table::Column::Attempt, Expr::col(table::Column::Attempt).add(1))
            .col_expr(table::Column::LeaseUntil, Expr::value(now + APPROVAL_LEASE_MS))
            .filter(table::Column::Id.eq(id.0))
            .filter(table::Column::Mode.eq(ApprovalMode::Once.word()))
            .filter(table::Column::CarriedAt.is_null())
            .filter(table::Column::Attempt.lt(ATTEMPTS_MAX))
            .filter(may)
            .exec(&transaction)
            .await?;
        if claimed.rows_affected == 0 {
            return Ok(None);
        }
        let row = table::Entity::find_by_id(id.0).one(&transaction).await?;
        let found = read(row.ok_or_else(super::missing)?)?;
        transaction.commit().await?;
        Ok(Some(ApprovalTurn { id, attempt: found.attempt }))
    }

    /// The turn goes on. `false`: it is over.
    pub async fn prolong_approval(&self, turn: ApprovalTurn) -> Result<bool> {
        let until = self.ids.now_ms() + APPROVAL_LEASE_MS;
        let transaction = self.begin().await?;
        let prolonged = table::Entity::update_many()
            .col_expr(table::Column::LeaseUntil, Expr::value(until))
            .filter(table::Column::Id.eq(turn.id.0))
            .filter(table::Column::State.eq(ApprovalState::Running.word()))
            .filter(table::Column::Attempt.eq(i64::from(turn.attempt)))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(prolonged.rows_affected > 0)
    }

    /// Ends a turn with what came of it. Refused when the turn is over.
    pub async fn end_approval(&self, turn: ApprovalTurn, end: ApprovalEnd) -> Result<Approval> {
        let system = Actor::system();
        let change = self.change(&system).await?;
        let row = locked(&change, turn.id).await?;
        let found = read(row.clone())?;
        if found.state != ApprovalState::Running || found.attempt != turn.attempt {
            return Err(TenancyError::state("this turn of an approved act is over"));
        }
        let mut row = row.into_active_model();
        row.state = Set(end.state.word().to_owned());
        row.ended_at = Set(Some(change.at));
        row.outcome = Set(end.outcome);
        row.status = Set(end.status.map(i64::from));
        row.answer = Set(end.answer);
        row.sealed_answer = Set(end.sealed_answer);
        let ended = read(row.update(&change.transaction).await?)?;
        change.commit(entry(&ended, action(end.state))).await?;
        Ok(ended)
    }

    /// Ends what nobody carries out: nobody decided in time, a pass is over, a turn ended and left
    /// its mark or began too often, or who asked or approved may it no more. `from` is the state in
    /// which the caller saw it; in another one nothing happens and `None` is answered.
    pub async fn close_approval(
        &self,
        id: ApprovalId,
        from: ApprovalState,
        end: ApprovalEnd,
    ) -> Result<Option<Approval>> {
        let system = Actor::system();
        let change = self.change(&system).await?;
        let row = locked(&change, id).await?;
        let found = read(row.clone())?;
        let is_under_way = found.state == ApprovalState::Running
            && row.lease_until.is_some_and(|until| until > change.at);
        if found.state != from || from.is_over() || is_under_way {
            return Ok(None);
        }
        let mut row = row.into_active_model();
        row.state = Set(end.state.word().to_owned());
        row.ended_at = Set(Some(change.at));
        row.outcome = Set(end.outcome);
        let ended = read(row.update(&change.transaction).await?)?;
        change.commit(entry(&ended, action(end.state))).await?;
        Ok(Some(ended))
    }

    /// Marks the first use of a pass; `false` when it was used before.
    pub async fn use_approval_pass(&self, id: ApprovalId, by: &Actor) -> Result<bool> {
        let change = self.change(by).await?;
        let row = locked(&change, id).await?;
        let found = read(row.clone())?;
        let is_open = found.state == ApprovalState::Approved && found.expires_at > change.at;
        if !is_open || found.mode != ApprovalMode::Pass || found.asker != by.as_str() {
            return Err(TenancyError::state("the approval is not in force"));
        }
        if found.carried_at.is_some() {
            return Ok(false);
        }
        let mut row = row.into_active_model();
        row.carried_at = Set(Some(change.at));
        let used = read(row.update(&change.transaction).await?)?;
        change.commit(entry(&used, "approval.execute")).await?;
        Ok(true)
    }

    /// Writes down that an operator did at once what should have waited.
    pub async fn note_bypass(
        &self,
        place: super::ApprovalPlace,
        target: &str,
        reason: &str,
        by: &Actor,
    ) -> Result<()> {
        super::check_text("Break-Glass", reason)?;
        let entry = crate::audit::Entry {
            tenant: place.tenant,
            project: place.project,
            action: "approval.bypass",
            target: &target,
            details: serde_json::json!({"reason": reason}),
        };
        self.change(by).await?.commit(entry).await
    }

    /// Forgets what has been over for long.
    pub async fn sweep_approvals(&self) -> Result<u64> {
        let transaction = self.begin().await?;
        let old = self.ids.now_ms() - ENDED_AGE_MS_MAX;
        let gone = table::Entity::delete_many().filter(table::Column::EndedAt.lt(old));
        let gone = gone.exec(&transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected)
    }
}

fn action(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Done => "approval.execute",
        ApprovalState::Expired => "approval.expire",
        ApprovalState::Void => "approval.void",
        _ => "approval.fail",
    }
}
