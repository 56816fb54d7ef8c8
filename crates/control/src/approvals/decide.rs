//! Who may decide on what somebody asks for: another person who may do the same there, and who may
//! decide at all. Asked when it is held, when somebody decides, and once more before it is carried
//! out.

use super::place::asked_at;
use crate::admin::{Shared, Who};
use port::{Code, Refusal};
use rules::{Circumstances, Permission, Place, Rights};
use serde_json::Value;
use tenancy::{Approval, ApprovalPlace, Decider, User, UserId};
use types::TimestampMs;

/// Those who are named, and written to.
pub(crate) const APPROVERS_MAX: usize = 50;

/// What an act needs, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) permission: Permission,
    pub(crate) place: Place,
}

impl Needs {
    pub(crate) fn new(permission: Permission, place: &ApprovalPlace) -> Needs {
        Needs { permission, place: asked_at(place) }
    }

    /// Of an act that was asked for; refuses when this version knows no such permission.
    pub(crate) fn of(approval: &Approval) -> Result<Needs, Refusal> {
        let permission = Permission::named(&approval.permission).ok_or_else(|| {
            Refusal::new(Code::Conflict, "this version knows no such permission any more")
        })?;
        Ok(Needs::new(permission, &approval.place))
    }

    /// Whether these rights are enough to decide.
    pub(crate) fn may_decide(self, rights: &Rights) -> bool {
        rights.allow(Permission::ApprovalsDecide, self.place)
            && rights.allow(self.permission, self.place)
    }
}

/// Whether this one may decide on it at this moment.
pub(crate) fn may_decide(shared: &Shared, who: &Who, approval: &Approval) -> bool {
    let Ok(needs) = Needs::of(approval) else { return false };
    match who {
        Who::Operator => {
            shared.control.approvals.operator_may_decide && approval.asker_user.is_some()
        }
        Who::Person(_) | Who::Absent(_) => {
            who.user() != approval.asker_user && needs.may_decide(&who.rights())
        }
        Who::Nobody => false,
    }
}

/// Who decides, as the records name him; refuses who may not.
pub(crate) fn decider(shared: &Shared, who: &Who, approval: &Approval) -> Result<Decider, Refusal> {
    let refuse = |why: &str, hint: &str| {
        Err(Refusal::new(Code::InsufficientScope, why).field("approval").hint(hint))
    };
    if who.actor().as_str() == approval.asker {
        return refuse("it takes somebody else than who asked", "ask a colleague to decide");
    }
    if !may_decide(shared, who, approval) {
        return refuse(
            "you may not decide on this",
            "it takes `approvals:decide` and what the act itself needs, there; an operator's token \
             where `admin.approvals.operator_may_decide` says so",
        );
    }
    match who.user() {
        Some(user) => Ok(Decider::Person(user)),
        None => Ok(Decider::Operator),
    }
}

/// People who may decide, but for who asks.
pub(crate) async fn approvers(
    shared: &Shared,
    needs: Needs,
    asker: Option<UserId>,
) -> Result<Vec<User>, Refusal> {
    let staff = shared.control.people.staff_of(needs.place.tenant()).await?;
    let may =
        staff.into_iter().filter(|one| Some(one.user.id) != asker && needs.may_decide(&one.rights));
    Ok(may.map(|one| one.user).take(APPROVERS_MAX).collect())
}

/// As they were when he asked or decided. Roles and what was noted of him count as they are now:
/// what was taken meanwhile counts no more, but nobody has to sit in the office until it is done.
fn circumstances(kept: Option<&Value>, at: TimestampMs) -> Circumstances {
    let kept = kept.and_then(|kept| serde_json::from_value(kept.clone()).ok());
    kept.unwrap_or_else(|| Circumstances::at(at))
}

/// Who asked, as he is now. `None`: he is gone, or may it no more.
pub(crate) async fn asker(shared: &Shared, approval: &Approval) -> Result<Option<Who>, Refusal> {
    let Some(user) = approval.asker_user else { return Ok(Some(Who::Operator)) };
    let needs = Needs::of(approval)?;
    let then = circumstances(approval.asked_in.as_ref(), approval.asked_at);
    let absent = shared.control.people.absent(user, then).await?;
    let absent = absent.filter(|absent| absent.rights.allow(needs.permission, needs.place));
    Ok(absent.map(|absent| Who::Absent(Box::new(absent))))
}

/// Whether who approved still may.
pub(crate) async fn still_approved(shared: &Shared, approval: &Approval) -> Result<bool, Refusal> {
    let who = match (approval.decider_user, &approval.decider) {
        (Some(user), _) => {
            let decided_at = approval.decided_at.unwrap_or(approval.asked_at);
            let then = circumstances(approval.decided_in.as_ref(), decided_at);
            match shared.control.people.absent(user, then).await? {
                Some(absent) => Who::Absent(Box::new(absent)),
                None => return Ok(false),
            }
        }
        (None, Some(_)) => Who::Operator,
        (None, None) => return Ok(false),
    };
    Ok(may_decide(shared, &who, approval))
}
