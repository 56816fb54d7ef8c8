//! Grants: the fine half of what a credential may do, per address. A denying grant wins over an
//! allowing one; a principal without a list of grants is bounded by its scopes alone, one with an
//! empty list may reach nothing.
//!
//! A single address is decided exactly. A filter stands for many addresses, and following it is
//! allowed only when that is certain for every one of them: no denying grant shares an address
//! with it, and one allowing grant covers it whole. Several allowing grants that cover it only
//! together do not count, so the answer may be too strict but never too lax.

use crate::scopes;
use port::identity::PLATFORM;
use port::{Claims, Code, Refusal};
use types::filter::{KeyPart, Level, TopicPart};
use types::{Access, Effect, Filter, Grant, Scope, TopicName};

/// Scope and grants for one address: what every publish, read and subscription passes.
pub fn check_address(
    claims: &Claims,
    access: Access,
    topic: &TopicName,
    key: Option<&[u8]>,
) -> Result<(), Refusal> {
    scopes::require(claims.scopes, needed_at(claims, access, topic)?)?;
    if allows(claims.grants.as_deref(), access, topic, key) {
        return Ok(());
    }
    Err(forbidden(access, &format!("the address in topic `{topic}`"), "key"))
}

/// Scope and grants for everything a filter can match.
pub fn check_filter(claims: &Claims, access: Access, filter: &Filter) -> Result<(), Refusal> {
    let needed = match &filter.topic {
        TopicPart::Exact(topic) => needed_at(claims, access, topic)?,
        // No wildcard takes a topic of the platform's.
        TopicPart::Any => scopes::needed_for(access),
    };
    scopes::require(claims.scopes, needed)?;
    if allows_filter(claims.grants.as_deref(), access, filter) {
        return Ok(());
    }
    Err(forbidden(access, &format!("every address of the filter `{filter}`"), "filter"))
}

/// Changes and the audit trail are the platform's to write, and for administrators to read;
/// occupancy is the platform's to write too.
fn needed_at(claims: &Claims, access: Access, topic: &TopicName) -> Result<Scope, Refusal> {
    if !topic.is_of_changes() && !topic.is_of_occupancy() && !topic.is_of_audit() {
        return Ok(scopes::needed_for(access));
    }
    match access {
        Access::Subscribe if topic.is_of_occupancy() => Ok(Scope::EventsSubscribe),
        Access::Subscribe => Ok(Scope::AdminRead),
        Access::Publish if &*claims.principal.0 == PLATFORM => Ok(Scope::EventsPublish),
        Access::Publish => Err(platform_only(topic)),
    }
}

/// Refuses what only the platform may do with its own topics.
pub fn platform_only(topic: &TopicName) -> Refusal {
    Refusal::new(Code::AddressForbidden, format!("only the platform itself changes `{topic}`"))
        .field("topic")
        .hint("use a topic of the project's own")
}

fn forbidden(access: Access, what: &str, field: &str) -> Refusal {
    let verb = match access {
        Access::Publish => "publish to",
        Access::Subscribe => "subscribe to",
    };
    Refusal::new(Code::AddressForbidden, format!("the credential may not {verb} {what}"))
        .field(field)
        .hint("ask for an address inside the credential's grants")
}

/// Whether the grants allow this access to this address.
pub fn allows(
    grants: Option<&[Grant]>,
    access: Access,
    topic: &TopicName,
    key: Option<&[u8]>,
) -> bool {
    let Some(grants) = grants else { return true };
    let mut is_allowed = false;
    for grant in applying(grants, access).filter(|grant| grant.filter.matches(topic, key)) {
        match grant.effect {
            Effect::Deny => return false,
            Effect::Allow => is_allowed = true,
        }
    }
    is_allowed
}

/// Whether the grants certainly allow this access to every address the filter can match.
pub fn allows_filter(grants: Option<&[Grant]>, access: Access, filter: &Filter) -> bool {
    let Some(grants) = grants else { return true };
    let mut is_allowed = false;
    for grant in applying(grants, access) {
        match grant.effect {
            Effect::Deny if overlaps(&grant.filter, filter) => return false,
            Effect::Deny => {}
            Effect::Allow => is_allowed |= covers(&grant.filter, filter),
        }
    }
    is_allowed
}

fn applying(grants: &[Grant], access: Access) -> impl Iterator<Item = &Grant> {
    grants.iter().filter(move |grant| grant.access.is_none_or(|one| one == access))
}

/// Every address of `inner` is one of `outer`. May say no where the truth is yes, never the
/// other way round.
pub fn covers(outer: &Filter, inner: &Filter) -> bool {
    let topic = match (&outer.topic, &inner.topic) {
        (TopicPart::Any, _) => true,
        (TopicPart::Exact(outer), TopicPart::Exact(inner)) => outer == inner,
        (TopicPart::Exact(_), TopicPart::Any) => false,
    };
    topic && covers_keys(&outer.key, &inner.key)
}

/// As `covers`, of keys alone.
pub(crate) fn covers_keys(outer: &KeyPart, inner: &KeyPart) -> bool {
    match (outer, inner) {
        (KeyPart::All, _) => true,
        (_, KeyPart::All) => false,
        (_, KeyPart::Exact(key)) => outer.matches(Some(key.as_bytes())),
        (KeyPart::Exact(_), KeyPart::Levels { .. }) => false,
        (
            KeyPart::Levels { levels: outer, rest: outer_rest },
            KeyPart::Levels { levels: inner, rest: inner_rest },
        ) => {
            // An inner filter with fewer levels also takes keys that end before the outer's do.
            let lengths = outer.len() <= inner.len()
                && (*outer_rest || (!inner_rest && outer.len() == inner.len()));
            lengths && outer.iter().zip(inner).all(|(outer, inner)| covers_level(outer, inner))
        }
    }
}

fn covers_level(outer: &Level, inner: &Level) -> bool {
    match (outer, inner) {
        (Level::One, _) => true,
        (Level::Exact(outer), Level::Exact(inner)) => outer == inner,
        (Level::Exact(_), Level::One) => false,
    }
}

/// Some address is in both. May say yes where the truth is no, never the other way round.
pub fn overlaps(left: &Filter, right: &Filter) -> bool {
    let topic = match (&left.topic, &right.topic) {
        (TopicPart::Exact(left), TopicPart::Exact(right)) => left == right,
        _ => true,
    };
    topic && overlaps_keys(&left.key, &right.key)
}

/// As `overlaps`, of keys alone.
pub(crate) fn overlaps_keys(left: &KeyPart, right: &KeyPart) -> bool {
    match (left, right) {
        (KeyPart::All, _) | (_, KeyPart::All) => true,
        (other, KeyPart::Exact(key)) | (KeyPart::Exact(key), other) => {
            other.matches(Some(key.as_bytes()))
        }
        (
            KeyPart::Levels { levels: left, rest: left_rest },
            KeyPart::Levels { levels: right, rest: right_rest },
        ) => {
            let lengths = match left.len().cmp(&right.len()) {
                std::cmp::Ordering::Less => *left_rest,
                std::cmp::Ordering::Equal => true,
                std::cmp::Ordering::Greater => *right_rest,
            };
            lengths
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| covers_level(left, right) || covers_level(right, left))
        }
    }
}
