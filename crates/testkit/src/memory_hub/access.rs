//! Who may do what: the checks of the memory hub, as pure functions over its state.

use super::state::State;
use port::{Code, Identity, Refusal};
use types::filter::{KeyPart, TopicPart};
use types::limits::RECORD_BYTES_MAX;
use types::record::header;
use types::{Access, Effect, Filter, Grant, Limits, Record, Scope, TimestampMs, TopicName};

/// The credential still counts and its tenant is not suspended.
pub(super) fn check_alive(
    state: &State,
    who: &Identity,
    now_ms: TimestampMs,
) -> Result<(), Refusal> {
    if who.is_revoked() {
        return Err(Refusal::new(Code::InvalidApiKey, "the credential was revoked"));
    }
    if who.claims().expires_at.is_some_and(|end| end <= now_ms) {
        let code = match who.claims().key {
            Some(_) => Code::ExpiredApiKey,
            None => Code::ExpiredToken,
        };
        return Err(Refusal::new(code, "the credential has expired"));
    }
    if state.suspended.contains(&who.tenant()) {
        return Err(Refusal::new(Code::TenantSuspended, "the tenant is suspended"));
    }
    Ok(())
}

pub(super) fn check_scope(who: &Identity, scope: Scope) -> Result<(), Refusal> {
    if who.claims().scopes.has(scope) {
        return Ok(());
    }
    let message = format!("the credential lacks the scope {}", scope.name());
    Err(Refusal::new(Code::InsufficientScope, message).hint("use a key that has the scope"))
}

/// Publishing or reading exactly this address.
pub(super) fn check_address(
    who: &Identity,
    access: Access,
    topic: &TopicName,
    key: Option<&[u8]>,
) -> Result<(), Refusal> {
    let mut is_allowed = who.claims().grants.is_none();
    for grant in grants(who, access) {
        if grant.filter.matches(topic, key) {
            match grant.effect {
                Effect::Deny => return Err(forbidden()),
                Effect::Allow => is_allowed = true,
            }
        }
    }
    if is_allowed { Ok(()) } else { Err(forbidden()) }
}

/// Following a filter: an allowing grant must cover all of it, and none may deny a part of it.
pub(super) fn check_filter(who: &Identity, filter: &Filter) -> Result<(), Refusal> {
    let mut is_allowed = who.claims().grants.is_none();
    for grant in grants(who, Access::Subscribe) {
        match grant.effect {
            Effect::Deny if touches(&grant.filter, filter) => return Err(forbidden()),
            Effect::Allow if covers(&grant.filter, filter) => is_allowed = true,
            Effect::Deny | Effect::Allow => {}
        }
    }
    if is_allowed { Ok(()) } else { Err(forbidden()) }
}

fn grants(who: &Identity, access: Access) -> impl Iterator<Item = &Grant> {
    let all = who.claims().grants.as_deref().unwrap_or_default();
    all.iter().filter(move |grant| grant.access.is_none_or(|only| only == access))
}

fn forbidden() -> Refusal {
    Refusal::new(Code::AddressForbidden, "no grant allows this access to the address")
}

/// Certain for what tests use: the same filter, a whole topic, or one exact key.
fn covers(grant: &Filter, filter: &Filter) -> bool {
    let topic_fits = grant.topic == TopicPart::Any || grant.topic == filter.topic;
    let key_fits = match &filter.key {
        KeyPart::Exact(key) => grant.key.matches(Some(key.as_bytes())),
        other => grant.key == KeyPart::All || grant.key == *other,
    };
    topic_fits && key_fits
}

/// Errs on the side of refusing.
fn touches(grant: &Filter, filter: &Filter) -> bool {
    let topic_meets = match (&grant.topic, &filter.topic) {
        (TopicPart::Exact(one), TopicPart::Exact(other)) => one == other,
        _ => true,
    };
    let key_meets = match (&grant.key, &filter.key) {
        (KeyPart::Exact(one), KeyPart::Exact(other)) => one == other,
        (pattern, KeyPart::Exact(key)) => pattern.matches(Some(key.as_bytes())),
        (KeyPart::Exact(key), pattern) => pattern.matches(Some(key.as_bytes())),
        _ => true,
    };
    topic_meets && key_meets
}

pub(super) fn check_record(limits: &Limits, index: usize, record: &Record) -> Result<(), Refusal> {
    let bytes_max = limits.record_bytes_max.map_or(RECORD_BYTES_MAX, |max| max as usize);
    if record.size() > bytes_max {
        let message = format!("the record has {} bytes, {bytes_max} are allowed", record.size());
        return Err(Refusal::new(Code::PayloadTooLarge, message).field(format!("records[{index}]")));
    }
    if record.header(header::PUBLISHER).is_some() {
        let field = format!("records[{index}].headers.{}", header::PUBLISHER);
        return Err(
            Refusal::new(Code::InvalidRequest, "the header is set by the server").field(field)
        );
    }
    Ok(())
}
