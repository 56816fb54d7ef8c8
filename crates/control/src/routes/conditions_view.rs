//! Conditions of roles as the admin API reads and shows them, and roles with what keeps them from
//! counting. Who looks at his own account is told which condition does not hold, and not what it
//! asks for.

use crate::admin::Admin;
use identity::people::Standing;
use port::{Code, Refusal};
use rules::{PermissionSet, Place, RoleConditions, Unmet};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tenancy::Binding;
use types::TimestampMs;
use utoipa::ToSchema;

/// All that is named must hold for the role to count; what is not known is not fulfilled.
#[derive(ToSchema)]
#[schema(as = RoleConditions)]
#[expect(dead_code, reason = "the shape of `rules::RoleConditions`, for the description only")]
pub(crate) struct ConditionsSchema {
    /// The request comes from one of these: `10.0.0.0/8`, `2001:db8::/32`; 100 at most.
    networks: Option<Vec<String>>,
    /// It is in one of these windows, as the clocks of the zone show it.
    hours: Option<HoursSchema>,
    /// A second factor or a passkey proved the person in this session.
    strong_sign_in: Option<bool>,
    /// The person signed in, or proved anew who he is, at most so many minutes ago; 1 to 10080.
    signed_in_minutes_max: Option<u32>,
    /// The request came over TLS.
    tls: Option<bool>,
    /// What was noted of the person has each of these names with one of the values.
    attributes: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(ToSchema)]
#[schema(as = RoleHours)]
#[expect(dead_code, reason = "the shape of `rules::role_conditions::Hours`")]
pub(crate) struct HoursSchema {
    /// A name of the IANA time zone database, `Europe/Berlin`; `UTC` when absent.
    zone: Option<String>,
    windows: Vec<WindowSchema>,
}

#[derive(ToSchema)]
#[schema(as = RoleWindow)]
#[expect(dead_code, reason = "the shape of `types::acl::TimeWindow`")]
pub(crate) struct WindowSchema {
    /// `mon` to `sun`; every day when absent. Of a window over midnight the day it begins on.
    days: Option<Vec<String>>,
    /// `08:30`.
    from: String,
    /// `18:00`; `24:00` is the day's end.
    to: String,
}

/// A condition that does not hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = UnmetCondition)]
pub(crate) struct UnmetView {
    /// The condition's name; `unreadable`: a newer version wrote it.
    condition: &'static str,
    reason: &'static str,
}

fn unmet_views(unmet: &[Unmet]) -> Vec<UnmetView> {
    unmet.iter().map(|it| UnmetView { condition: it.name(), reason: it.meaning() }).collect()
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoleBinding)]
pub(crate) struct BindingView {
    id: String,
    user: String,
    /// The name of a built-in role, or the identifier of one that was made.
    role: String,
    /// `null`: in the whole installation.
    tenant: Option<String>,
    /// `null`: in all projects.
    project: Option<String>,
    created_at: TimestampMs,
    /// The provider whose rules gave it, and take it.
    provider: Option<String>,
    /// Whether it counts under conditions only.
    is_conditional: bool,
    /// Under which circumstances it counts; `null`: always, or not told in one's own account.
    #[schema(value_type = Option<ConditionsSchema>)]
    conditions: Option<Value>,
    /// Names the conditions as they are: send it as `version` or `If-Match` with a change of them.
    /// `null` in one's own account.
    pub(crate) version: Option<String>,
    /// Whether it counts now. Of somebody else's role, only hours and attributes can keep it from
    /// that here: from where and how he asks is not known.
    in_force: bool,
    /// What keeps it from counting.
    unmet: Vec<UnmetView>,
}

impl BindingView {
    pub(crate) fn new(standing: Standing) -> BindingView {
        BindingView::of(standing.binding, &standing.unmet)
    }

    pub(crate) fn of(binding: Binding, unmet: &[Unmet]) -> BindingView {
        BindingView {
            id: binding.id.to_string(),
            user: binding.user.to_string(),
            role: binding.role,
            tenant: binding.tenant.map(|id| id.to_string()),
            project: binding.project.map(|id| id.to_string()),
            created_at: binding.created_at,
            provider: binding.provider.map(|id| id.to_string()),
            is_conditional: binding.conditions.is_some(),
            version: Some(version_of(binding.conditions.as_ref())),
            conditions: binding.conditions,
            in_force: unmet.is_empty(),
            unmet: unmet_views(unmet),
        }
    }

    /// As it is shown to whom it belongs.
    pub(crate) fn of_oneself(standing: Standing) -> BindingView {
        BindingView { conditions: None, version: None, ..BindingView::new(standing) }
    }
}

/// Bytes of the digest that names conditions.
const VERSION_BYTES: usize = 8;

/// The same for the same conditions, whatever their order.
pub(crate) fn version_of(conditions: Option<&Value>) -> String {
    let Some(conditions) = conditions else { return "always".to_owned() };
    let text = tenancy::canonical(conditions);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(VERSION_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// A role that was given or changed just now.
pub(crate) async fn view_of(admin: &Admin, binding: Binding) -> Result<BindingView, Refusal> {
    let now = admin.clock.now_ms();
    let standing = admin.people.standing_apart(binding.user, now).await?;
    let found = standing.into_iter().find(|standing| standing.binding.id == binding.id);
    Ok(match found {
        Some(standing) => BindingView::new(standing),
        // Somebody took it a moment ago.
        None => BindingView::of(binding, &[]),
    })
}

/// Refuses conditions that mean nothing, with the field they were written in.
pub(crate) fn check(conditions: Option<&RoleConditions>) -> Result<(), Refusal> {
    let problem = conditions.and_then(|it| it.problems().into_iter().next());
    match problem {
        None => Ok(()),
        Some(problem) => {
            let field = format!("conditions.{}", problem.field);
            Err(Refusal::new(Code::InvalidRequest, "these conditions cannot be taken")
                .field(field)
                .hint(problem.message))
        }
    }
}

/// Refuses unless who is asking may hand all of `set` out there, under these conditions.
pub(crate) fn check_givable(
    admin: &Admin,
    set: PermissionSet,
    there: Place,
    under: Option<&RoleConditions>,
) -> Result<(), Refusal> {
    let under = under.filter(|conditions| !conditions.is_always());
    let (rights, held) = (admin.rights(), admin.rights().at(there));
    if rights.may_give(set, there, under) {
        return Ok(());
    }
    let names = |lacking: PermissionSet| super::people_view::names(lacking).join(", ");
    if held.contains(set) {
        let own: PermissionSet =
            set.iter().filter(|it| !rights.givable(there, under).has(*it)).collect();
        let why = "nobody gives under looser conditions than his own";
        return Err(Refusal::new(Code::InsufficientScope, why)
            .field("conditions")
            .hint(format!("you have {} under conditions only", names(own))));
    }
    let lacking: PermissionSet = set.iter().filter(|it| !held.has(*it)).collect();
    Err(Refusal::new(Code::InsufficientScope, "nobody gives or takes what he does not have")
        .field("role")
        .hint(format!("you lack {}", names(lacking))))
}
