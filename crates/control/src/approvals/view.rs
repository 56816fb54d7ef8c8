//! Acts that wait, as the admin API shows them: never a secret of what was sent or answered.

use super::catalogue::{Act, UNMARK};
use super::decide::may_decide;
use crate::admin::{Shared, Who};
use serde::Serialize;
use serde_json::Value;
use tenancy::{Approval, ApprovalMode, ApprovalState, User};
use types::TimestampMs;
use utoipa::ToSchema;

/// The code of an answer that says that an act waits.
pub(crate) const APPROVAL_REQUIRED: &str = "APPROVAL_REQUIRED";

#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
pub(crate) struct ApprovalView {
    id: String,
    /// `pending`, `approved`, `running`, `done`, `failed`, `refused`, `expired`, `withdrawn` or
    /// `void` (who asked or who approved may it no more).
    state: &'static str,
    /// `once`: the platform carries it out. `pass`: who asked does it himself, with the header
    /// `Approval`, for an hour.
    mode: &'static str,
    /// The operation's name.
    act: String,
    /// One line for people.
    summary: String,
    method: String,
    path: String,
    permission: String,
    tenant: Option<String>,
    project: Option<String>,
    /// As the audit trail names him.
    asker: String,
    address: Option<String>,
    reason: String,
    asked_at: TimestampMs,
    /// Nobody decides later; of a pass: how long it counts.
    expires_at: TimestampMs,
    decider: Option<String>,
    decided_at: Option<TimestampMs>,
    comment: String,
    ended_at: Option<TimestampMs>,
    /// Why it ended so.
    outcome: Option<String>,
    /// HTTP status of its answer.
    status: Option<u16>,
    /// Its answer without secrets.
    #[schema(value_type = Object)]
    answer: Option<Value>,
    /// The answer holds a secret, which who asked may take once.
    has_secret: bool,
    /// Asked for by whoever reads this.
    is_mine: bool,
    /// Whoever reads this may approve or refuse it.
    may_decide: bool,
}

impl ApprovalView {
    pub(crate) fn new(shared: &Shared, who: &Who, approval: &Approval) -> ApprovalView {
        let is_mine = approval.asker == who.actor().as_str();
        let is_pending = approval.state == ApprovalState::Pending;
        let act = shared.acts.named(&approval.act);
        ApprovalView {
            id: approval.id.to_string(),
            state: approval.state.name(),
            mode: approval.mode.name(),
            act: approval.act.clone(),
            summary: act.map(|act| act.summary.clone()).unwrap_or_default(),
            method: approval.method.clone(),
            path: approval.path.clone(),
            permission: approval.permission.clone(),
            tenant: approval.place.tenant.map(|id| id.to_string()),
            project: approval.place.project.map(|id| id.to_string()),
            asker: approval.asker.clone(),
            address: approval.address.clone(),
            reason: approval.reason.clone(),
            asked_at: approval.asked_at,
            expires_at: approval.expires_at,
            decider: approval.decider.clone(),
            decided_at: approval.decided_at,
            comment: approval.comment.clone(),
            ended_at: approval.ended_at,
            outcome: approval.outcome.clone(),
            status: approval.status,
            answer: approval.answer.clone(),
            has_secret: is_mine && approval.sealed_answer.is_some(),
            may_decide: is_pending && !is_mine && may_decide(shared, who, approval),
            is_mine,
        }
    }
}

/// Somebody who may decide.
#[derive(Serialize, ToSchema)]
#[schema(as = Approver)]
pub(crate) struct ApproverView {
    id: String,
    email: String,
    name: String,
}

impl From<&User> for ApproverView {
    fn from(user: &User) -> ApproverView {
        ApproverView { id: user.id.to_string(), email: user.email.clone(), name: user.name.clone() }
    }
}

/// The answer (202) to an act that waits now.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalAsked)]
pub(crate) struct AskedView {
    /// `APPROVAL_REQUIRED`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) approval: ApprovalView,
    /// Who may decide; at most 50.
    pub(crate) approvers: Vec<ApproverView>,
}

/// All there is to know before deciding.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalDetails)]
pub(crate) struct DetailsView {
    #[serde(flatten)]
    pub(crate) approval: ApprovalView,
    /// What was sent, without secrets.
    #[schema(value_type = Object)]
    pub(crate) body: Value,
    /// What it is about, as it was when it was asked for; `null` when there was nothing to read.
    #[schema(value_type = Object)]
    pub(crate) before: Option<Value>,
    pub(crate) approvers: Vec<ApproverView>,
}

/// A request that may be made to wait.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalAct)]
pub(crate) struct ActView {
    name: String,
    method: String,
    path: String,
    summary: String,
    /// What it belongs to, as the API is ordered.
    area: String,
    permission: &'static str,
    mode: &'static str,
    is_suggested: bool,
    /// A tenant may mark it for itself.
    is_of_tenant: bool,
    /// Waits already, as long as what it takes away is there.
    is_always: bool,
}

impl From<&Act> for ActView {
    fn from(act: &Act) -> ActView {
        ActView {
            name: act.name.clone(),
            method: act.method.to_string(),
            path: act.path.clone(),
            summary: act.summary.clone(),
            area: act.area.clone(),
            permission: act.permission.name(),
            mode: act.mode.name(),
            is_suggested: act.is_suggested(),
            is_of_tenant: act.is_of_tenant(),
            is_always: act.name == UNMARK,
        }
    }
}

/// One line for people: what waits, for whom, how long, how to follow it.
pub(crate) fn told(act: &Act, approval: &Approval) -> String {
    let id = approval.id;
    let then = match approval.mode {
        ApprovalMode::Once => "it is carried out as soon as somebody approves",
        ApprovalMode::Pass => "repeat it with the header `Approval` once somebody approved",
    };
    format!("`{}` waits for a second person as {id}: {then}", act.name)
}
