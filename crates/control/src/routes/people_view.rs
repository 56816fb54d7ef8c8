//! Users, sessions and roles as the admin API shows them: never what checks a password or proves a
//! session.

use rules::{PermissionSet, Place};
use serde::Serialize;
use tenancy::{Role, Session, SessionId, User};
use types::TimestampMs;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView {
    id: String,
    email: String,
    name: String,
    /// `invited`, `active` or `disabled`.
    status: &'static str,
    /// Milliseconds since 1970.
    created_at: TimestampMs,
    password_changed_at: Option<TimestampMs>,
    signed_in_at: Option<TimestampMs>,
}

impl From<User> for UserView {
    fn from(user: User) -> UserView {
        UserView {
            id: user.id.to_string(),
            email: user.email,
            name: user.name,
            status: user.status.name(),
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
            signed_in_at: user.signed_in_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    id: String,
    /// What the device calls itself.
    device: String,
    /// Where it was last refreshed from.
    address: String,
    created_at: TimestampMs,
    /// When it was opened or last refreshed.
    seen_at: TimestampMs,
    /// Until then it may do what needs a recent proof of identity.
    elevated_until: Option<TimestampMs>,
    /// The session of this very request.
    is_current: bool,
    /// The provider that vouches for the user; `null`: he proved himself here.
    provider: Option<String>,
}

impl SessionView {
    pub(crate) fn new(session: Session, current: Option<SessionId>) -> SessionView {
        SessionView {
            is_current: current == Some(session.id),
            id: session.id.to_string(),
            device: session.device,
            address: session.address,
            created_at: session.created_at,
            seen_at: session.seen_at,
            elevated_until: session.elevated_until,
            provider: session.provider.map(|id| id.to_string()),
        }
    }
}

pub(crate) fn names(set: PermissionSet) -> Vec<&'static str> {
    set.iter().map(|permission| permission.name()).collect()
}

/// What somebody may do somewhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Rights)]
pub(crate) struct RightsView {
    /// `null`: in the whole installation.
    tenant: Option<String>,
    /// `null`: in all projects.
    project: Option<String>,
    permissions: Vec<&'static str>,
}

impl RightsView {
    pub(crate) fn new(place: Place, set: PermissionSet) -> RightsView {
        RightsView {
            tenant: place.tenant().map(|id| id.to_string()),
            project: place.project().map(|id| id.to_string()),
            permissions: names(set),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Role)]
pub(crate) struct RoleView {
    /// The name of a built-in role, else an identifier.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_built_in: bool,
    pub(crate) permissions: Vec<String>,
    /// `null` for built-in roles.
    pub(crate) created_at: Option<TimestampMs>,
    pub(crate) updated_at: Option<TimestampMs>,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> RoleView {
        RoleView {
            id: role.id.to_string(),
            name: role.name,
            description: role.description,
            is_built_in: false,
            permissions: role.permissions,
            created_at: Some(role.created_at),
            updated_at: Some(role.updated_at),
        }
    }
}
