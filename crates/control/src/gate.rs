//! The one way in: a request id, who is asking, how often, and whether he may. Every route says
//! what it needs (`access`); operators may do everything, users what their roles allow in the place
//! that the path names. It must not look at bodies.

use crate::access::{Access, Checked, Elevated};
use crate::admin::{Admitted, Shared, Who};
use crate::asked::Asked;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use identity::People;
use port::{Code, Credential, Peer, RateState, Refusal, RequestId, ShardId, metric};
use rules::{Permission, Place, Unmet, Visible};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use types::acl::Origin;
use types::{ProjectId, TenantId};
use uuid::Builder;
use wire_http::refusal::{RATE_LIMIT, set_rate, set_request_id};
use wire_http::{TokenPlace, credential, refusal_response};

pub(crate) async fn gate(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let known = request.extensions().get::<Peer>().cloned();
    let peer = known.unwrap_or_else(|| unknown_peer(&shared));
    request.extensions_mut().insert(peer.clone());
    let (mut parts, body) = request.into_parts();
    let asked = Asked::new(&parts);
    let mut rate = None;
    let mut response = match admit(&shared, &mut parts, &peer, &mut rate).await {
        Ok(who) => {
            let who = Arc::new(who);
            parts.extensions.insert(Admitted(Arc::clone(&who)));
            let response = next.run(Request::from_parts(parts, body)).await;
            asked.note_answer(&shared.control, &who, &peer, response.status());
            response
        }
        Err((who, refusal)) => {
            let (request, code) = (&peer.request_id, refusal.code().name());
            tracing::warn!(%request, address = %peer.address, code, "not let in");
            asked.note_refusal(&shared.control, who.as_ref(), &peer, &refusal);
            refusal_response(&refusal, Some(&peer.request_id))
        }
    };
    let headers = response.headers_mut();
    set_request_id(headers, &peer.request_id);
    // A refusal for its rate told the state already.
    if let Some(rate) = rate.filter(|_| !headers.contains_key(RATE_LIMIT)) {
        set_rate(headers, rate);
    }
    response
}

/// Who is asking, when he may ask this, else why not and who it was; and what is left of his rate.
/// The address pays before anything is looked up, so that guessing and flooding cost the sender.
async fn admit(
    shared: &Shared,
    parts: &mut Parts,
    peer: &Peer,
    rate: &mut Option<RateState>,
) -> Result<Who, (Option<Who>, Refusal)> {
    let rates = &shared.control.rates;
    let address = peer.address.ip();
    // Without the edge in front there is no address.
    if !address.is_unspecified() {
        *rate = rates.take_address(address).map_err(|refusal| (None, refusal))?;
    }
    let route = parts.extensions.get::<MatchedPath>().cloned();
    let access = match &route {
        Some(route) => shared.access.find(&parts.method, route.as_str()),
        // Nothing answers there, which whoever is known may be told.
        None => Access::SignedIn { elevated: Elevated::NotNeeded },
    };
    if access == Access::Open {
        return Ok(Who::Nobody);
    }
    let who = who(shared, &parts.headers, peer).await.map_err(|refusal| (None, refusal))?;
    match rates.take_principal(who.actor().as_str()) {
        Ok(Some(state)) => *rate = Some(state),
        Ok(None) => {}
        Err(refusal) => return Err((Some(who), refusal)),
    }
    match judge(shared, parts, &who, access).await {
        Ok(()) => Ok(who),
        Err(refusal) => Err((Some(who), refusal)),
    }
}

async fn judge(
    shared: &Shared,
    parts: &mut Parts,
    who: &Who,
    access: Access,
) -> Result<(), Refusal> {
    let Who::Person(person) = who else { return Ok(()) };
    let (permission, checked, elevated) = match access {
        Access::Open | Access::SignedIn { elevated: Elevated::NotNeeded } => return Ok(()),
        Access::SignedIn { elevated: Elevated::Needed } => {
            return require_elevated(who, shared.control.clock.now_ms());
        }
        Access::OperatorOnly => return Err(operators_only()),
        Access::Needs { permission, checked, elevated } => (permission, checked, elevated),
    };
    match checked {
        Checked::ByHandler => {
            if person.rights.places_of(permission) == Visible::In(Vec::new()) {
                return Err(forbidden(permission, person.rights.kept_by(permission, None)));
            }
        }
        Checked::InInstallation => require(who, permission, Place::Installation)?,
        Checked::ByPath => require(who, permission, place(parts).await)?,
    }
    if elevated == Elevated::Needed {
        require_elevated(who, shared.control.clock.now_ms())?;
    }
    Ok(())
}

