//! What the routes share, and what each of them knows of its request. It must not hold a route's
//! logic.

use crate::access::AccessTable;
use crate::approvals::InTurn;
use crate::approvals::catalogue::Catalogue;
use crate::{Control, gate};
use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use identity::{Absent, Person};
use port::{Change, Code, Identity, Peer, Refusal};
use rules::{Permission, Place, Rights, Visible};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use tenancy::{Actor, UserId};
use types::{ProjectId, TenantId, TimestampMs};
use wire_http::{Rejection, refusal_response};

pub(crate) struct Shared {
    pub(crate) control: Control,
    pub(crate) access: AccessTable,
    /// Which requests may be made to wait for a second person.
    pub(crate) acts: Catalogue,
    /// Something was approved: the worker need not wait for its next round.
    pub(crate) approved: tokio::sync::Notify,
    /// One configuration change at a time: the kept revision is the one in effect.
    pub(crate) configuring: tokio::sync::Mutex<()>,
}

/// Who is asking.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// Somebody with an operator's token: may do everything.
    Operator,
    Person(Box<Person>),
    /// Somebody who asked for what a second person approved since; he need not be signed in.
    Absent(Box<Absent>),
    /// On a route that is anybody's.
    Nobody,
}

impl Who {
    /// Whom the audit trail names.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Who::Operator => Actor::operator(),
            Who::Person(person) => person.actor(),
            Who::Absent(absent) => absent.actor(),
            Who::Nobody => Actor::system(),
        }
    }

    /// `None`: an operator, or nobody.
    pub(crate) fn user(&self) -> Option<UserId> {
        match self {
            Who::Person(person) => Some(person.user.id),
            Who::Absent(absent) => Some(absent.user.id),
            Who::Operator | Who::Nobody => None,
        }
    }

    /// What is known of his request, as it is kept with what he asks for or approves. `None`: it
    /// matters not.
    pub(crate) fn kept_circumstances(&self, now: TimestampMs) -> Option<Value> {
        match self {
            Who::Person(person) => serde_json::to_value(person.circumstances(now)).ok(),
            Who::Operator | Who::Absent(_) | Who::Nobody => None,
        }
    }

    /// All that he may do.
    pub(crate) fn rights(&self) -> Rights {
        match self {
            Who::Operator => Rights::whole(),
            Who::Person(person) => person.rights.clone(),
            Who::Absent(absent) => absent.rights.clone(),
            Who::Nobody => Rights::default(),
        }
    }
}

/// Put into a request by the gate when it was let in; without it no route can be entered.
#[derive(Clone)]
pub(crate) struct Admitted(pub(crate) Arc<Who>);

/// A request that was let in, as every route takes it first.
#[derive(Clone)]
pub(crate) struct Admin {
    shared: Arc<Shared>,
    who: Arc<Who>,
    peer: Peer,
    /// Carried out by the platform, since a second person approved.
    turn: Option<InTurn>,
}

impl std::ops::Deref for Admin {
    type Target = Control;
    fn deref(&self) -> &Control {
        &self.shared.control
    }
}

impl<S> FromRequestParts<S> for Admin
where
    Arc<Shared>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Admin, Rejection> {
        let peer = parts.extensions.get::<Peer>().cloned();
        let admitted = parts.extensions.get::<Admitted>().cloned();
        let (Some(peer), Some(Admitted(who))) = (peer, admitted) else {
            let refusal = Refusal::internal(&"an admin request did not pass the gate");
            return Err(Rejection::new(parts, refusal));
        };
        let turn = parts.extensions.get::<InTurn>().copied();
        Ok(Admin { shared: Arc::from_ref(state), who, peer, turn })
    }
}

impl Admin {
    /// Whom the audit trail names, and where the request comes from.
    pub(crate) fn actor(&self) -> Actor {
        let actor = self.who.actor().from_address(self.address());
        actor
            .by_request(&self.peer.request_id.0)
            .in_turn(self.turn.map(|InTurn(turn)| turn))
            .in_circumstances(self.who.kept_circumstances(self.clock.now_ms()))
    }

    pub(crate) fn who(&self) -> &Arc<Who> {
        &self.who
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Who is asking as the records have him now; refuses when he may ask no more.
    pub(crate) async fn rechecked(&self) -> Result<Admin, Refusal> {
        let who = match &*self.who {
            Who::Person(person) => Who::Person(Box::new(self.people.recheck(person).await?)),
            Who::Operator | Who::Absent(_) | Who::Nobody => return Ok(self.clone()),
        };
        Ok(Admin { who: Arc::new(who), ..self.clone() })
    }

    /// Refuses unless the permission is held there.
    pub(crate) fn require(&self, permission: Permission, there: Place) -> Result<(), Refusal> {
        gate::require(&self.who, permission, there)
    }

    /// All that who is asking may do.
    pub(crate) fn rights(&self) -> Rights {
        self.who.rights()
    }

    /// Where who is asking holds the permission.
    pub(crate) fn places_of(&self, permission: Permission) -> Visible {
        self.rights().places_of(permission)
    }

    /// The tenant and project that a list shows: those wanted, when the permission is held there.
    /// Who holds it in one place only need not name it; who holds it everywhere may name none.
    pub(crate) fn narrowed(
        &self,
        permission: Permission,
        wanted: (Option<TenantId>, Option<ProjectId>),
    ) -> Result<(Option<TenantId>, Option<ProjectId>), Refusal> {
        let place = match (wanted, self.places_of(permission)) {
            (_, Visible::Everywhere) => return Ok(wanted),
            ((Some(tenant), Some(project)), _) => Place::Project(tenant, project),
            ((Some(tenant), None), _) => Place::Tenant(tenant),
            ((None, None), Visible::In(places)) if places.len() == 1 => {
                places.first().copied().unwrap_or(Place::Installation)
            }
            ((None, _), _) => {
                return Err(Refusal::new(Code::InvalidRequest, "name the tenant")
                    .field("tenant")
                    .hint("you may see more than one place, but not all"));
            }
        };
        self.require(permission, place)?;
        Ok((place.tenant(), place.project()))
    }

    /// The user, on a route that is a user's own.
    pub(crate) fn person(&self) -> Result<&Person, Refusal> {
        match &*self.who {
            Who::Person(person) => Ok(person),
            Who::Operator | Who::Absent(_) | Who::Nobody => {
                let why = "this belongs to a user who is signed in";
                Err(Refusal::new(Code::InvalidRequest, why)
                    .field("authorization")
                    .hint("sign in at /v1/auth/login; an operator token has no account"))
            }
        }
    }

    /// Where the request comes from.
    pub(crate) fn address(&self) -> IpAddr {
        self.peer.address.ip()
    }

    /// Tells the node, which acts within a second.
    pub(crate) fn changed(&self, change: Change) {
        self.live.changed(change);
    }

    /// Who is asking, acting inside a project of this tenant through the hub.
    pub(crate) async fn identity(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Identity, Refusal> {
        self.tenancy.project(tenant, project).await?;
        self.authenticator.operator_as(project, self.actor().as_str()).await
    }

    pub(crate) async fn lock_configuration(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.configuring.lock().await
    }

    pub(crate) fn refuse(&self, refusal: &Refusal) -> Response {
        refusal_response(refusal, Some(&self.peer.request_id))
    }

    /// Turns what a handler came to into the answer.
    pub(crate) fn answer(&self, outcome: Result<impl IntoResponse, Refusal>) -> Response {
        match outcome {
            Ok(answer) => answer.into_response(),
            Err(refusal) => self.refuse(&refusal),
        }
    }
}