/// Refuses with `INSUFFICIENT_SCOPE` unless the permission is held there. Whether there is such a
/// tenant or project is not told.
pub(crate) fn require(who: &Who, permission: Permission, there: Place) -> Result<(), Refusal> {
    match who {
        Who::Operator => Ok(()),
        Who::Person(person) if person.rights.allow(permission, there) => Ok(()),
        Who::Absent(absent) if absent.rights.allow(permission, there) => Ok(()),
        Who::Person(person) => {
            Err(forbidden(permission, person.rights.kept_by(permission, Some(there))))
        }
        Who::Absent(absent) => {
            Err(forbidden(permission, absent.rights.kept_by(permission, Some(there))))
        }
        Who::Nobody => Err(forbidden(permission, None)),
    }
}

/// Refuses unless a user has proved just now who he is.
pub(crate) fn require_elevated(who: &Who, now: types::TimestampMs) -> Result<(), Refusal> {
    match who {
        Who::Operator => Ok(()),
        Who::Person(person) if person.is_elevated(now) => Ok(()),
        Who::Person(_) | Who::Absent(_) | Who::Nobody => {
            let why = "this needs a proof of who you are from the last few minutes";
            Err(Refusal::new(Code::InsufficientScope, why).field("elevated").hint(
                "give the password, or use a passkey, at /v1/auth/elevate, then repeat the request",
            ))
        }
    }
}

/// `kept_by` is what keeps a role of his from counting that would allow it.
fn forbidden(permission: Permission, kept_by: Option<&[Unmet]>) -> Refusal {
    let name = permission.name();
    let refusal =
        Refusal::new(Code::InsufficientScope, format!("you lack the permission `{name}` here"))
            .field("permission");
    let Some(unmet) = kept_by else {
        return refusal.hint("ask somebody who may give roles; see the reference of permissions");
    };
    for condition in unmet {
        metrics::counter!(metric::ROLE_CONDITIONS_UNMET, "condition" => condition.name())
            .increment(1);
    }
    let why: Vec<&str> = unmet.iter().map(|condition| condition.meaning()).collect();
    refusal.hint(format!(
        "a role of yours that allows it is not in force now: {}; see your account",
        why.join(", ")
    ))
}

fn operators_only() -> Refusal {
    Refusal::new(Code::InsufficientScope, "this is for operator tokens only")
        .field("authorization")
        .hint("use the operator token of this installation")
}

/// What the path names. What is not an identifier is refused by the route, for those who may ask
/// the installation.
async fn place(parts: &mut Parts) -> Place {
    let Ok(params) = RawPathParams::from_request_parts(parts, &()).await else {
        return Place::Installation;
    };
    let find = |name: &str| params.iter().find(|(found, _)| *found == name).map(|(_, text)| text);
    let tenant = find("tenant").and_then(|text| text.parse::<TenantId>().ok());
    match (tenant, find("project")) {
        (None, _) => Place::Installation,
        (Some(tenant), None) => Place::Tenant(tenant),
        (Some(tenant), Some(project)) => match project.parse::<ProjectId>() {
            Ok(project) => Place::Project(tenant, project),
            Err(_) => Place::Tenant(tenant),
        },
    }
}

/// An operator token, or the access token of a user's session. What looks like a key or a token to
/// tenants' routes is one of these here.
async fn who(shared: &Shared, headers: &HeaderMap, peer: &Peer) -> Result<Who, Refusal> {
    let presented =
        credential(headers, None, TokenPlace::Header).map_err(|refusal| match refusal.code() {
            Code::CredentialMissing => {
                refusal.hint("sign in at /v1/auth/login, or send the operator token")
            }
            _ => refusal,
        })?;
    let (Credential::ApiKey(token) | Credential::Token(token)) = presented;
    if People::is_access_token(&token) {
        let person = shared.control.people.check(&token, origin(peer)).await?;
        return Ok(Who::Person(Box::new(person)));
    }
    shared.control.operators.check(&token).map(|()| Who::Operator)
}

/// Where the request comes from, as the edge saw it; `None`: it did not come through the edge.
fn origin(peer: &Peer) -> Option<Origin> {
    let address = Some(peer.address.ip()).filter(|address| !address.is_unspecified());
    address.map(|address| Origin { address, is_tls: peer.is_tls })
}

/// For a router that is not behind the edge.
fn unknown_peer(shared: &Shared) -> Peer {
    let mut random = [0; 16];
    shared.control.rng.fill(&mut random);
    let id = Builder::from_random_bytes(random).into_uuid().simple().to_string();
    Peer {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        shard: ShardId(0),
        is_tls: false,
        request_id: RequestId(id.into()),
    }
}
